# ruff: noqa: E501 - a row of a table stays a row
"""Who talks to whom, at which address, and with which MTU."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.network.fleets import PLACES, key, lock_of, make_fleet, named, node
from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet, Kubernetes, Node
from wireloom.network.network import Network, Peer
from wireloom.network.topology import KEEPALIVE, weave
from wireloom.values import NodeName, Prefix

Dialled = str | None


def peer_of(network: Network, name: str, other: str) -> Peer | None:
    return {peer.name: peer for peer in network.peers(NodeName(name))}.get(NodeName(other))


def dialled(one: Node, other: Node) -> tuple[Dialled, Dialled]:
    """Where the first dials the second, and the second the first: address, ``waits``, or None for no peer."""
    fleet = make_fleet(one, other)
    network = weave(fleet, lock_of(fleet))

    def way(dialler: Node, target: Node) -> Dialled:
        peer = peer_of(network, dialler.name, target.name)
        return peer and (str(peer.endpoint.address) if peer.endpoint else "waits")

    return way(one, other), way(other, one)


ENDPOINTS = {
    "one site, private": (node("a", "x", "192.0.2.1", "10.0.0.1"), node("b", "x", "192.0.2.2", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")),
    "one site, only one has a private one": (node("a", "x", "192.0.2.1", "10.0.0.1"), node("b", "x", "192.0.2.2"), ("192.0.2.2", "192.0.2.1")),
    "one site, private in both families": (node("a", "x", "", "fd00::1 10.0.0.1"), node("b", "x", "", "fd00::2 10.0.0.2"), ("10.0.0.2", "10.0.0.1")),
    "one site, private IPv6 before public IPv4": (node("a", "x", "192.0.2.1", "fd00::1"), node("b", "x", "192.0.2.2", "fd00::2"), ("fd00::2", "fd00::1")),
    "one site, private of different families": (node("a", "x", "192.0.2.1", "fd00::1"), node("b", "x", "192.0.2.2", "10.0.0.2"), ("192.0.2.2", "192.0.2.1")),
    "two sites": (node("a", "x", "192.0.2.1", "10.0.0.1"), node("b", "y", "192.0.2.2", "10.0.1.2"), ("192.0.2.2", "192.0.2.1")),
    "two sites with one private range": (node("a", "x", "192.0.2.1", "10.0.0.1"), node("b", "y", "192.0.2.2", "10.0.0.1"), ("192.0.2.2", "192.0.2.1")),
    "dual stack, IPv4 first, however written": (node("a", "x", "2001:db8::1 192.0.2.1"), node("b", "y", "192.0.2.2 2001:db8::2"), ("192.0.2.2", "192.0.2.1")),
    "one has both families": (node("a", "x", "192.0.2.1 2001:db8::1"), node("b", "y", "2001:db8::2"), ("2001:db8::2", "2001:db8::1")),
    "IPv6 only": (node("a", "x", "2001:db8::1"), node("b", "y", "2001:db8::2"), ("2001:db8::2", "2001:db8::1")),
    "the first of two public ones": (node("a", "x", "192.0.2.1"), node("b", "y", "192.0.2.2 192.0.2.3"), ("192.0.2.2", "192.0.2.1")),
    "no family in common": (node("a", "x", "192.0.2.1"), node("b", "y", "2001:db8::2"), (None, None)),
    "behind NAT, private IPv4": (node("a", "x", "192.0.2.1"), node("b", "n", "", "192.168.0.2", nat=True), ("waits", "192.0.2.1")),
    "behind NAT, no address listed": (node("a", "x", "192.0.2.1 2001:db8::1"), node("b", "n", nat=True), ("waits", "192.0.2.1")),
    "behind NAT with a public address of its own": (node("a", "x", "192.0.2.1"), node("b", "n", "192.0.2.2", nat=True), ("waits", "192.0.2.1")),
    "behind NAT, IPv6 only": (node("a", "x", "192.0.2.1 2001:db8::1"), node("b", "n", "", "fd00::2", nat=True), ("waits", "2001:db8::1")),
    "behind the same NAT": (node("a", "n", "", "192.168.0.1", nat=True), node("b", "n", "", "192.168.0.2", nat=True), ("192.168.0.2", "192.168.0.1")),
    "behind two NATs": (node("a", "n", "", "192.168.0.1", nat=True), node("b", "m", "", "192.168.0.2", nat=True), (None, None)),
    "behind one NAT without private addresses": (node("a", "n", nat=True), node("b", "n", nat=True), (None, None)),
    "a door in the office's NAT": (node("a", "n", "192.0.2.1", "192.168.0.1"), node("b", "n", "", "192.168.0.2", nat=True), ("192.168.0.2", "192.168.0.1")),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other", "expected"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_the_address_that_is_dialled(one: Node, other: Node, expected: tuple[Dialled, Dialled]) -> None:
    assert expected == dialled(one, other)


@pytest.mark.parametrize(("one", "other", "expected"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_the_order_of_the_file_does_not_matter(
    one: Node, other: Node, expected: tuple[Dialled, Dialled]
) -> None:
    assert expected[::-1] == dialled(other, one)


def test_the_port_that_is_dialled_is_the_underlays() -> None:
    fleet = named("a", "b")
    fleet = replace(fleet, underlay=replace(fleet.underlay, port=4500))
    peer = peer_of(weave(fleet, lock_of(fleet)), "a", "b")
    assert peer is not None
    assert str(peer.endpoint) == "203.0.113.2:4500"


KEEPALIVES = {
    "who is behind NAT, towards the world": ("nat", "world", KEEPALIVE),
    "the world, towards who is behind NAT": ("world", "nat", 0),
    "inside the NAT": ("nat", "neighbour", 0),
    "in the world": ("world", "other", 0),
}


@pytest.mark.parametrize(("name", "other", "expected"), KEEPALIVES.values(), ids=KEEPALIVES)
def test_keepalives_are_sent_out_of_a_nat_only(name: str, other: str, expected: int) -> None:
    fleet = make_fleet(
        node("nat", "office", "", "192.168.0.1", nat=True),
        node("neighbour", "office", "", "192.168.0.2", nat=True),
        node("world", "x", "192.0.2.1"),
        node("other", "y", "192.0.2.2"),
    )
    peer = peer_of(weave(fleet, lock_of(fleet)), name, other)
    assert peer is not None
    assert expected == peer.keepalive


def test_allowed_ips_are_host_routes_of_both_families() -> None:
    fleet = named("a", "b", ipv6="fd42::/64")
    peer = peer_of(weave(fleet, lock_of(fleet)), "a", "b")
    assert peer is not None
    assert (ip_network("10.99.0.2/32"), ip_network("fd42::2/128")) == peer.allowed_ips


def test_a_nodes_own_addresses_carry_the_prefix_of_the_range() -> None:
    fleet = named("a", "b", ipv6="fd42::/64")
    member = weave(fleet, lock_of(fleet)).members[NodeName("a")]
    assert list(map(str, member.interfaces)) == ["10.99.0.1/16", "fd42::1/64"]


def test_a_node_without_a_key_is_a_peer_without_one() -> None:
    fleet = named("a", "b")
    peer = peer_of(weave(fleet, lock_of(fleet, keyless=["b"])), "a", "b")
    assert peer is not None
    assert peer.public_key is None


def test_peers_are_in_the_order_of_the_file() -> None:
    fleet = named("c", "a", "b")
    assert [peer.name for peer in weave(fleet, lock_of(fleet)).peers(NodeName("a"))] == ["c", "b"]


FENCES = {
    "the underlay": ({}, ["10.99.0.0/16"]),
    "both families": ({"ipv6": "fd42::/64"}, ["10.99.0.0/16", "fd42::/64"]),
    "and pods": ({"pods": ["10.42.0.0/16", "fd01::/56"]}, ["10.99.0.0/16", "10.42.0.0/16", "fd01::/56"]),
}


@pytest.mark.parametrize(("options", "expected"), FENCES.values(), ids=FENCES)
def test_what_is_fenced(options: Mapping[str, object], expected: list[str]) -> None:
    fleet = named("a", "b", **options)
    assert expected == list(map(str, weave(fleet, lock_of(fleet)).fenced))


MTUS = {
    "every path is IPv4": ([node("a", "x", "192.0.2.1"), node("b", "y", "192.0.2.2")], None, 1440),
    "a path is IPv6": ([node("a", "x", "192.0.2.1"), node("b", "y", "192.0.2.2"), node("c", "z", "2001:db8::3 192.0.2.3"), node("d", "z", "2001:db8::4")], None, 1420),
    "inside a site is IPv6": ([node("a", "x", "", "fd00::1"), node("b", "x", "", "fd00::2")], None, 1420),
    "IPv6 is there but nobody uses it": ([node("a", "x", "192.0.2.1 2001:db8::1"), node("b", "y", "192.0.2.2 2001:db8::2")], None, 1440),
    "only a node itself would use IPv6": ([node("a", "x", "192.0.2.1", "fd00::1"), node("b", "y", "192.0.2.2")], None, 1440),
    "a number": ([node("a", "x", "2001:db8::1"), node("b", "y", "2001:db8::2")], 1300, 1300),
    "one node": ([node("a", "x", "2001:db8::1")], None, 1440),
    "IPv6 inside, over IPv4": ([node("a", "x", "192.0.2.1"), node("b", "y", "192.0.2.2")], None, 1440),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "mtu", "expected"), MTUS.values(), ids=MTUS)
def test_mtu(nodes: list[Node], mtu: int | None, expected: int) -> None:
    fleet = make_fleet(*nodes, mtu=mtu, ipv6="fd42::/64")
    assert expected == weave(fleet, lock_of(fleet)).mtu


def test_nodes_that_see_the_others_alike_share_one_view() -> None:
    fleet = named(*(f"n{number}" for number in range(50)))
    views = weave(fleet, lock_of(fleet)).views.values()
    assert len({id(view) for view in views}) == 1


def test_the_same_input_gives_the_same_network() -> None:
    fleet = make_fleet(*PLACES, ipv6="fd42::/64")
    assert weave(fleet, lock_of(fleet)) == weave(fleet, lock_of(fleet))


# ---- properties of any fleet

SITES = ["x", "y", "n", "m"]


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Up to nine nodes with any mixture of families and NAT, in sites that have the same private range."""
    nodes = []
    for place in range(1, draw(st.integers(1, 9)) + 1):
        site = draw(st.sampled_from(SITES))
        public = draw(st.lists(st.sampled_from([f"192.0.2.{place}", f"2001:db8::{place}"]), unique=True))
        private = draw(st.lists(st.sampled_from([f"10.0.0.{place}", f"fd00::{place}"]), unique=True))
        nodes.append(node(f"n{place}", site, " ".join(public), " ".join(private), nat=draw(st.booleans())))
    ipv6 = draw(st.sampled_from([None, "fd42::/64"]))
    return make_fleet(*nodes, ipv6=ipv6)


