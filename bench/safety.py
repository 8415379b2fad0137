"""What safety is worth, and what it costs.

Run it as root with ``.venv/bin/python bench/safety.py``; ``--help`` says what can be chosen.

Four questions, on systemd machines on one wire, as the tests boot them, and one of them in a lab:

- a change locks the operator out of a machine whose SSH runs over the underlay: how long until it lets in
  again;
- an apply that changes one thing on every machine, beside one without a way back (``hoping.py``) and one
  without any of what keeps it safe (``careless.py``), in turn within one run, so that the ratios depend less
  on the machine;
- random histories of faults (``tests/faults/histories.py``): how many are survived with nothing lost;
- a peer comes and goes on all machines: how many packets of two others are lost meanwhile. A control shows
  that lost packets would be noticed.

For its run it raises two limits of the kernel, which it puts back. Exit status 0 whatever the numbers are; 1
if something could not be measured.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import asyncssh
from booted import (
    HERE,
    RECORDER,
    Bench,
    Step,
    booted,
    print_steps,
    read_steps,
    run_bench,
    say,
)
from export import BrokenRunError, Target, print_targets
from tests.faults.histories import History, open_mesh
from tests.faults.world import Mesh
from tests.kernel.pings import pinging
from tests.machines.machine import Machine
from tests.machines.test_faults_lockout import beside_the_tunnel

PROGRAMS = {"careful": RECORDER, "hoping": HERE / "hoping.py", "careless": HERE / "careless.py"}
WINDOW = 5
"""Seconds that a change may wait: the least that wireloom takes."""
FEW = 3
LENGTH = 4
"""Things that happen in one history."""

COMMITTED = "until test -e /run/wireloom/wg0/change/after; do sleep 0.02; done; cat /proc/uptime"
"""A machine's word when what it committed runs: seconds since the start of the computer, which all share."""


@dataclass(frozen=True, slots=True)
class Login:
    """One try to log in; times as in ``COMMITTED``."""

    begun: float
    ended: float
    works: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """One change on every machine, by each of ``PROGRAMS``: seconds of each run, the steps of the last."""

    seconds: Mapping[str, list[float]]
    steps: Mapping[str, list[Step]]

    def ratio(self, to: str) -> float:
        """How many times as long as that one the careful one takes."""
        return median(self.seconds["careful"]) / median(self.seconds[to])


@dataclass(frozen=True, slots=True)
class Faults:
    """Histories from ``seed`` on: ``tried`` faults that did happen, and the histories that lost something."""

    seed: int
    histories: int
    tried: int
    broken: list[str]


@dataclass(frozen=True, slots=True)
class Packets:
    """Pings answered and lost while a peer went and came, and lost while a line was cut for a second."""

    answered: int
    lost: int
    lost_when_cut: int


@dataclass(frozen=True, slots=True)
class Results:
    """Everything; ``locked_out`` is in seconds, of each run."""

    machines: int
    locked_out: list[float]
    cost: Cost
    packets: Packets
    faults: Faults


# --- locked out ----------------------------------------------------------------------------------


def lock_out(bench: Bench, runs: int) -> list[float]:
    """Seconds from the commit of a guard that keeps the operator out to SSH again by the same way.

    The last machine is reached at its underlay address, beside the tunnel.
    """
    last = bench.all[FEW - 1]
    over = {last.name: f"root@10.99.0.{FEW}"}
    unguarded = ", guard: false"
    bench.write_fleet(FEW, more=unguarded)
    bench.call("apply", "--yes")
    found = []
    with beside_the_tunnel(bench.group, last, f"10.99.0.{FEW}"):
        for _ in range(runs):
            bench.write_fleet(FEW, ssh=over)
            found.append(asyncio.run(_lock_out_once(bench)))
            say(f"from the commit to SSH again: {found[-1]:.1f} s")
            bench.write_fleet(FEW, more=unguarded, ssh=over)
            bench.call("plan")  # ends with 2 where anything is not as it was
    bench.write_fleet(FEW)
    return found


