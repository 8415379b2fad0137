"""Marked packets from and to pods, on machines of a lab with VXLAN over the tunnel, as flannel lays it."""

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.e2e.world import World, make_world
from wireloom.cli.settings import Settings
from wireloom.cli.world import open_crew, open_world
from wireloom.cluster.seen import Member
from wireloom.report.terminal import Progress
from wireloom.transport.port import Completed
from wireloom.values import NodeName
from wireloom.verify.claim import Claim
from wireloom.verify.cluster.canaries import Stage, send_pod_canaries
from wireloom.verify.cluster.intended import intend
from wireloom.verify.cluster.judge import judge_trials
from wireloom.verify.cluster.layers import judge_layers
from wireloom.verify.cluster.probes import PORT, Probe, Probes
from wireloom.verify.cluster.reading import read_reading, reading_script
from wireloom.verify.cluster.trials import choose_trials, read_tried, trying_script

RUN = "wireloom-verify-0a1b2c3d"
NAMES = tuple(map(NodeName, ("cp1", "cp2", "w1")))
FLEET = """\
fleet: {name}
lab: {{}}
underlay: {{ ipv4: 10.99.0.0/16 }}
sites: {{ fsn: {{}}, ams: {{}}, office: {{ nat: true, private: [192.168.178.0/24] }} }}
nodes:
  cp1: {{ site: fsn, ssh: root@203.0.113.10, public: [203.0.113.10], roles: [k3s-server] }}
  cp2: {{ site: ams, ssh: root@198.51.100.20, public: [198.51.100.20], roles: [k3s-agent] }}
  w1: {{ site: office, ssh: root@192.168.178.40, private: [192.168.178.40], roles: [k3s-agent] }}
kubernetes: {{ pods: [10.42.0.0/16] }}
"""

# What flannel and the CNI bridge plugin would do, and a pod.
MACHINE = """\
set -e
sysctl -qw net.ipv4.ip_forward=1
ip link add flannel.1 address 02:00:00:00:00:0{i} type vxlan id 1 local 10.99.0.{i} dev wg0 dstport 8472 \\
    nolearning
ip link set flannel.1 mtu {mtu} up && ip address add 10.42.{i}.0/32 dev flannel.1
ip link add cni0 mtu {mtu} type bridge && ip link set cni0 up && ip address add 10.42.{i}.1/24 dev cni0
PROBE={run}/{name}/ setsid unshare --net sleep 1000 </dev/null >/dev/null 2>&1 &
sleep 0.5
pid=$(grep -lsF '{run}/{name}/' /proc/[0-9]*/environ | head -n 1 | cut -d/ -f3)
ip link add vethpod mtu {mtu} master cni0 type veth peer eth0 netns "$pid" && ip link set vethpod up
nsenter -t "$pid" -n sh -c '
    ip link set lo up; ip link set eth0 mtu {mtu} up
    ip address add 10.42.{i}.7/24 dev eth0
    ip route add default via 10.42.{i}.1'
nft 'table ip out {{ chain leaving {{ type nat hook postrouting priority 100;
    ip saddr 10.42.0.0/16 ip daddr != 10.42.0.0/16 masquerade; }}; }}'
mkdir -p /run/pod && echo {name} >/run/pod/index.html
nsenter -t "$pid" -n setsid python3 -m http.server {port} --directory /run/pod </dev/null >/dev/null 2>&1 &
"""
OTHER = """\
ip route add 10.42.{j}.0/24 via 10.42.{j}.0 dev flannel.1 onlink
bridge fdb append 02:00:00:00:00:0{j} dev flannel.1 dst 10.99.0.{j}
ip neighbour add 10.42.{j}.0 lladdr 02:00:00:00:00:0{j} dev flannel.1
"""