many = settings(max_examples=60)


@given(fleets())
@many
def test_allowed_ips_of_a_nodes_peers_are_disjoint(fleet: Fleet) -> None:
    network = weave(fleet, lock_of(fleet))
    for name, member in network.members.items():
        routes = [route for peer in network.peers(name) for route in peer.allowed_ips]
        assert len(set(routes)) == len(routes)
        assert not {interface.ip for interface in member.interfaces} & {r.network_address for r in routes}
        assert all(route.prefixlen == route.max_prefixlen for route in routes)


@given(fleets())
@many
def test_who_has_a_peer_is_one_of_its_peers(fleet: Fleet) -> None:
    network = weave(fleet, lock_of(fleet))
    pairs = {(name, peer.name) for name in network.members for peer in network.peers(name)}
    assert pairs == {(two, one) for one, two in pairs}
    assert all(one != two for one, two in pairs)


@given(fleets())
@many
def test_of_every_pair_at_least_one_dials(fleet: Fleet) -> None:
    network = weave(fleet, lock_of(fleet))
    for name in network.members:
        for peer in network.peers(name):
            back = peer_of(network, name=peer.name, other=name)
            assert back is not None
            assert peer.endpoint or back.endpoint


@given(fleets())
@many
def test_nobody_dials_into_a_nat_from_outside(fleet: Fleet) -> None:
    network = weave(fleet, lock_of(fleet))
    for name, one in fleet.nodes.items():
        for peer in network.peers(name):
            target = fleet.nodes[peer.name]
            if target.nat and one.site != target.site:
                assert peer.endpoint is None


