# ruff: noqa: E501 - a row of a table stays a row
"""What is found on a machine that nothing may be done to, and the reason that is told."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.network.fleets import key
from tests.plan.machine import TOOLS
from tests.plan.world import World, away, settled
from tests.preflight.look import alter
from wireloom.errors import Severity
from wireloom.observe.state import SECRET, ConfigKind, ConfigSeen, KeyKind, NodeState, OtherFleet, Stamp
from wireloom.plan.plan import Plan
from wireloom.values import NodeName

A, B = NodeName("a"), NodeName("b")


def whats(plan: Plan) -> list[str]:
    return [f"{one.where}: {one.what}" if one.where else one.what for one in plan.refusals]


def foreign_file(world: World) -> None:
    world.machines[A].config = ConfigSeen(ConfigKind.FOREIGN, access=SECRET, has_key=True)


def foreign_link(world: World) -> None:
    world.machines[A].config = ConfigSeen(ConfigKind.ABSENT)
    world.machines[A].stamp = None


def link_of_another_key(world: World) -> None:
    link = world.machines[A].link
    assert link is not None
    world.machines[A].config = ConfigSeen(ConfigKind.ABSENT)
    link.key = key(66)


def no_wireguard_link(world: World) -> None:
    link = world.machines[A].link
    assert link is not None
    link.kind = "bridge"


def other_fleet(world: World) -> None:
    world.machines[A].stamp = Stamp("store", 1, "feed", "beef")


def newer(world: World) -> None:
    world.machines[A].stamp = Stamp("shop", 7, "feed", "beef")


def another_one(world: World) -> None:
    world.machines[A].stamp = Stamp("shop", 1, "feed", "beef")


def cloned(world: World) -> None:
    world.machines[A].key = world.machines[B].key


def cloned_from_one_that_is_away(world: World) -> None:
    cloned(world)
    world.away = away(B)


def closed_door(world: World) -> None:
    world.away = away(B, refused=True)


REFUSED: dict[str, tuple[Callable[[World], None], str]] = {
    "a file that is not ours": (foreign_file, "a: /etc/wireguard/wg0.conf is not wireloom's and is never overwritten"),
    "an interface that is not ours": (foreign_link, "a: an interface wg0 is up that wireloom did not make"),
    "an interface with another key": (link_of_another_key, "a: an interface wg0 is up that wireloom did not make"),
    "an interface that is no WireGuard": (no_wireguard_link, "a: an interface wg0 is up that wireloom did not make"),
    "a machine of another fleet": (other_fleet, "a: this machine is in the fleet `store`, not in `shop`"),
    "a machine that is newer": (newer, "a: it is at generation 7, the lock knows 1"),
    "another apply of the same number": (another_one, "a: its generation 1 is another one than the lock's"),
    "a cloned machine": (cloned, "b: its private key is that of `a`, too: a cloned machine?"),
    "a clone of a machine that is away": (cloned_from_one_that_is_away, "a: its private key is that of `b`, too: a cloned machine?"),
    "a closed door": (closed_door, "b: no route to host"),
}  # fmt: skip


@pytest.mark.parametrize(("happen", "expected"), REFUSED.values(), ids=REFUSED)
def test_refused(happen: Callable[[World], None], expected: str) -> None:
    world = settled()
    happen(world)
    plan = world.plan()
    assert whats(plan) == [expected]
    assert all(one.hint for one in plan.refusals)


SEEN: dict[str, tuple[dict[str, object], list[str]]] = {
    "a broken key": (
        {"key_kind": KeyKind.BROKEN, "public_key": None},
        ["a: /etc/wireguard/wg0.key holds no WireGuard key"],
    ),
    "no wg, and so no word on the key": (
        {"tools": TOOLS - {"wg"}, "key_kind": KeyKind.BROKEN, "public_key": None},
        ["a: wg not found"],
    ),
    "everything that preflight has against it": (
        {"tools": TOOLS - {"wg"}, "net_admin": False},
        ["a: wg not found", "a: root may not change the network there: it lacks CAP_NET_ADMIN"],
    ),
    "the operator comes from a new range": (
        {"client": ip_address("10.99.3.3"), "routes": frozenset()},
        ["a: you come from 10.99.3.3, which is inside 10.99.0.0/16: it would be cut off"],
    ),
    "the operator comes over the underlay": ({"client": ip_address("10.99.3.3")}, []),
    "the fleet on another interface": (
        {"others": {"wg9": OtherFleet("shop", guarded=True)}},
        ["a: this fleet is on wg9 there, and can't be moved to wg0"],
    ),
    "another fleet, and one guard": (
        {"others": {"wg9": OtherFleet("store", guarded=True)}},
        ["a: it is in the fleet `store`, too, on wg9, and a machine has one guard (table inet wireloom)"],
    ),
    "another fleet, which leaves the guard to us": (
        {"others": {"wg9": OtherFleet("store", guarded=False)}},
        [],
    ),
    "what is only a warning": ({"tools": TOOLS - {"tcpdump"}}, []),
}


@pytest.mark.parametrize(("values", "expected"), SEEN.values(), ids=SEEN)
def test_refused_as_it_was_seen(values: dict[str, object], expected: list[str]) -> None:
    world = settled()
    assert whats(world.plan({**world.seen(), A: seen_with(world, values)})) == expected


def seen_with(world: World, values: dict[str, object]) -> NodeState:
    state = world.seen()[A]
    assert isinstance(state, NodeState)
    return alter(state, values)


def test_a_warning_is_a_note_and_the_machine_is_planned() -> None:
    world = settled()
    plan = world.plan({**world.seen(), A: seen_with(world, {"tools": TOOLS - {"tcpdump"}})})
    assert [(one.where, one.what, one.severity) for one in plan.notes] == [
        ("a", "tcpdump not found: `verify` captures packets with it", Severity.WARNING)
    ]
    assert A in [one.name for one in plan.nodes]


def test_a_machine_that_does_not_answer_is_no_reason_to_refuse() -> None:
    world = settled()
    world.away = away(B)
    plan = world.plan()
    assert (whats(plan), [one.name for one in plan.unreachable]) == ([], [B])


def test_an_older_generation_is_no_reason_to_refuse() -> None:
    world = settled()
    world.lock = replace(world.lock, generation=9, network="else")
    assert world.plan().refusals == ()


def test_a_machine_that_is_refused_is_not_planned() -> None:
    world = settled()
    foreign_file(world)
    assert A not in [one.name for one in world.plan().nodes]


def test_our_running_interface_whose_file_is_gone_is_ours() -> None:
    world = settled()
    world.machines[A].config = ConfigSeen(ConfigKind.ABSENT)
    assert world.plan().refusals == ()
