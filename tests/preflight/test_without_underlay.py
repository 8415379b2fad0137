"""What is asked of machines on which no underlay is built, because the network plugin alone encrypts."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.plan.machine import TOOLS
from tests.plan.world import World, settled, three
from tests.preflight.look import A, Changes, N, alter, find, inspect_world, lines
from wireloom.intent.fleet import Kubernetes
from wireloom.observe.state import NodeState
from wireloom.plan.fleet import leave_alone
from wireloom.preflight.install import plan_installations

PODS = (ip_network("10.42.0.0/16"),)
CNI = Kubernetes("k3s", "v1.34.2+k3s1", encrypt="cni", flannel_backend="wireguard-native", pods=PODS)

# What is an error each below an underlay.
OF_UNDERLAYS: dict[str, Changes] = {
    "no nft, wg-quick, unshare": {"tools": TOOLS - {"nft", "wg-quick", "unshare"}},
    "no WireGuard in the kernel, and no program": {"kernel_wireguard": False, "link": None, "tun": False},
    "its port taken": {"link": None, "port_holder": "flannel-wg"},
}


def below_cni() -> World:
    """Three machines with nothing on them."""
    return World(replace(three(), kubernetes=CNI))


@pytest.mark.parametrize("changes", OF_UNDERLAYS.values(), ids=OF_UNDERLAYS)
def test_what_only_an_underlay_needs_is_not_missed(changes: Changes) -> None:
    assert find({A: changes}, below_cni()) == []
    assert find({A: changes}) != []


def test_what_k3s_and_verify_need_is() -> None:
    found = find({A: {"tools": TOOLS - {"wg", "ip", "tcpdump", "nft"}}}, below_cni())
    assert lines(found) == [
        (A, "tools", "error", "wg, ip not found"),
        (A, "tools", "warning", "tcpdump not found: `verify` captures packets with it"),
    ]


LEFT = "wg0 of generation 1 is there, and is left as it is: no underlay is made (`encrypt: cni`)"
IN_THE_WAY = "wg0 has UDP port 51820, where flannel's WireGuard is to listen"
NO_K3S = replace(CNI, version=None)
OTHER_FAMILY = replace(CNI, pods=(ip_network("fd00:42::/56"),))

# name: (the cluster, what was seen, what is told)
LEFTOVERS: dict[str, tuple[Kubernetes, Changes, tuple[str, ...]]] = {
    "where flannel is to listen": (CNI, {}, ("port", "error", IN_THE_WAY)),
    "somebody else's there": (CNI, {"stamp": None}, ("port", "error", IN_THE_WAY)),
    "where flannel listens for the other family": (OTHER_FAMILY, {}, ("ownership", "warning", LEFT)),
    "of a fleet that gets no k3s": (NO_K3S, {}, ("ownership", "warning", LEFT)),
    "somebody else's": (NO_K3S, {"stamp": None}, ()),
    "not there": (CNI, {"link": None}, ()),
}


@pytest.mark.parametrize(("cluster", "changes", "told"), LEFTOVERS.values(), ids=LEFTOVERS)
def test_an_interface_that_is_there_all_the_same(
    cluster: Kubernetes, changes: Changes, told: tuple[str, ...]
) -> None:
    world = settled()
    world.change(replace(world.fleet, kubernetes=cluster))
    state = world.seen()[A]
    assert isinstance(state, NodeState)
    seen = {**world.seen(), A: alter(state, changes)}
    found = [one for one in inspect_world(world, seen) if one.node == A]
    assert [line[1:] for line in lines(found)] == ([told] if told else [])
    plan = leave_alone(world.fleet, world.lock, {A: seen[A]})
    assert [one.what for one in (*plan.refusals, *plan.notes)] == list(told[2:])
    assert bool(plan.refusals) is ("error" in told)


def test_who_is_not_dialled_has_nothing_to_get() -> None:
    world = below_cni()
    seen = {name: state for name, state in world.seen().items() if name != N}
    assert inspect_world(world, seen) == ()


def test_no_program_is_installed_for_flannels_wireguard() -> None:
    state = settled().seen()[A]
    assert isinstance(state, NodeState)
    system = replace(state.system, kernel_wireguard=False, tools=TOOLS - {"wireguard-go", "nft", "ping"})
    seen = {A: replace(state, link=None, system=system)}
    assert [one.packages for one in plan_installations(seen, underlay=False)] == [("iputils-ping",)]
    assert [one.packages for one in plan_installations(seen)] == [
        ("iputils-ping", "nftables", "wireguard-go")
    ]
