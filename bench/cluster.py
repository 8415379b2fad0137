"""What it takes to bring k3s to machines, beside the same by hand; and what pods get of the network.

Run it as root with ``WIRELOOM_K3S=$(scripts/k3s-standin) .venv/bin/python bench/cluster.py``; ``--help`` says
what can be chosen. ``WIRELOOM_K3S`` names a k3s, whose images are in ``images/`` beside it.

Two questions, on systemd machines on one wire, as the tests boot them:

- from blank machines, the network included, to all nodes Ready: ``wireloom apply``, and by ssh and scp alone
  (``by_hand.sh``), in turn, each on machines of its own;
- between pods of two machines: TCP throughput by iperf3, and the round trip of pings, beside the same between
  the machines over the same WireGuard, in turn within one run: with vxlan and with host-gw on the underlay,
  and with vxlan that nothing encrypts. Each as fast as the processors go, which all of them share here; and
  on a wire of a given rate, far less than that, where the throughput is told beside what the sizes of headers
  let expect. The one says what pods cost in processor time, the other what in bytes.

For its run it raises two limits of the kernel, which it puts back. Exit status 0 whatever the numbers are; 1
if something could not be measured.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from booted import HERE, LIMITS, Bench, Step, print_steps, raised, read_steps, run_bench, say
from export import BrokenRunError, Target, print_targets
from pods import BACKENDS, PODS, UNDERLAY, Network, Pace, try_networks
from tests.k3s.conftest import find_obstacle, node_machines
from tests.k3s.hand import ready
from tests.k3s.machine import find_k3s, find_k3s_recipe
from tests.k3s.road import server_of, supply
from tests.machines.image import find_place, provide_image
from wire import parse_rate, reckon

PHASES = {"network": "", "bringing": "bringing k3s to", "server": "cp1 begins", "agents": "starting"}
"""Each with how the step of ``wireloom apply`` is named that begins it."""
ROLES = {"cp1": "server", "w1": "agent", "w2": "agent", "w3": "agent"}
WIRELOOM, BY_HAND = "wireloom apply", "by hand"
HAND_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Road:
    """From blank machines to all Ready, once. Seconds: of the whole process, and in each of ``PHASES``."""

    seconds: float
    phases: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything: each run of both ways, the steps of wireloom's last; networks by name.

    ``loads``: of the computer before each run. ``rate``: of the slow wire, Mbit/s; 0 without one.
    """

    roads: Mapping[str, list[Road]]
    loads: list[float]
    steps: list[Step]
    networks: Mapping[str, Network]
    rate: int


# --- from blank machines to all Ready --------------------------------------------------------------


def travel(
    image: Path, k3s: Path, scratch: Path, runs: int
) -> tuple[dict[str, list[Road]], list[float], list[Step]]:
    """Both ways in turn, the other one first in every second run."""
    roads: dict[str, list[Road]] = {WIRELOOM: [], BY_HAND: []}
    loads, record = [], scratch / "steps.json"
    ways: dict[str, Callable[[Bench], Road]] = {
        WIRELOOM: lambda bench: by_wireloom(bench, k3s, record),
        BY_HAND: lambda bench: by_hand(bench, k3s),
    }
    for run in range(runs):
        for way in list(ways)[:: 1 if run % 2 == 0 else -1]:
            directory = scratch / f"{way.replace(' ', '-')}-{run}"
            directory.mkdir()
            with node_machines(tuple(ROLES), image, directory) as group:
                loads.append(os.getloadavg()[0])
                found = ways[way](Bench(group, directory))
                nodes = ready(server_of(group))
                if nodes != set(ROLES):
                    raise BrokenRunError(f"{way}: only {sorted(nodes)} are Ready")
            roads[way].append(found)
            told = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in found.phases.items())
            say(f"{way}: {found.seconds:.1f} s: {told}")
    return roads, loads, fold(read_steps(record)) if runs else []


def by_wireloom(bench: Bench, k3s: Path, record: Path) -> Road:
    """All of it by one command."""
    lines = ["fleet: bench", "underlay: { ipv4: 10.99.0.0/16 }", "sites: { dc: {} }", "nodes:"]
    for machine in bench.all:
        ip, role = machine.address.ip, ROLES[machine.name]
        lines.append(f"  {machine.name}: {{ site: dc, ssh: root@{ip}, public: [{ip}], roles: [k3s-{role}] }}")
    lines.append("kubernetes: { version: v1.34.2+k3s1, flannel_backend: vxlan }")
    bench.group.operator.fleet_file.write_text("\n".join(lines) + "\n")
    seconds = bench.call("apply", "--yes", *supply(k3s), record=record)
    return Road(seconds, add_up(read_steps(record)))


