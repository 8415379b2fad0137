"""What proof by captured packets costs, and how often it cries wolf.

Run it as root with ``.venv/bin/python bench/evidence.py``; ``--help`` says what can be chosen.

- Reading captures: packets a second, of a capture of 100,000 made here.
- Judging: the captures of 50 nodes that each sent marked packets to the 49 others, read and judged.
- ``wireloom verify`` of a lab of ten nodes, marked packets on all 90 ordered pairs: whole processes, one
  after the other, on a network with nothing wrong. Every claim that does not hold is told.
- With ``--machines``, ``wireloom verify --sample`` of so many systemd machines on one wire, as the tests boot
  them; and the sabotages of ``tests/machines/test_sabotage.py``, of which each must be found.

Machines and operator share the processors of one computer. Exit status 0 whatever the numbers are; 1 if
something could not be measured.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from booted import HERE, booted, run_bench, say
from captures import CHOSEN, make_captures, make_peers, make_sender, mixed_traffic
from export import BrokenRunError, Target, print_targets
from tests.e2e.world import World, make_world
from tests.verify.frames import DEVICES

from wireloom.verify.capture import read_watch
from wireloom.verify.claim import Verdict
from wireloom.verify.packets import read_capture
from wireloom.verify.wire import gather, judge_wire

PACKETS = 100_000
NODES = 50
FLEET = """\
fleet: {name}
lab: {{}}
underlay: {{ ipv4: 10.99.0.0/16 }}
sites:
  fsn: {{ private: [10.0.0.0/16] }}
  ams: {{ private: [10.0.0.0/16] }}
  office: {{ nat: true, private: [192.168.178.0/24] }}
nodes:
  f1: {{ site: fsn, ssh: root@203.0.113.11, public: [203.0.113.11], private: [10.0.0.11] }}
  f2: {{ site: fsn, ssh: root@203.0.113.12, public: [203.0.113.12], private: [10.0.0.12] }}
  f3: {{ site: fsn, ssh: root@203.0.113.13, public: [203.0.113.13], private: [10.0.0.13] }}
  f4: {{ site: fsn, ssh: root@203.0.113.14, public: [203.0.113.14] }}
  a1: {{ site: ams, ssh: root@198.51.100.11, public: [198.51.100.11] }}
  a2: {{ site: ams, ssh: root@198.51.100.12, public: [198.51.100.12] }}
  a3: {{ site: ams, ssh: root@198.51.100.13, public: [198.51.100.13] }}
  a4: {{ site: ams, ssh: root@198.51.100.14, public: [198.51.100.14] }}
  o1: {{ site: office, ssh: root@192.168.178.11, private: [192.168.178.11] }}
  o2: {{ site: office, ssh: root@192.168.178.12, private: [192.168.178.12] }}
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """The captures of one run, read and judged: how much there was, and seconds of each."""

    nodes: int
    pairs: int
    packets: int
    reading: float
    judging: float


@dataclass(frozen=True, slots=True)
class Clean:
    """Verifies of a network with nothing wrong: seconds of each, and the claims that did not hold."""

    pairs: int
    seconds: list[float]
    falsified: list[str]
    unknown: list[str]


