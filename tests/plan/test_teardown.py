"""What is taken off a machine, what is not touched, and when nothing is there."""

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest

from tests.network.fleets import key
from tests.plan.world import World, settled
from wireloom.observe.state import (
    AddressSeen,
    ConfigKind,
    ConfigSeen,
    GroundSeen,
    GuardKind,
    KeyKind,
    NodeState,
    OtherFleet,
    RouteSeen,
)
from wireloom.plan.teardown import Teardown, find_obstacle, plan_teardown, refuse_way, tell_key
from wireloom.values import NodeName

A, B = NodeName("a"), NodeName("b")
FENCES = ["route unreachable 10.99.0.0/16", "route unreachable fd42:99::/64"]
GUARD = "table inet wireloom"
BARE: dict[str, Any] = {
    "stamp": None,
    "link": None,
    "config": ConfigSeen(ConfigKind.ABSENT),
    "routes": frozenset(),
    "guard": GuardKind.ABSENT,
}
STORE = {"wg1": OtherFleet("store", guarded=False)}
GUARDED = {"wg1": OtherFleet("store", guarded=True)}
KEYLESS = {"key_kind": KeyKind.ABSENT, "public_key": None}


def seen(world: World, **changes: Any) -> NodeState:
    state = world.seen()[A]
    assert isinstance(state, NodeState)
    return replace(state, **changes)


def plan(state: NodeState) -> Teardown | None:
    world = settled()
    return plan_teardown(world.weave(), world.lock, state)


def goes(**changes: Any) -> list[str]:
    """What its commands take away, from a machine that is otherwise as it should be."""
    teardown = plan(seen(settled(), **changes))
    assert teardown is not None
    return [what for what, _ in teardown.commands]


def test_its_commands_leave_no_route_and_no_table() -> None:
    world = settled()
    teardown = plan(seen(world))
    assert teardown is not None
    assert teardown.fingerprint == seen(world).fingerprint
    machine = world.machines[A]
    for _, words in teardown.commands:
        machine.run(words)
    left = seen(world)
    assert left.guard is GuardKind.ABSENT
    assert not [one for one in left.routes if one.kind == "unreachable"]


STATE = seen(settled())
LINES = STATE.config.keyless.splitlines(keepends=True)
NO_GUARD = replace(
    STATE.config, keyless="".join(line for line in LINES if not line.startswith("PreUp = nft"))
)
THEIRS = RouteSeen("unreachable", ip_network("192.168.77.0/24"), "", 4000000)
FORMER = RouteSeen("unreachable", ip_network("10.98.0.0/16"), "", 4000000)
FENCE = "PreUp = ip route replace unreachable 10.98.0.0/16 metric 4000000"
FORMER_FILED = replace(
    STATE.config, keyless=STATE.config.keyless.replace("[Interface]\n", f"[Interface]\n{FENCE}\n")
)

# what was seen; what goes
GOES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "all of it": ({}, [*FENCES, GUARD]),
    "its range of before, which its file has": (
        {"routes": STATE.routes | {FORMER}, "config": FORMER_FILED},
        ["route unreachable 10.98.0.0/16", *FENCES, GUARD],
    ),
    "not a range of somebody's": ({"routes": STATE.routes | {THEIRS}}, [*FENCES, GUARD]),
    "without its file": ({"config": ConfigSeen(ConfigKind.ABSENT)}, [*FENCES, GUARD]),
    "beside another fleet, its own guard": ({"others": STORE}, [*FENCES, GUARD]),
    "its own guard, also where another file loads one": ({"others": GUARDED}, [*FENCES, GUARD]),
    "not another fleet's guard, whose file is aside": ({"others": STORE, "config": NO_GUARD}, FENCES),
    "without its file, beside another fleet": (
        {"others": STORE, "config": ConfigSeen(ConfigKind.ABSENT)},
        [*FENCES, GUARD],
    ),
    "without its file, beside another fleet's guard": (
        {"others": GUARDED, "config": ConfigSeen(ConfigKind.ABSENT)},
        FENCES,
    ),
    "not another fleet's guard": (
        {"others": GUARDED, "config": NO_GUARD},
        FENCES,
    ),
    "nothing that has gone before": ({"routes": frozenset(), "guard": GuardKind.ABSENT}, []),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), GOES.values(), ids=GOES)
def test_what_goes(changes: dict[str, Any], expected: list[str]) -> None:
    assert goes(**changes) == expected


# what was seen; whether something of this fleet's is there
THERE: dict[str, tuple[dict[str, Any], bool]] = {
    "all of it": ({}, True),
    "a file alone": ({**BARE, "config": STATE.config, **KEYLESS}, True),
    "a note alone": ({**BARE, "stamp": STATE.stamp, **KEYLESS}, True),
    "the key that the lock has": (BARE, True),
    "an interface with the key that the lock has": ({**BARE, **KEYLESS, "link": STATE.link}, True),
    "another key": ({**BARE, "public_key": key(99)}, False),
    "nothing": ({**BARE, **KEYLESS}, False),
}


@pytest.mark.parametrize(("changes", "there"), THERE.values(), ids=THERE)
def test_something_is_there(changes: dict[str, Any], there: bool) -> None:
    assert (plan(seen(settled(), **changes)) is not None) is there