MEMBERS = {
    name: Member(
        name,
        ready=True,
        internal=(ip_address(f"10.99.0.{place}"),),
        pods=(ip_network(f"10.42.{place}.0/24"),),
    )
    for place, name in enumerate(NAMES, 1)
}
PROBES = Probes(
    {name: Probe((ip_address(f"10.42.{place}.7"),), ready=True) for place, name in enumerate(NAMES, 1)}
)
PAIRS = {name: [other for other in NAMES if other != name] for name in NAMES}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = make_world(tmp_path_factory.mktemp("pods"), FLEET)
    try:
        made.run("lab", "up")
        made.run("apply", "--yes")
        mtu = 1390
        for place, name in enumerate(NAMES, 1):
            others = "".join(OTHER.format(j=j) for j in range(1, 4) if j != place)
            made.shell(name, MACHINE.format(i=place, name=name, run=RUN, port=PORT, mtu=mtu) + others)
        yield made
    finally:
        made.run("lab", "down", expect=None)


async def claims_of(path: Path) -> list[Claim]:
    """All that can be tried without an API server."""
    world = open_world(Settings(file=path))
    intended = intend(world.fleet, world.network)
    assert intended is not None
    async with open_crew(world, yes=True, progress=Progress(quiet=True)) as crew:
        trials = {name: dict(enumerate(choose_trials(name, PAIRS[name], MEMBERS, PROBES))) for name in NAMES}
        scripts = {name: trying_script(RUN, name, NAMES, trials[name]) for name in NAMES}
        answers = await crew.run(scripts, timeout=60)
        tried = {name: read_tried(one.stdout) for name, one in answers.items() if isinstance(one, Completed)}
        claims = [
            claim
            for name in NAMES
            for claim in judge_trials(name, PAIRS[name], trials[name], tried[name], PROBES)
        ]
        ask = {name: reading_script("wireloom-5eed", MEMBERS[name], list(MEMBERS.values())) for name in NAMES}
        told = await crew.run(ask, timeout=30)
        readings = {
            name: read_reading(one.stdout, "wireloom-5eed")
            for name, one in told.items()
            if isinstance(one, Completed)
        }
        claims += judge_layers(intended, MEMBERS, readings, PAIRS)
        stage = Stage(intended, world.network, MEMBERS, PROBES, tried)
        return [*claims, *(await send_pod_canaries(stage, crew, PAIRS)).claims]


def wrong(lab: World) -> dict[tuple[str, str, str | None], str]:
    claims = asyncio.run(claims_of(lab.fleet_file))
    assert {one.claim for one in claims} >= {
        "pod-pod",
        "pod-node",
        "node-pod",
        "pod-mtu",
        "pod-way",
        "pod-canary",
    }
    return {
        (one.claim, one.source, one.target): f"{one.verdict}: {one.detail}"
        for one in claims
        if one.verdict != "holds" and one.claim != "pod-service"
    }


def test_all_holds(lab: World) -> None:
    assert wrong(lab) == {}


BESIDE = "bridge fdb replace 02:00:00:00:00:02 dev flannel.1 dst {}"
"""Where cp1 sends what is for cp2's pods."""


def test_the_guard_keeps_in_what_would_go_beside(lab: World) -> None:
    lab.shell("cp1", BESIDE.format("198.51.100.20"))
    found = wrong(lab)
    lab.shell("cp1", BESIDE.format("10.99.0.2"))
    assert {frozenset(about[1:]) for about in found} == {frozenset(("cp1", "cp2"))}
    way = "falsified: flannel.1 sends to 198.51.100.20 by eth0, beside wg0"
    assert found["pod-way", "cp1", "cp2"] == way
    assert found["pod-canary", "cp1", "cp2"].startswith("falsified: did not go into a tunnel at cp1")


def test_without_the_guard_it_is_seen_in_clear(lab: World) -> None:
    lab.shell("cp1", f"nft delete table inet wireloom; {BESIDE.format('198.51.100.20')}")
    found = wrong(lab)
    lab.shell("cp1", BESIDE.format("10.99.0.2"))
    lab.run("apply", "--yes")
    assert found["pod-canary", "cp1", "cp2"].startswith("falsified: in clear on eth0 of cp1")
    assert {frozenset(about[1:]) for about in found} == {frozenset(("cp1", "cp2"))}


def test_a_size_that_does_not_fit_is_found_in_both_ways(lab: World) -> None:
    lab.shell("cp2", "ip link set wg0 mtu 1300")
    found = wrong(lab)
    lab.shell("cp2", "ip link set wg0 mtu 1440")
    assert found["pod-mtu", "cp2", None].startswith(
        "falsified: flannel.1 takes 1390 bytes, wg0 has room for 1250"
    )