@given(fleets())
@many
def test_who_waits_behind_nat_is_waited_for_with_keepalives(fleet: Fleet) -> None:
    network = weave(fleet, lock_of(fleet))
    for name in network.members:
        for peer in network.peers(name):
            back = peer_of(network, name=peer.name, other=name)
            if peer.endpoint is None:
                assert back is not None
                assert back.keepalive == KEEPALIVE
                assert fleet.nodes[peer.name].nat


@given(fleets())
@many
def test_a_shared_view_is_what_each_pair_gives_alone(fleet: Fleet) -> None:
    lock = lock_of(fleet)
    network = weave(fleet, lock)
    for name, one in fleet.nodes.items():
        for other_name, other in fleet.nodes.items():
            if name != other_name:
                pair = replace(fleet, nodes={name: one, other_name: other})
                assert peer_of(weave(pair, lock), name, other_name) == peer_of(network, name, other_name)


@given(fleets())
@many
def test_auto_mtu_is_that_of_the_endpoints_in_use(fleet: Fleet) -> None:
    network = weave(fleet, lock_of(fleet))
    endpoints = [peer.endpoint for name in network.members for peer in network.peers(name)]
    over_ipv6 = any(one is not None and one.address.version == 6 for one in endpoints)
    assert (1420 if over_ipv6 else 1440) == network.mtu


