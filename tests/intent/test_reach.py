from ipaddress import ip_address
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireloom.intent.fleet import Node
from wireloom.intent.reach import dial_address, group_nodes, isolated_groups, mute_groups
from wireloom.values import NodeName, SiteName

V4, V6 = "192.0.2.1", "2001:db8::1"
P4, P6 = "10.0.0.1", "fd00::1"


def node(site: str, public: str = "", private: str = "", *, nat: bool = False, name: str = "x") -> Node:
    return Node(
        NodeName(name),
        SiteName(site),
        public=tuple(map(ip_address, public.split())),
        private=tuple(map(ip_address, private.split())),
        nat=nat,
    )


DIALS = {
    "private inside a site": (P4, node("a", V4, P4), node("a", V4, P4)),
    "IPv4 first, whatever the order": (P4, node("a", "", f"{P6} {P4}"), node("a", "", f"{P6} {P4}")),
    "the first of a family": (P4, node("a", "", "10.0.0.9"), node("a", "", f"{P4} 10.0.0.2")),
    "private of the shared family": (P6, node("a", "", P6), node("a", "", f"{P4} {P6}")),
    "private behind one NAT": (P4, node("a", "", P4, nat=True), node("a", "", P4, nat=True)),
    "no shared private family": (V4, node("a", V4, P6), node("a", V4, P4)),
    "a neighbour without private": (V4, node("a", V4), node("a", V4, P4)),
    "public across sites": (V4, node("a", V4, P4), node("b", f"{V6} {V4}", P4)),
    "public IPv6 when only that is shared": (V6, node("a", V6), node("b", f"{V4} {V6}")),
    "nobody dials NAT from outside": (None, node("a", V4), node("b", V4, nat=True)),
    "NAT dials out": (V4, node("a", nat=True), node("b", V4)),
    "NAT without addresses has IPv4 only": (None, node("a", nat=True), node("b", V6)),
    "NAT with a private IPv6 has IPv6": (V6, node("a", "", P6, nat=True), node("b", f"{V4} {V6}")),
    "NAT with a private IPv4 has no IPv6": (None, node("a", "", P4, nat=True), node("b", V6)),
    "NAT with both": (V4, node("a", V6, P4, nat=True), node("b", f"{V6} {V4}")),
    "private does not lead out without NAT": (None, node("a", "", P4), node("b", V4)),
}


@pytest.mark.parametrize(("expected", "dialler", "target"), DIALS.values(), ids=DIALS)
def test_the_address_to_dial(expected: str | None, dialler: Node, target: Node) -> None:
    found = dial_address(dialler, target)
    assert expected == (None if found is None else str(found))


addresses = st.sampled_from(["", V4, V6, f"{V4} {V6}"])
privates = st.sampled_from(["", P4, P6, f"{P4} {P6}"])
fleets = st.lists(
    st.tuples(st.sampled_from("abc"), addresses, privates, st.booleans()), min_size=1, max_size=8
).map(lambda rows: [node(*row[:3], nat=row[3], name=f"n{i}") for i, row in enumerate(rows)])


def talk(one: Node, other: Node) -> bool:
    return dial_address(one, other) is not None or dial_address(other, one) is not None


@given(fleets)
def test_groups_find_the_mute_pairs_that_trying_each_pair_finds(nodes: list[Node]) -> None:
    expected = {frozenset((a.name, b.name)) for a, b in combinations(nodes, 2) if not talk(a, b)}
    found = [
        frozenset((a.name, b.name))
        for one, other in mute_groups(group_nodes(nodes))
        for a, b in (
            combinations(one.nodes, 2)
            if one is other
            else ((a, b) for a in one.nodes for b in other.nodes)
        )
    ]  # fmt: skip
    assert expected == set(found)
    assert len(found) == len(set(found))


@given(fleets)
def test_groups_find_the_isolated_nodes_that_trying_each_pair_finds(nodes: list[Node]) -> None:
    def meets(one: Node) -> list[bool]:
        return [talk(one, other) for other in nodes if other is not one]

    inward = [one for one in nodes if not one.nat and not one.public]
    stranded = {one.name for one in inward if not one.private or not all(meets(one))}
    lonely = {one.name for one in nodes if meets(one) and not any(meets(one))}
    groups = group_nodes(nodes)
    assert (stranded or lonely) == {one.name for group in isolated_groups(groups) for one in group.nodes}
    assert stranded == {one.name for group in isolated_groups(groups, complete=False) for one in group.nodes}
