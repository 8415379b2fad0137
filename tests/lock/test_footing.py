"""From what nodes have in common to what is wanted, in steps that they survive together."""

from ipaddress import ip_network

import pytest

from wireloom.lock.footing import Footing, Stance, describe_steps, join, next_stance, steps_to

P, Q, T = 51820, 51999, 4500
R, S, U = (ip_network(f"10.{number}.0.0/16") for number in (99, 77, 55))
WIDE, SIX = ip_network("10.96.0.0/12"), ip_network("fd42:99::/64")


def on(*stances: Stance) -> Footing:
    """The footing of a fleet whose nodes have these stances."""
    footing = join(map(Footing.of, stances))
    assert footing is not None
    return footing


def port(number: int, also: int | None = None) -> Stance:
    return Stance(number, (R,), also)


def ranges(*prefixes: object) -> Stance:
    return Stance(P, prefixes)  # type: ignore[arg-type]


CASES = {
    "as wanted": (port(P), on(port(P)), port(P)),
    "another port is heard first": (port(P, Q), on(port(P)), port(Q)),
    "half of them hear it": (port(P, Q), on(port(P), port(P, Q)), port(Q)),
    "all hear it: it is dialled": (port(Q, P), on(port(P, Q)), port(Q)),
    "half of them dial it": (port(Q, P), on(port(P, Q), port(Q, P)), port(Q)),
    "all dial it: the old one goes": (port(Q), on(port(Q, P)), port(Q)),
    "half of them have forgotten the old one": (port(Q), on(port(Q, P), port(Q)), port(Q)),
    "back, once it is heard": (port(P), on(port(P, Q)), port(P)),
    "back, half of them heard it": (port(P), on(port(P), port(P, Q)), port(P)),
    "back, half of them dial it": (port(P, Q), on(port(P, Q), port(Q, P)), port(P)),
    "back, all dial it": (port(P, Q), on(port(Q, P)), port(P)),
    "back, half of them have forgotten the old one": (port(Q, P), on(port(Q, P), port(Q)), port(P)),
    "a third one, instead of one that is heard": (port(P, T), on(port(P, Q)), port(T)),
    "a third one: first, one is dialled no more": (port(P, Q), on(port(P, Q), port(Q, P)), port(T)),
    "another range is taken first": (ranges(R, S), on(ranges(R)), ranges(S)),
    "half of them have taken it": (ranges(R, S), on(ranges(R), ranges(R, S)), ranges(S)),
    "all have it: the old one goes": (ranges(S), on(ranges(R, S)), ranges(S)),
    "half of them have left the old one": (ranges(S), on(ranges(R, S), ranges(S)), ranges(S)),
    "back into a range that half of them have left": (ranges(S, R), on(ranges(R, S), ranges(S)), ranges(R)),
    "a third range": (ranges(R, S, U), on(ranges(R, S)), ranges(U)),
    "a family more": (ranges(R, SIX), on(ranges(R)), ranges(R, SIX)),
    "a family less": (ranges(R), on(ranges(R, SIX)), ranges(R)),
    "another family": (ranges(R, SIX), on(ranges(R)), ranges(SIX)),
    "IPv4 comes first, also where it comes later": (ranges(R, SIX), on(ranges(SIX)), ranges(R, SIX)),
    "a range that grows": (ranges(WIDE), on(ranges(R)), ranges(WIDE)),
    "a range that grows, half-way": (ranges(WIDE), on(ranges(R), ranges(WIDE)), ranges(WIDE)),
    "port and range": (Stance(P, (R, S), Q), on(port(P)), Stance(Q, (S,))),
}


@pytest.mark.parametrize(("expected", "footing", "wanted"), CASES.values(), ids=CASES)
def test_the_next_step(expected: Stance, footing: Footing, wanted: Stance) -> None:
    got = next_stance(footing, wanted)
    if expected.ranges == (S, R):  # which of the two is older is not to be seen
        expected = Stance(P, (R, S))
    assert got == expected


TOGETHER = {
    "the same": (True, on(port(P)), port(P)),
    "what all hear": (True, on(port(P, Q)), port(Q, P)),
    "what not all hear": (False, on(port(P), port(P, Q)), port(Q, P)),
    "what some dial is not heard": (False, on(port(P, Q), port(Q, P)), port(Q)),
    "a range that all have": (True, on(ranges(R, S), ranges(S)), ranges(S)),
    "a range that not all have": (False, on(ranges(R, S), ranges(R)), ranges(S)),
    "a range that grows": (True, on(ranges(R), ranges(WIDE)), ranges(WIDE)),
}


@pytest.mark.parametrize(("expected", "footing", "stance"), TOGETHER.values(), ids=TOGETHER)
def test_who_understands_whom(expected: bool, footing: Footing, stance: Stance) -> None:
    assert footing.connects(stance) is expected


@pytest.mark.parametrize(("_", "footing", "wanted"), CASES.values(), ids=CASES)
def test_the_next_step_is_understood_where_the_nodes_stand(
    _: object, footing: Footing, wanted: Stance
) -> None:
    assert footing.connects(next_stance(footing, wanted))


def test_a_fleet_that_stands_nowhere_begins_with_what_is_wanted() -> None:
    assert next_stance(None, port(Q)) == port(Q)
    assert steps_to(None, port(Q)) == []


def test_where_all_is_as_wanted_no_step_is_left() -> None:
    assert steps_to(on(port(P)), port(P)) == []


def test_all_steps_to_another_port_and_range_in_words() -> None:
    assert list(describe_steps(on(port(P)), Stance(Q, (S,)))) == [
        "hear port 51999 as well, take addresses in 10.77.0.0/16",
        "change to port 51999, and hear port 51820 still, give up those in 10.99.0.0/16",
        "hear no port but 51999",
    ]


def test_the_steps_that_are_left_half_way() -> None:
    assert list(describe_steps(on(port(P, Q), port(Q, P)), port(Q))) == [
        "change to port 51999, and hear port 51820 still",
        "hear no port but 51999",
    ]