async def _lock_out_once(bench: Bench) -> float:
    words = ("apply", "--yes", "--confirm-within", f"{WINDOW}s")
    apply = asyncio.create_task(asyncio.to_thread(bench.call, *words, expect=1))
    try:
        since = await asyncio.to_thread(_see_commit, bench.all[FEW - 1])
        back = await _log_in_until_it_works(bench)
    finally:
        await apply
    return back - since


def _see_commit(machine: Machine) -> float:
    """When the change began to run on a machine."""
    return float(machine.shell(COMMITTED).split()[0])


async def _log_in_until_it_works(bench: Bench) -> float:
    """When it did. Tried side by side, four times a second: one that gets lost keeps no other waiting."""
    seen: list[Login] = []
    deadline = _now() + 60

    async def log_in() -> None:
        begun, works = _now(), True
        try:
            async with asyncio.timeout(2):
                async with await bench.connect(bench.all[FEW - 1], f"10.99.0.{FEW}"):
                    pass
        except (OSError, asyncssh.Error):
            works = False
        seen.append(Login(begun, _now(), works))

    async with asyncio.TaskGroup() as tries:
        while (back := find_back(seen)) is None:
            if _now() > deadline:
                raise BrokenRunError(f"not locked out, or for good: {len(seen)} logins, {seen[-1:]}")
            tries.create_task(log_in())
            await asyncio.sleep(0.25)
    return back


def find_back(seen: Sequence[Login]) -> float | None:
    """When the first login was done that began after one that came to nothing."""
    lost = min((one.begun for one in seen if not one.works), default=None)
    if lost is None:
        return None
    return min((one.ended for one in seen if one.works and one.begun > lost), default=None)


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# --- the cost of an apply ------------------------------------------------------------------------


def compare(bench: Bench, runs: int) -> Cost:
    """The MTU to and fro on every machine, by each program; who begins changes from turn to turn."""
    seconds: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    records = {name: bench.scratch / f"{name}.json" for name in PROGRAMS}
    order, mtu = list(PROGRAMS), 1380
    for turn in range(runs):
        say(f"turn {turn + 1} of {runs}")
        for name in order:
            bench.write_fleet(len(bench.all), more=f", mtu: {mtu}")
            say(name)
            taken = bench.call("apply", "--yes", record=records[name], recorder=PROGRAMS[name])
            seconds[name].append(taken)
            mtu = 1380 if mtu == 1400 else 1400
        order.append(order.pop(0))
    bench.call("plan")  # ends with 2 where a careless apply did not do what it was measured for
    return Cost(seconds, {name: read_steps(record) for name, record in records.items()})


# --- packets -------------------------------------------------------------------------------------


def count_packets(bench: Bench) -> Packets:
    """The last machine leaves all others and comes back; two of those ping each other 200 times a second."""
    one, other, nodes = bench.all[0], bench.all[1], len(bench.all)
    with pinging(one, "10.99.0.2") as pings:
        for count in (nodes - 1, nodes):
            bench.write_fleet(count)
            bench.call("apply", "--yes")
    with pinging(one, "10.99.0.2") as control, other.cut_off():
        time.sleep(1)
    return Packets(len(pings.answered), len(pings.lost), len(control.lost))


# --- faults --------------------------------------------------------------------------------------


def live_histories(seed: int, histories: int) -> Faults:
    """Random histories in a lab, and what became of them."""
    tried, broken = 0, []
    with _lab() as mesh, _struck(mesh) as struck:
        for number in range(seed, seed + histories):
            history = History(mesh, number)
            try:
                history.run(LENGTH)
            except AssertionError as error:
                say(f"seed {number} broke after {history.told}:\n{error}")
                broken.append(f"seed {number}: {str(error)[:200]}")
                history.recover()
            tried += history.counts["two at once"]
            say(f"history {number - seed + 1} of {histories}: {len(struck) + tried} faults so far")
    return Faults(seed, histories, tried + len(struck), broken)