@dataclass(frozen=True, slots=True)
class Sabotages:
    """How many were tried, and the names of those that were not found."""

    tried: int
    missed: list[str]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything. ``reading`` is in packets a second; ``booted`` is of systemd machines, if any."""

    reading: float
    judged: Judged
    clean: Clean
    booted: Clean | None = None
    sabotages: Sabotages | None = None


def read_speed() -> float:
    """Packets a second, the best of three: other work on the computer is not what is measured."""
    data, best = mixed_traffic(PACKETS), 0.0
    for _ in range(3):
        begun = time.perf_counter()
        found = sum(1 for _ in read_capture(data, DEVICES))
        best = max(best, found / (time.perf_counter() - begun))
        if found != PACKETS:
            raise BrokenRunError(f"{PACKETS:,} packets were written, {found:,} read")
    return best


def judge_fleet() -> Judged:
    """What 50 nodes captured while each sent its marked packets to all others, and nothing went wrong."""
    peers = make_peers(NODES)
    others = {name: [peer for other, peer in peers.items() if other != name] for name in peers}
    senders = {name: make_sender(name, others[name]) for name in peers}
    files = make_captures(senders)
    begun = time.perf_counter()
    watches = {name: read_watch(data, "", DEVICES) for name, data in files.items()}
    read = time.perf_counter()
    wire = gather("wg0", CHOSEN, watches, senders)
    claims = [claim for name in peers for claim in judge_wire(name, others[name], senders[name], wire)]
    judged = time.perf_counter()
    pairs = NODES * (NODES - 1)
    wrong = [claim.detail for claim in claims if claim.verdict is not Verdict.HOLDS]
    if wrong or len(claims) != 3 * pairs:
        raise BrokenRunError(f"of {len(claims)} claims {len(wrong)} don't hold: {wrong[:3]}")
    packets = sum(len(watch.packets) for watch in watches.values())
    return Judged(NODES, pairs, packets, read - begun, judged - read)


def run_clean(runs: int) -> Clean:
    """So many verifies of ten nodes at three sites, two of them behind NAT."""
    with tempfile.TemporaryDirectory(prefix="wireloom-bench-") as name, lab(Path(name)) as world:
        return verify_again_and_again(runs, lambda: world.run("--json", "verify", expect=None).stdout)


@contextmanager
def lab(directory: Path) -> Iterator[World]:
    """The lab, its network up; taken down whatever happens."""
    world = make_world(directory, FLEET)
    try:
        world.run("lab", "up")
        world.run("apply", "--yes")
        yield world
    finally:
        world.run("lab", "down", expect=None)


def run_booted(machines: int, runs: int) -> Clean:
    """The same of so many systemd machines."""
    with booted(machines) as bench:
        bench.write_fleet(machines)
        bench.call("apply", "--yes")
        return verify_again_and_again(
            runs, lambda: bench.group.operator.run("--json", "verify", "--sample", expect=None).stdout
        )


def sabotage() -> Sabotages:
    """What is done to machines in the tests: how many of it were tried, and which were not found."""
    test = "tests/machines/test_sabotage.py::test_it_is_found"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=no", test],
        cwd=HERE.parent,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode not in {0, 1}:
        raise BrokenRunError(f"the sabotages could not be tried: {done.stdout[-500:]}")
    counted = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed)", done.stdout)}
    missed = re.findall(r"^FAILED .*\[(.*?)\]", done.stdout, re.MULTILINE)
    return Sabotages(sum(counted.values()), missed)


def verify_again_and_again(runs: int, verify: Callable[[], str]) -> Clean:
    """Seconds of each, and what did not hold."""
    seconds: list[float] = []
    told: dict[str, list[str]] = {"falsified": [], "unknown": []}
    pairs = 0
    for run in range(1, runs + 1):
        begun = time.perf_counter()
        said = verify()
        seconds.append(time.perf_counter() - begun)
        try:
            evidence: dict[str, Any] = json.loads(said)
        except ValueError:
            raise BrokenRunError(f"verify did not come to its end: {said[-500:]}") from None
        pairs = evidence["pairs"]["tested"]
        for claim in evidence["claims"]:
            if claim["verdict"] != "holds":
                one = f"{claim['claim']} {claim['from']} → {claim['to']}: {claim['detail']}"
                say(f"run {run}: {claim['verdict']}: {one}")
                told[claim["verdict"]].append(f"run {run}: {one}")
        say(f"run {run} of {runs}: {seconds[-1]:.1f} s, {evidence['verdict']}")
    return Clean(pairs, seconds, **told)


def judge(found: Results) -> list[Target]:
    """The measurements that have a target, beside it."""
    judged, clean = found.judged, found.clean
    whole = judged.reading + judged.judging
    took, runs = median(clean.seconds), len(clean.seconds)
    targets = [
        Target("reading captures", round(found.reading), "/s", "30,000 packets", found.reading >= 30_000),
        Target(f"{judged.nodes} nodes, {judged.pairs:,} pairs judged", whole, "s", "under 20", whole < 20),
        Target(f"verify of 10 nodes, {clean.pairs} pairs", took, "s", "under 15", took < 15),
        Target(f"false alarms in {runs} runs", len(clean.falsified), "", "none", not clean.falsified),
        Target("not told in the same", len(clean.unknown), "", "none", not clean.unknown),
    ]
    if found.sabotages is not None:
        tried, missed = found.sabotages.tried, found.sabotages.missed
        targets.append(Target("sabotages found", tried - len(missed), "", f"all {tried}", not missed))
    if found.booted is not None:
        took, pairs = median(found.booted.seconds), found.booted.pairs
        targets.append(Target(f"verify of machines, {pairs:,} pairs", took, "s", "under 30", took < 30))
        wrong = len(found.booted.falsified) + len(found.booted.unknown)
        targets.append(Target("claims of it that don't hold", wrong, "", "none", not wrong))
    return targets


def print_report(found: Results, targets: Sequence[Target]) -> None:
    """All of it, on stdout."""
    judged = found.judged
    print(f"captures of {judged.nodes} nodes: {judged.packets:,} packets")
    print(f"{'read':<38} {judged.reading:8.2f} s\n{'judged':<38} {judged.judging:8.2f} s")
    for what, clean in (("10 nodes in a lab", found.clean), ("systemd machines", found.booted)):
        if clean is not None:
            told = (min(clean.seconds), median(clean.seconds), max(clean.seconds))
            print(f"verify, {what:<30} {told[1]:8.2f} s   of {told[0]:.2f} to {told[2]:.2f}")
            for one in (*clean.falsified, *clean.unknown):
                print(f"  {one}")
    for one in found.sabotages.missed if found.sabotages else ():
        print(f"not found: {one}")
    print_targets(targets)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clean-runs", type=int, default=5, help="verifies of the lab (default 5)")
    parser.add_argument(
        "--machines", type=int, default=0, help="systemd machines to boot, too (default none)"
    )
    parser.add_argument("--runs", type=int, default=3, help="verifies of these (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    arguments = parser.parse_args()
    if arguments.clean_runs < 1 or arguments.runs < 1:
        parser.error("--clean-runs, --runs: at least 1")
    if arguments.machines and not 4 <= arguments.machines <= 250:
        parser.error("--machines: 4 to 250")
    return arguments


def measure(clean_runs: int, machines: int, runs: int) -> Results:
    """All of it, in turn."""
    reading = read_speed()
    judged = judge_fleet()
    clean = run_clean(clean_runs)
    if not machines:
        return Results(reading, judged, clean)
    return Results(reading, judged, clean, run_booted(machines, runs), sabotage())


def main() -> int:
    """Measure, print, and write the JSON if asked."""
    arguments = parse_arguments()
    clean_runs, machines, runs = arguments.clean_runs, arguments.machines, arguments.runs
    return run_bench(
        lambda: measure(clean_runs, machines, runs),
        judge,
        print_report,
        runs=clean_runs,
        file=arguments.json,
        boots=bool(machines),
    )


if __name__ == "__main__":
    sys.exit(main())
