"""How a node stands."""

from dataclasses import replace

import pytest

from tests.apply.machines import CP1, FLEET, NAMES, NAS1, W1, Scene, key_of
from wireloom.network.topology import weave
from wireloom.observe.state import LinkSeen, NodeState, Unreachable
from wireloom.plan.fleet import Seen
from wireloom.report.standing import NodeStanding, take_standing

SCENE = Scene.settled()
NETWORK = weave(FLEET, SCENE.lock)
CLOCK = int(SCENE.machines[CP1].state().system.clock)


def cp1(**changed: object) -> NodeState:
    return replace(SCENE.machines[CP1].state(), **changed)  # type: ignore[arg-type]


def link(ages: tuple[int | None, int | None], **changed: object) -> LinkSeen:
    """The interface of `cp1`, with handshakes of its two peers so many seconds ago."""
    seen = cp1().link
    assert seen is not None
    peers = {
        key: replace(seen.peers[key], handshake=0 if age is None else CLOCK - age, received=100, sent=7)
        for key, age in zip((key_of(W1), key_of(NAS1)), ages, strict=True)
    }
    return replace(seen, peers=peers, **changed)  # type: ignore[arg-type]


def standing(state: NodeState | Unreachable | None) -> NodeStanding:
    seen: Seen = {} if state is None else {CP1: state}
    return next(one for one in take_standing(NETWORK, seen) if one.name == CP1)


def test_all_nodes_are_told_in_the_order_of_the_file() -> None:
    assert [one.name for one in take_standing(NETWORK, SCENE.seen())] == list(NAMES)


STATES = {
    "up": ("up", cp1(link=link((1, 2)))),
    "down": ("down", cp1(link=link((1, 2), up=False))),
    "absent": ("absent", cp1(link=None)),
    "unreachable": ("unreachable", Unreachable(CP1, "no answer")),
    "not asked": ("not asked", None),
}


@pytest.mark.parametrize(("expected", "state"), STATES.values(), ids=STATES)
def test_states(expected: str, state: NodeState | Unreachable | None) -> None:
    one = standing(state)
    assert (one.state, one.site, str(one.addresses[0]), one.peers) == (expected, "x", "10.99.0.1", 2)


Ages = tuple[int | None, int | None]
SESSIONS = {
    "both": (2, 31, (5, 31)),
    "one dead": (1, 180, (181, 180)),
    "one never": (1, 7, (None, 7)),
    "none": (0, None, (None, 3600)),
    "a clock set back": (2, 0, (-10, 0)),
}


@pytest.mark.parametrize(("fresh", "oldest", "ages"), SESSIONS.values(), ids=SESSIONS)
def test_live_sessions_are_counted(
    fresh: int, oldest: int | None, ages: tuple[int | None, int | None]
) -> None:
    one = standing(cp1(link=link(ages)))
    assert (one.fresh_peers, one.oldest_handshake) == (fresh, oldest)


def test_traffic_is_that_of_all_peers() -> None:
    one = standing(cp1(link=link((1, 1))))
    assert (one.received, one.sent) == (200, 14)


@pytest.mark.parametrize(("expected", "kind"), [("kernel", "wireguard"), ("userspace", "tun")])
def test_the_implementation(expected: str, kind: str) -> None:
    assert standing(cp1(link=link((1, 1), kind=kind))).implementation == expected


def test_the_generation_is_the_one_of_the_note() -> None:
    assert standing(cp1()).generation == 4
    assert standing(cp1(stamp=None)).generation is None
    assert standing(cp1(link=None)).generation == 4


def test_what_made_no_sense_is_named() -> None:
    assert standing(cp1(garbled=("link", "routes4"))).detail == "no sense in: link, routes4"


def test_why_it_is_unreachable_is_told() -> None:
    assert standing(Unreachable(CP1, "no answer from 192.0.2.1")).detail == "no answer from 192.0.2.1"
