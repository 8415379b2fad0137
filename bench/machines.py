"""What an apply to real machines costs, beside the least that it could.

Run it as root with ``.venv/bin/python bench/machines.py``; ``--help`` says what can be chosen.

It boots systemd machines on one wire, as the tests do, and compares within one run:

- the floor: ``c``, to open an SSH connection to each machine and run two trivial commands on it, and ``u``,
  ``systemctl start wg-quick@wg0`` with all peers in the file; each on all machines side by side;
- the first ``wireloom apply``, one with nothing to do, and ``wireloom plan``: whole processes;
- one node more: what is sent to each of the others, in half of the fleet and in all of it.

Machines and operator share the processors of one computer: seconds say little, ratios more. For its run it
raises two limits of the kernel, which it puts back. Exit status 0 whatever the numbers are; 1 if something
could not be measured.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from booted import UNIT, Bench, Step, booted, print_steps, read_steps, run_bench, say
from export import Target, print_targets


@dataclass(frozen=True, slots=True)
class Growth:
    """One node more, ``nodes`` with it: bytes of script for each other node, in all and for staging.

    ``wire`` is what the operator's interface sent, by node: logins, encryption and the new node's included.
    """

    nodes: int
    sent: float
    staged: float
    wire: float
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Results:
    """Median seconds of everything; the steps of the last first apply and of the last with nothing to do."""

    machines: int
    connect: float
    up: float
    first: float
    again: float
    plan: float
    first_steps: list[Step]
    again_steps: list[Step]
    half: Growth
    full: Growth


# --- what is measured ----------------------------------------------------------------------------


def measure(bench: Bench, runs: int) -> Results:
    """Everything, in turn: other work on the machine is then borne by all of it alike."""
    record, record_again, nodes = bench.scratch / "first.json", bench.scratch / "again.json", len(bench.all)
    bench.write_fleet(nodes)
    connect, up, first, again, plan = [], [], [], [], []
    for turn in range(1, runs + 1):
        say(f"turn {turn} of {runs}")
        bench.freshen()
        connect.append(sum(asyncio.run(bench.on_all("true", "true"))))
        first.append(bench.call("apply", "--yes", record=record))
        up.append(asyncio.run(bench.on_all(f"systemctl stop {UNIT}", f"systemctl start {UNIT}"))[1])
        again.append(bench.call("apply", "--yes", record=record_again))
        plan.append(bench.call("plan"))
    first_steps, again_steps = read_steps(record), read_steps(record_again)
    bench.freshen()
    half, full = (add_one(bench, size, record) for size in (nodes // 2, nodes))
    return Results(
        machines=nodes,
        connect=median(connect),
        up=median(up),
        first=median(first),
        again=median(again),
        plan=median(plan),
        first_steps=first_steps,
        again_steps=again_steps,
        half=half,
        full=full,
    )


def add_one(bench: Bench, nodes: int, record: Path) -> Growth:
    """The last of ``nodes`` comes to a fleet of all the others."""
    bench.write_fleet(nodes - 1)
    bench.call("apply", "--yes")
    bench.write_fleet(nodes)
    before = bench.sent_bytes()
    bench.call("apply", "--yes", record=record)
    wire = (bench.sent_bytes() - before) / nodes
    steps = json.loads(record.read_text(encoding="utf-8"))
    others = [f"root@{machine.address.ip}" for machine in bench.all[: nodes - 1]]
    staging = [one for one in steps if one["name"].startswith("staging")]
    return Growth(
        nodes, _sent_to_each(others, steps), _sent_to_each(others, staging), wire, read_steps(record)
    )


def _sent_to_each(machines: Sequence[str], steps: Sequence[dict[str, Any]]) -> float:
    """The median over the machines of the bytes of script that each got in these steps."""
    return float(median(sum(one["sent"].get(name, 0) for one in steps) for name in machines))


# --- the report ----------------------------------------------------------------------------------


def judge(found: Results) -> list[Target]:
    """The measurements that have a target, beside it."""
    floor = found.connect + found.up
    peers = found.full.nodes - found.half.nodes
    growth, slope = found.full.sent / found.half.sent, (found.full.sent - found.half.sent) / peers
    first, again, plan = found.first / floor, found.again / found.connect, found.plan / found.connect
    added = f"one node more, {found.full.nodes} : {found.half.nodes}"
    return [
        Target("first apply : (c + u)", first, "times", "at most 2", first <= 2),
        Target("apply with nothing to do : c", again, "times", "at most 3", again <= 3),
        Target("plan : c", plan, "times", "at most 3", plan <= 3),
        Target(f"{added}, sent to each other", growth, "times", "flat: at most 1.01", growth <= 1.01),
        # The scripts' fixed text hides in the ratio what a thousand nodes would make plain.
        Target("the same, for each node of the fleet", slope, "bytes", "none: under 1", slope < 1),
    ]


def print_report(found: Results, targets: Sequence[Target]) -> None:
    """All tables, on stdout."""
    print(f"{found.machines} machines {'seconds':>35}")
    for what, seconds in (
        ("c: log in, two commands", found.connect),
        (f"u: systemctl start {UNIT}", found.up),
        ("first apply", found.first),
        ("apply, nothing to do", found.again),
        ("plan", found.plan),
    ):
        print(f"{what:<38} {seconds:8.2f}")
    print_steps("first apply", found.first_steps)
    print_steps("apply, nothing to do", found.again_steps)
    print_steps("apply, one node more", found.full.steps)
    print(
        f"\n{'one node more, bytes to each other':<38} {'scripts':>8} {'staging':>8} {'on the wire, all':>17}"
    )
    for growth in (found.half, found.full):
        print(f"{growth.nodes:<38} {growth.sent:8,.0f} {growth.staged:8,.0f} {growth.wire:17,.0f}")
    print_targets(targets)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--machines", type=int, default=40, help="how many to boot (default 40)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    parser.add_argument("--runs", type=int, default=3, help="runs per median (default 3)")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs: at least 1")
    if not 4 <= arguments.machines <= 250:
        parser.error("--machines: 4 to 250")
    return arguments


def main() -> int:
    """Measure, print, and write the JSON if asked."""
    arguments = parse_arguments()

    def measure_booted() -> Results:
        with booted(arguments.machines) as bench:
            return measure(bench, arguments.runs)

    return run_bench(measure_booted, judge, print_report, runs=arguments.runs, file=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
