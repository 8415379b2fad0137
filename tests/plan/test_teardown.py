"""What is taken off a machine, what is not touched, and when nothing is there."""

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from tests.network.fleets import key
from tests.plan.world import World, settled
from wireloom.errors import Diagnostic
from wireloom.observe.state import (
    ConfigKind,
    ConfigSeen,
    GuardKind,
    KeyKind,
    NodeState,
    OtherFleet,
    RouteSeen,
)
from wireloom.plan.teardown import plan_teardown, refuse_way, tell_key, whose_else
from wireloom.render.guard import REMOVE
from wireloom.values import NodeName

A = NodeName("a")
FENCES = ("route unreachable 10.99.0.0/16", "route unreachable fd42:99::/64")
GUARD = "table inet wireloom"
BARE: dict[str, Any] = {
    "stamp": None,
    "link": None,
    "config": ConfigSeen(ConfigKind.ABSENT),
    "routes": frozenset(),
    "guard": GuardKind.ABSENT,
}
KEYLESS = {"key_kind": KeyKind.ABSENT, "public_key": None}
STORE = {"wg1": OtherFleet("store", guarded=False)}
GUARDED = {"wg1": OtherFleet("store", guarded=True)}


def seen(world: World, **changes: Any) -> NodeState:
    state = world.seen()[A]
    assert isinstance(state, NodeState)
    return replace(state, **changes)


def test_its_commands_leave_no_route_and_no_table() -> None:
    world = settled()
    teardown = plan_teardown(world.lock, seen(world))
    assert teardown is not None
    assert tuple(what for what, _ in teardown.commands) == (*FENCES, GUARD)
    assert teardown.fingerprint == seen(world).fingerprint
    machine = world.machines[A]
    for _, words in teardown.commands:
        machine.run(words)
    left = seen(world)
    assert left.guard is GuardKind.ABSENT
    assert not [one for one in left.routes if one.kind == "unreachable"]


def without_guard(state: NodeState) -> ConfigSeen:
    lines = state.config.keyless.splitlines(keepends=True)
    return replace(
        state.config, keyless="".join(line for line in lines if not line.startswith("PreUp = nft"))
    )


def test_another_fleets_guard_and_ranges_stay() -> None:
    state = seen(settled())
    theirs = RouteSeen("unreachable", next(iter(state.link.addresses)).network.supernet(), "", 4000000)  # type: ignore[union-attr]
    shared = replace(state, others=GUARDED, config=without_guard(state), routes=state.routes | {theirs})
    teardown = plan_teardown(settled().lock, shared)
    assert teardown is not None
    assert tuple(what for what, _ in teardown.commands) == FENCES


def test_its_own_guard_goes_also_beside_another_fleet() -> None:
    teardown = plan_teardown(settled().lock, seen(settled(), others=STORE))
    assert teardown is not None
    assert teardown.commands[-1] == (GUARD, ("nft", REMOVE))


# what was seen; whether something of this fleet's is there
THERE: dict[str, tuple[dict[str, Any], bool]] = {
    "all of it": ({}, True),
    "a file alone": ({**BARE, "config": seen(settled()).config, **KEYLESS}, True),
    "a note alone": ({**BARE, "stamp": seen(settled()).stamp, **KEYLESS}, True),
    "the key that the lock has": (BARE, True),
    "another key": ({**BARE, "public_key": key(99)}, False),
    "nothing": ({**BARE, **KEYLESS}, False),
}


@pytest.mark.parametrize(("changes", "there"), THERE.values(), ids=THERE)
def test_something_is_there(changes: dict[str, Any], there: bool) -> None:
    world = settled()
    assert (plan_teardown(world.lock, seen(world, **changes)) is not None) is there


# what was seen; why it is not touched
NOT_TOUCHED: dict[str, tuple[dict[str, Any], str]] = {
    "garbage": ({"garbled": ("stamp", "links")}, "the answer to stamp, links makes no sense"),
    "another fleet": ({"stamp": replace(seen(settled()).stamp, fleet="store")}, "wg0 is the fleet `store`'s"),  # type: ignore[type-var]
    "another fleet, by its file": (
        {
            "stamp": None,
            "config": replace(
                seen(settled()).config,
                keyless="# Written by wireloom for a, a node of the fleet store: change\n",
            ),
        },
        "/etc/wireguard/wg0.conf is another fleet's",
    ),
    "a file of somebody's": (
        {"config": ConfigSeen(ConfigKind.FOREIGN)},
        "/etc/wireguard/wg0.conf is not wireloom's",
    ),
    "an interface of somebody's": ({**BARE, "link": seen(settled()).link}, "wireloom did not make wg0"),
    "ours": ({}, ""),
    "nothing": (BARE, ""),
}


@pytest.mark.parametrize(("changes", "why"), NOT_TOUCHED.values(), ids=NOT_TOUCHED)
def test_what_is_not_the_fleets_is_not_touched(changes: dict[str, Any], why: str) -> None:
    world = settled()
    assert whose_else(world.weave(), seen(world, **changes)) == why


def test_a_key_that_stays_is_told() -> None:
    network = settled().weave()
    assert tell_key(network, seen(settled())) == "/etc/wireguard/wg0.key stays: the lock does not know it"
    assert tell_key(network, seen(settled(), **KEYLESS)) == ""


# where the operator comes from; whether the way would be cut off
WAYS = {
    "outside": ("203.0.113.9", False),
    "a peer": ("10.99.0.2", True),
    "a peer, by IPv6": ("fd42:99::2", True),
}


@pytest.mark.parametrize(("client", "refused"), WAYS.values(), ids=WAYS)
def test_who_comes_over_the_network_is_refused(client: str, refused: bool) -> None:
    found = list(refuse_way(seen(settled(), client=ip_address(client)), "wg0"))
    hint = "reach it another way, by its public or private address, and run this again"
    assert found == ([Diagnostic("you come to it over wg0 itself", where=A, hint=hint)] if refused else [])


@pytest.mark.parametrize(
    "changes",
    [{"client": None}, {"client": ip_address("10.99.0.2"), "link": None}],
    ids=["unknown", "no interface"],
)
def test_where_nothing_is_cut_off_nobody_is_refused(changes: dict[str, Any]) -> None:
    assert list(refuse_way(seen(settled(), **changes), "wg0")) == []
