"""What is asked of machines on which no underlay is built, because the network plugin alone encrypts."""

from dataclasses import replace

import pytest

from tests.plan.machine import TOOLS
from tests.plan.world import World, settled
from tests.preflight.look import A, Changes, N, find, inspect_world, lines
from wireloom.intent.fleet import Kubernetes
from wireloom.observe.state import NodeState
from wireloom.preflight.install import plan_installations

CNI = Kubernetes(encrypt="cni", flannel_backend="wireguard-native")

# What is an error each below an underlay.
OF_UNDERLAYS: dict[str, Changes] = {
    "no nft, wg-quick, unshare": {"tools": TOOLS - {"nft", "wg-quick", "unshare"}},
    "no WireGuard in the kernel, and no program": {"kernel_wireguard": False, "link": None, "tun": False},
    "its port taken": {"link": None, "port_holder": "flannel-wg"},
}


def below_cni() -> World:
    world = settled()
    world.change(replace(world.fleet, kubernetes=CNI))
    return world


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
