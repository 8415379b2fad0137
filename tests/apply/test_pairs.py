"""Every pair is asked once, from the side that can tell."""

from collections.abc import Collection
from itertools import combinations

import pytest

from tests.network.fleets import PLACES, lock_of, make_fleet, named
from wireloom.apply.pairs import pair_up
from wireloom.network.network import Network
from wireloom.network.topology import weave
from wireloom.values import NodeName


def woven(*names: str) -> Network:
    fleet = named(*names) if names else make_fleet(*PLACES)
    return weave(fleet, lock_of(fleet))


def pairs(network: Network, fresh: Collection[str] = ()) -> list[tuple[str, str]]:
    asked = pair_up(network, set(map(NodeName, fresh)))
    return [(name, peer.name) for name, peers in asked.items() for peer in peers]


@pytest.mark.parametrize("fresh", [(), ("b",), ("a", "b", "c", "d", "e")], ids=["none", "one", "all"])
def test_each_pair_once(fresh: tuple[str, ...]) -> None:
    found = pairs(woven(*"abcde"), fresh)
    assert sorted(tuple(sorted(one)) for one in found) == list(combinations("abcde", 2))


def test_each_node_gets_its_share() -> None:
    asked = pair_up(woven(*"abcdef"))
    assert all(1 <= len(peers) <= 4 for peers in asked.values())


def test_a_new_key_is_asked_for_by_who_has_none() -> None:
    found = pairs(woven(*"abc"), ["b"])
    assert {one for one in found if "b" in one} == {("a", "b"), ("c", "b")}


def test_who_can_be_dialled_by_nobody_asks() -> None:
    found = pairs(woven())
    assert {one[0] for one in found if "build1" in one} == {"build1"}