assert STATE.link is not None
assert STATE.stamp is not None
FOREIGN_LINK = replace(STATE.link, public_key=key(99), addresses=frozenset({ip_interface("10.44.0.1/24")}))
ELSEWHERE = GroundSeen(addresses=frozenset({AddressSeen("wgx", ip_interface("10.99.0.1/16"))}))
HERE = GroundSeen(addresses=frozenset({AddressSeen("wg0", ip_interface("10.99.0.1/16"))}))
ANOTHERS = ConfigSeen(ConfigKind.OURS, "# Written by wireloom for a, a node of the fleet store: change\n")
NO_NFT = replace(STATE.system, tools=STATE.system.tools - {"nft"})
ELSEWHERE_FLEET = {"wg1": OtherFleet("shop", guarded=True)}

# what was seen; why the machine is not touched
OBSTACLES: dict[str, tuple[dict[str, Any], str]] = {
    "garbage": ({"garbled": ("stamp", "links")}, "the answer to stamp, links makes no sense"),
    "a garbled note": ({"garbled": ("stamp",)}, "what /var/lib/wireloom/wg0.state says makes no sense"),
    "another fleet": ({"stamp": replace(STATE.stamp, fleet="store")}, "wg0 is the fleet `store`'s"),
    "another fleet, by its file": (
        {"stamp": None, "config": ANOTHERS},
        "/etc/wireguard/wg0.conf is another fleet's",
    ),
    "a file of somebody's": (
        {"config": ConfigSeen(ConfigKind.FOREIGN)},
        "/etc/wireguard/wg0.conf is not wireloom's",
    ),
    "an interface of somebody's": ({"link": FOREIGN_LINK}, "wireloom did not make wg0"),
    "one that is no WireGuard": ({"link": replace(STATE.link, kind="bridge")}, "wireloom did not make wg0"),
    "one with our address and another key": ({"link": replace(STATE.link, public_key=key(99))}, ""),
    "one with our key and no address": ({"link": replace(STATE.link, addresses=frozenset())}, ""),
    "one of which nothing else is left": ({**BARE, "link": STATE.link}, ""),
    "another name": ({"link": None, "ground": ELSEWHERE}, "10.99.0.1 is on wgx: was wg0 renamed?"),
    "its own name": ({"ground": HERE}, ""),
    "no nft": ({"system": NO_NFT}, "nft not found: the guard can't be taken away"),
    "no nft, and nothing there": ({**BARE, **KEYLESS, "system": NO_NFT}, ""),
    "on another interface, where the address is": (
        {**BARE, **KEYLESS, "others": ELSEWHERE_FLEET, "ground": ELSEWHERE},
        "this fleet is on wg1 there",
    ),
    "on another interface": ({**BARE, **KEYLESS, "others": ELSEWHERE_FLEET}, "this fleet is on wg1 there"),
    "on another interface as well": ({"others": ELSEWHERE_FLEET}, ""),
    "ours": ({}, ""),
    "nothing": (BARE, ""),
}


@pytest.mark.parametrize(("changes", "why"), OBSTACLES.values(), ids=OBSTACLES)
def test_what_is_not_touched(changes: dict[str, Any], why: str) -> None:
    world = settled()
    found = find_obstacle(world.weave(), world.lock, seen(world, **changes))
    assert (found.what if found else "") == why


def test_a_key_that_stays_is_told() -> None:
    network = settled().weave()
    assert tell_key(network, STATE) == "/etc/wireguard/wg0.key stays: the lock does not know it"
    assert tell_key(network, seen(settled(), **KEYLESS)) == ""


ITSELF, THROUGH_B = "you come to it over wg0 itself", "you come to it over wg0, by way of b"
# where a's operator comes from, who goes; what is told of a
WAYS: dict[str, tuple[str | None, set[NodeName], list[str]]] = {
    "outside": ("203.0.113.9", {A, B}, []),
    "a peer": ("10.99.0.2", {A}, [ITSELF]),
    "a peer, by IPv6": ("fd42:99::2", {A}, [ITSELF]),
    "a peer that goes": ("10.99.0.2", {B}, [THROUGH_B]),
    "a peer that goes, by IPv6": ("fd42:99::2", {B}, [THROUGH_B]),
    "a peer that goes, too": ("10.99.0.2", {A, B}, [ITSELF]),
    "a peer, and neither goes": ("10.99.0.2", {NodeName("n")}, []),
    "nobody knows where": (None, {A, B}, []),
}


@pytest.mark.parametrize(("client", "going", "told"), WAYS.values(), ids=WAYS)
def test_the_way_in_is_not_cut(client: str | None, going: set[NodeName], told: list[str]) -> None:
    world = settled()
    states = world.seen() | {A: seen(world, client=ip_address(client) if client else None)}
    found = list(refuse_way(world.weave(), states, going))
    assert [(one.where, one.what) for one in found] == [(A, what) for what in told]


def test_a_machine_without_the_interface_is_not_cut_off() -> None:
    world = settled()
    states = {A: seen(world, client=ip_address("10.99.0.2"), link=None)}
    assert list(refuse_way(world.weave(), states, {A, B})) == []