def add_up(steps: Sequence[Step]) -> dict[str, float]:
    """The seconds of each phase."""
    phases = dict.fromkeys(PHASES, 0.0)
    now, *later = PHASES
    for step in steps:
        if later and step.name.startswith(PHASES[later[0]]):
            now, *later = later
        phases[now] += step.seconds
    if later:
        raise BrokenRunError(f"wireloom tells of no {later[0]}: have its words changed?")
    return phases


def fold(steps: Sequence[Step]) -> list[Step]:
    """The pieces of a file as one step."""
    folded: dict[str, list[Step]] = {}
    for step in steps:
        sending = step.name.startswith("sending ")
        folded.setdefault(step.name.rpartition(": ")[0] if sending else step.name, []).append(step)
    return [
        Step(
            name=name,
            login=sum(one.login for one in parts),
            answer=sum(one.answer for one in parts),
            seconds=sum(one.seconds for one in parts),
            cpu=sum(one.cpu for one in parts),
            sent=sum(one.sent for one in parts),
        )
        for name, parts in folded.items()
    ]


def by_hand(bench: Bench, k3s: Path) -> Road:
    """An operator's script. Raises BrokenRunError."""
    group = bench.group
    addresses = [str(machine.address.ip) for machine in bench.all]
    script = [str(HERE / "by_hand.sh"), str(group.operator.home / ".ssh" / "id_ed25519")]
    done = subprocess.run(
        [
            "nsenter",
            f"--net={group.space.net}",
            "--",
            *script,
            str(k3s),
            str(k3s.parent / "images"),
            *addresses,
        ],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HAND_SECONDS,
    )
    if done.returncode != 0:
        raise BrokenRunError(f"by hand: {done.returncode} after\n{done.stdout}{done.stderr[-2000:]}")
    phases = {phase: float(seconds) for phase, seconds in map(str.split, done.stdout.splitlines())}
    return Road(sum(phases.values()), phases)


# --- the report ------------------------------------------------------------------------------------


def judge(found: Results) -> list[Target]:
    """The measurements that have a target, beside it."""
    targets = []
    if found.loads:
        ours, theirs = (median(one.seconds for one in found.roads[way]) for way in (WIRELOOM, BY_HAND))
        targets.append(
            Target("blank to Ready, by hand = 1", ours / theirs, "times", "at most 1.2", ours <= 1.2 * theirs)
        )
    if "host-gw" in found.networks:
        share = found.networks["host-gw"].share(UNDERLAY)
        what = "host-gw, pods : machines, processors"
        targets.append(Target(what, share, "", "at least 0.95", share >= 0.95))
    return targets + (judge_wire(found.networks, found.rate) if found.rate else [])


def judge_wire(networks: Mapping[str, Network], rate: int) -> list[Target]:
    """The slow wire. First whether it was what held machines back: else pods' share says nothing of it."""
    targets = []
    for name, network in networks.items():
        ways = (way for key, way in network.ways.items() if key != PODS)
        shares = [median(way.wire_mbits) / reckon(rate, way.mtu, way.tunnels) for way in ways]
        worst = max(shares, key=lambda one: abs(one - 1))
        what = f"wire : reckoned, {name}"
        targets.append(Target(what, worst, "", "0.98 to 1.02", abs(worst - 1) <= 0.02))
    if "host-gw" in networks:
        share = networks["host-gw"].wire_share(UNDERLAY)
        what = f"host-gw, pods : machines, {rate} Mbit/s"
        targets.append(Target(what, share, "", "at least 0.95", share >= 0.95))
    return targets


def print_report(found: Results, targets: Sequence[Target]) -> None:
    """All tables, on stdout."""
    if found.loads:
        print_roads(found)
    if found.networks:
        print_networks(found.networks)
    if found.networks and found.rate:
        print_wire(found.networks, found.rate)
    print_targets(targets)


