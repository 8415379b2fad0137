"""With whom a change is proven: each pair once, each node with enough others."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations

import pytest

from tests.apply.machines import Machine, key_of
from tests.network.fleets import lock_of, make_fleet, node
from wireloom.apply.neighbours import COUNT, Neighbourhood
from wireloom.apply.script import Neighbour
from wireloom.intent.fleet import Fleet
from wireloom.network.topology import weave
from wireloom.observe.state import NodeState
from wireloom.plan.filed import read_filed
from wireloom.render.desired import NodeDesired, render_node
from wireloom.values import NodeName, PublicKey

Pair = tuple[str, str]


class Town:
    """A fleet on new machines, each with a key; those that are ``settled`` run with each other already.

    ``planned``: those that something is planned for, where it is not all. ``lost``: one that they knew.
    """

    def __init__(
        self, fleet: Fleet, settled: tuple[str, ...] = (), planned: tuple[str, ...] = (), lost: str = ""
    ) -> None:
        keys = {name: key_of(name) for name in fleet.nodes}
        network = weave(fleet, lock_of(fleet).with_keys(keys))
        self.desired = {name: render_node(network, name) for name in fleet.nodes}
        self.names = {str(one.addresses[0].ip): name for name, one in self.desired.items()}
        known = {key_of(NodeName(name)) for name in (*settled, lost)}
        seen = {
            name: _look(want, keys[name], known if name in settled else None)
            for name, want in self.desired.items()
        }
        own = {name: one for name, one in self.desired.items() if not planned or name in planned}
        self.neighbours = Neighbourhood(own, seen)

    def prove(self, *names: str, committed: tuple[str, ...] = ()) -> dict[str, list[Neighbour]]:
        wave = [NodeName(name) for name in names] or list(self.desired)
        done = {NodeName(name) for name in committed} or set(wave)
        return {**self.neighbours.prove(wave, done, dict.fromkeys(wave, ()))}

    def pairs(self, *names: str, committed: tuple[str, ...] = ()) -> list[Pair]:
        """Who asks whom."""
        asked = self.prove(*names, committed=committed)
        return [(name, self.names[str(one.address)]) for name, ones in asked.items() for one in ones]


def _look(want: NodeDesired, key: PublicKey, known: set[PublicKey] | None) -> NodeState:
    state = replace(Machine(want.name).state(), public_key=key)
    if known is None:
        return state
    link = read_filed(want.config.keyless, key)
    return replace(
        state, link=replace(link, peers={one: peer for one, peer in link.peers.items() if one in known})
    )


def street(count: int, *, hidden: int = 0) -> Fleet:
    """So many machines with public addresses; the last ``hidden`` of them are behind NAT, each for itself."""
    public = [node(f"m{number}", "x", f"192.0.2.{number + 1}") for number in range(count - hidden)]
    behind = [node(f"n{number}", f"office{number}", nat=True) for number in range(hidden)]
    return make_fleet(*public, *behind)


def count_meetings(pairs: list[Pair]) -> Mapping[str, int]:
    return Counter(name for pair in pairs for name in pair)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 9, 10, 40])
def test_a_pair_is_asked_from_one_side_and_everybody_is_in_enough_of_them(count: int) -> None:
    pairs = Town(street(count)).pairs()
    assert len({frozenset(pair) for pair in pairs}) == len(pairs)
    meetings = count_meetings(pairs)
    assert len(meetings) == count
    assert min(meetings.values()) >= min(COUNT, count - 1)


@pytest.mark.parametrize("count", [10, 40])
def test_in_a_ring_everybody_asks_half_and_is_asked_by_half(count: int) -> None:
    pairs = Town(street(count)).pairs()
    assert set(count_meetings(pairs).values()) == {COUNT}
    assert set(Counter(one for one, _ in pairs).values()) == {COUNT // 2}


def test_a_few_meet_all_of_each_other() -> None:
    pairs = Town(street(4)).pairs()
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in combinations(Town(street(4)).desired, 2)
    }


def test_one_that_nobody_asks_asks_as_many_as_it_needs() -> None:
    """The others were committed, and proven, before it."""
    town = Town(street(8))
    pairs = town.pairs("m0", committed=tuple(town.desired))
    assert [one for one, _ in pairs] == ["m0"] * COUNT
    assert len(set(pairs)) == COUNT


def test_one_that_nothing_is_planned_for_is_asked_all_the_same() -> None:
    """It has been told of the new one already: by an apply that was cut off, say."""
    town = Town(street(3), settled=("m1", "m2"), planned=("m0", "m1"))
    assert town.pairs("m0", committed=("m0", "m1", "m2")) == [("m0", "m1"), ("m0", "m2")]


def test_one_that_lost_its_interface_asks_those_that_knew_it() -> None:
    """They would send by sessions that it has no more, for up to 15 s."""
    pairs = Town(street(4), settled=("m0", "m1", "m2"), lost="m3").pairs()
    assert sorted(pairs) == [("m3", "m0"), ("m3", "m1"), ("m3", "m2")]


def test_whoever_is_not_committed_yet_is_not_asked() -> None:
    assert Town(street(8)).pairs("m0", committed=("m0", "m3", "m5")) == [("m0", "m3"), ("m0", "m5")]


def test_those_that_nobody_can_dial_ask() -> None:
    """The two behind NAT can't ask each other, and whom they ask need not be open to them."""
    pairs = Town(street(4, hidden=2)).pairs()
    assert sorted(pairs) == [("m0", "m1"), ("n0", "m0"), ("n0", "m1"), ("n1", "m0"), ("n1", "m1")]


def test_one_that_only_dials_names_all_whose_ports_may_be_closed() -> None:
    pairs = Town(street(4, hidden=1)).pairs()
    assert [other for one, other in pairs if one == "n0"] == ["m0", "m1", "m2"]
    assert "n0" not in {other for _, other in pairs}


def test_a_new_neighbour_is_proven_by_its_key() -> None:
    asked = Town(street(2)).prove()
    assert asked == {
        "m0": [Neighbour(Town(street(2)).desired[NodeName("m1")].addresses[0].ip, key_of(NodeName("m1")))],
        "m1": [],
    }


def test_old_ones_that_answered_before_come_after_the_new_ones() -> None:
    town = Town(street(4), settled=("m0", "m1", "m2"))
    old, new = (town.desired[NodeName(name)].addresses[0].ip for name in ("m1", "m3"))
    name = NodeName("m0")
    asked = town.neighbours.prove([name], {name, NodeName("m3")}, {name: [old]})
    assert asked == {name: [Neighbour(new, key_of(NodeName("m3"))), Neighbour(old)]}