@contextmanager
def _lab() -> Iterator[Mesh]:
    """The lab of the histories."""
    with (
        tempfile.TemporaryDirectory(prefix="wireloom-bench-") as directory,
        open_mesh(Path(directory)) as mesh,
    ):
        yield mesh


@contextmanager
def _struck(mesh: Mesh) -> Iterator[list[str]]:
    """The faults that did happen: not every apply comes to the step that one waits for."""
    operate = mesh.operate
    struck: list[str] = []

    def operate_and_count(fault: Mapping[str, object], *words: str) -> "subprocess.CompletedProcess[str]":
        done = operate(fault, *words)
        struck.extend(line for line in done.stderr.splitlines() if line.startswith("fault: "))
        return done

    mesh.operate = operate_and_count  # type: ignore[method-assign]
    yield struck


# --- the report ----------------------------------------------------------------------------------


def judge(found: Results) -> list[Target]:
    """The measurements, each beside its target."""
    out, packets, faults = median(found.locked_out), found.packets, found.faults
    survived = faults.tried - len(faults.broken)
    return [
        Target(f"locked out, window {WINDOW} s", out, "s", "under 7", out < 7),
        *(
            Target(
                f"careful : {name}, {found.machines} machines", ratio, "times", "at most 1.3", ratio <= 1.3
            )
            for name in ("hoping", "careless")
            for ratio in (found.cost.ratio(name),)
        ),
        Target("faults survived", survived, "", f"all {faults.tried}", not faults.broken),
        Target(f"packets lost, of {packets.answered:,}", packets.lost, "", "none", packets.lost == 0),
        Target(
            "the same, a line cut for a second",
            packets.lost_when_cut,
            "",
            "over 10",
            packets.lost_when_cut > 10,
        ),
    ]


def print_report(found: Results, targets: Sequence[Target]) -> None:
    """All tables, on stdout."""
    for what, seconds in (
        ("from a commit that locks out to SSH again", found.locked_out),
        *((f"apply, one change on each, {name}", seconds) for name, seconds in found.cost.seconds.items()),
    ):
        print(f"{what:<42} {median(seconds):6.2f} s   of " + ", ".join(f"{one:.2f}" for one in seconds))
    for name, steps in found.cost.steps.items():
        print_steps(f"apply, one change on each, {name}", steps)
    print(f"\nhistories of faults: {found.faults.histories}, seed {found.faults.seed} and on")
    for one in found.faults.broken:
        print(f"BROKEN: {one}")
    print_targets(targets)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--machines", type=int, default=40, help="how many to boot (default 40)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    parser.add_argument("--runs", type=int, default=3, help="runs per median (default 3)")
    parser.add_argument("--histories", type=int, default=10, help="histories of faults (default 10)")
    parser.add_argument("--seed", type=int, help="of the first history (default: any)")
    arguments = parser.parse_args()
    if arguments.runs < 1 or arguments.histories < 1:
        parser.error("--runs, --histories: at least 1")
    if not 4 <= arguments.machines <= 250:
        parser.error("--machines: 4 to 250")
    return arguments


def measure(machines: int, runs: int, histories: int, seed: int) -> Results:
    """All four; the machines are gone before the histories begin."""
    with booted(machines) as bench:
        locked_out = lock_out(bench, runs)
        bench.write_fleet(machines)
        bench.call("apply", "--yes")
        packets = count_packets(bench)
        cost = compare(bench, runs)
    return Results(machines, locked_out, cost, packets, live_histories(seed, histories))


def main() -> int:
    """Measure, print, and write the JSON if asked."""
    arguments = parse_arguments()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed

    def measure_all() -> Results:
        return measure(arguments.machines, arguments.runs, arguments.histories, seed)

    return run_bench(measure_all, judge, print_report, runs=arguments.runs, file=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