def test_keys_are_the_locks() -> None:
    fleet = named("a", "b")
    peer = peer_of(weave(fleet, lock_of(fleet)), "a", "b")
    assert peer is not None
    assert key(2) == peer.public_key


PODS = {NodeName("a"): (ip_network("10.42.0.0/24"),), NodeName("b"): (ip_network("10.42.1.0/24"),)}


def allowed(backend: str, pods: Mapping[NodeName, tuple[Prefix, ...]] = PODS) -> dict[str, list[str]]:
    """What each node lets its peers use, from both ends of a pair."""
    fleet = named("a", "b", pods=["10.42.0.0/16"], backend=backend)
    network = weave(fleet, lock_of(fleet).with_pods(pods))
    return {
        peer.name: list(map(str, peer.allowed_ips)) for name in "ab" for peer in network.peers(NodeName(name))
    }


def test_pods_are_let_through_where_they_are_routed() -> None:
    assert allowed("host-gw") == {
        "a": ["10.99.0.1/32", "10.42.0.0/24"],
        "b": ["10.99.0.2/32", "10.42.1.0/24"],
    }


def test_pods_in_a_tunnel_of_their_own_are_not_let_through() -> None:
    assert allowed("vxlan") == {"a": ["10.99.0.1/32"], "b": ["10.99.0.2/32"]}


def test_before_the_cluster_told_there_are_no_pods() -> None:
    assert allowed("host-gw", {}) == allowed("vxlan")


@pytest.mark.parametrize("prefix", ["10.43.1.0/24", "0.0.0.0/0", "10.0.0.0/8", "fd00:42::/64"])
def test_a_range_that_is_not_of_the_clusters_pods_is_refused(prefix: str) -> None:
    with pytest.raises(UserError, match=r"the range of the pods of `b`, is outside of 10\.42\.0\.0/16"):
        allowed("host-gw", {NodeName("b"): (ip_network(prefix),)})


def test_without_an_underlay_nobody_has_a_peer() -> None:
    fleet = make_fleet(*PLACES)
    for ranges in (fleet, make_fleet(*PLACES, ipv4=None)):
        network = weave(replace(ranges, kubernetes=Kubernetes(encrypt="cni")), lock_of(ranges))
        assert list(network.members) == list(fleet.nodes)
        assert [peer for name in network.members for peer in network.peers(name)] == []


@given(fleets())
@many
def test_allowed_ips_with_pods_are_disjoint(fleet: Fleet) -> None:
    cluster = Kubernetes(pods=(ip_network("10.128.0.0/9"),), flannel_backend="host-gw")
    pods = dict(zip(fleet.nodes, ((one,) for one in cluster.pods[0].subnets(new_prefix=24)), strict=False))
    network = weave(replace(fleet, kubernetes=cluster), lock_of(fleet).with_pods(pods))
    for name in network.members:
        routes = [route for peer in network.peers(name) for route in peer.allowed_ips]
        assert not [pair for pair in combinations(routes, 2) if pair[0].overlaps(pair[1])]
        assert all(
            route.network_address in peer.addresses or route in pods[peer.name]
            for peer in network.peers(name)
            for route in peer.allowed_ips
        )