def print_roads(found: Results) -> None:
    """Both ways, phase by phase."""
    print(f"blank machines to {len(ROLES)} nodes Ready, seconds{WIRELOOM:>20}{BY_HAND:>16}")
    for phase in PHASES:
        ours, theirs = (median(one.phases[phase] for one in found.roads[way]) for way in (WIRELOOM, BY_HAND))
        print(f"  {phase:<36}{ours:20.1f}{theirs:16.1f}")
    ours, theirs = (median(one.seconds for one in found.roads[way]) for way in (WIRELOOM, BY_HAND))
    print(f"  {'all':<36}{ours:20.1f}{theirs:16.1f}")
    for way, roads in found.roads.items():
        print(f"  {way}, each run: {', '.join(f'{one.seconds:.1f}' for one in roads)}")
    print(f"  the load before each run: {', '.join(f'{one:.1f}' for one in found.loads)}")
    print_steps("wireloom apply, the last", found.steps)


def print_networks(networks: Mapping[str, Network]) -> None:
    """Every way as fast as the processors go, and what pods get of the others."""
    datapaths = ", ".join(sorted({one.datapath for one in networks.values()}))
    print(f"\nfrom machine to machine, WireGuard is {datapaths}")
    print(f"{'as fast as the processors go':<32}{'Mbit/s':>10}{'ratio':>8}{'rtt ms':>9}{'ratio':>8}")
    for name, network in networks.items():
        print(name)
        for way, one in network.ways.items():
            of_base = "" if way == PODS else f"{network.share(way):8.2f}"
            slower = "" if way == PODS else f"{network.delay(way):8.2f}"
            print(f"  {way:<30}{median(one.mbits):10,.0f}{of_base:8}{median(one.rtts):9.3f}{slower:8}")


def print_wire(networks: Mapping[str, Network], rate: int) -> None:
    """The same on the slow wire, each figure beside what it should be by arithmetic."""
    print(f"\n{f'on a wire of {rate} Mbit/s':<32}{'Mbit/s':>10}{'reckoned':>10}{'ratio':>8}{'reckoned':>10}")
    for name, network in networks.items():
        print(name)
        expected = {key: reckon(rate, way.mtu, way.tunnels) for key, way in network.ways.items()}
        for way, one in network.ways.items():
            of_base = f"{network.wire_share(way):8.3f}{expected[PODS] / expected[way]:10.3f}"
            told = "" if way == PODS else of_base
            print(f"  {way:<30}{median(one.wire_mbits):10.1f}{expected[way]:10.1f}{told}")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to FILE")
    parser.add_argument(
        "--runs", type=int, default=3, help="runs of each way to a cluster (default 3; 0: none)"
    )
    parser.add_argument("--turns", type=int, default=5, help="turns on each network (default 5; 0: none)")
    parser.add_argument("--network", action="append", choices=BACKENDS, help="only this one; repeatable")
    parser.add_argument(
        "--wire",
        type=parse_rate,
        default="100mbit",
        metavar="RATE",
        help="also on a wire of this rate, such as 100mbit or 1gbit (default 100mbit; 0: not)",
    )
    parser.add_argument("--seconds", type=int, default=5, help="of one iperf3 (default 5)")
    arguments = parser.parse_args()
    if arguments.runs < 0 or arguments.turns < 0:
        parser.error("--runs, --turns: not less than 0")
    if not 1 <= arguments.seconds <= 30:
        parser.error("--seconds: 1 to 30")
    return arguments


def main() -> int:
    """Measure, print, and write the JSON if asked."""
    arguments = parse_arguments()
    k3s = find_k3s()
    obstacle = find_obstacle()
    if k3s is None or obstacle:
        say(obstacle)
        return 1

    def measure() -> Results:
        recipe = find_k3s_recipe()
        image = provide_image(recipe, find_place(recipe))
        with tempfile.TemporaryDirectory(prefix="wireloom-bench-") as name, raised(LIMITS):
            roads, loads, steps = travel(image, k3s, Path(name), arguments.runs)
            names = arguments.network or list(BACKENDS)
            pace = Pace(arguments.turns, arguments.seconds, arguments.wire)
            networks = try_networks(names, image, k3s, Path(name), pace)
            return Results(roads, loads, steps, networks, arguments.wire)

    return run_bench(measure, judge, print_report, runs=arguments.runs, file=arguments.json)


if __name__ == "__main__":
    sys.exit(main())
