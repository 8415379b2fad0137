"""A second network beside the first: who stands in for what, and what is led over it."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.network.fleets import PLACES, lock_of, make_fleet, named, node
from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.network import Lead, Network
from wireloom.network.stand_in import relieved, stand_in, stand_in_name
from wireloom.network.topology import weave
from wireloom.render.desired import render_node
from wireloom.values import NodeName

A, B = NodeName("a"), NodeName("b")


def beside(fleet: Fleet, *, led: bool = True, lock: Lock | None = None) -> Network:
    """The network of the stand-in."""
    other = stand_in(fleet, weave(fleet, lock or lock_of(fleet)), 51821, led=led)
    return weave(other, allot(other, Lock(other.name)))


NAMES = {"wg0": "wg0-turn", "wireguard0": "wireguard0-turn", "a-name-of-15-ab": "a-name-of--turn"}


@pytest.mark.parametrize(("interface", "expected"), NAMES.items(), ids=NAMES)
def test_its_name_fits_into_the_kernel(interface: str, expected: str) -> None:
    assert stand_in_name(interface) == expected
    assert len(expected) <= 15


def test_it_is_a_network_of_its_own_with_the_same_pairs() -> None:
    fleet = make_fleet(*PLACES, mtu=1400)
    first, second = weave(fleet, lock_of(fleet)), beside(fleet)
    assert (second.fleet, second.interface, second.port, second.mtu) == ("shop-turn", "wg0-turn", 51821, 1400)
    assert second.ranges == (ip_network("198.18.0.0/16"),)
    for name in fleet.nodes:
        assert [(one.name, one.endpoint and one.endpoint.address) for one in second.peers(name)] == [
            (one.name, one.endpoint and one.endpoint.address) for one in first.peers(name)
        ]


def test_a_peer_may_use_its_addresses_in_both() -> None:
    network = beside(named("a", "b", ipv6="fd42:99::/64"))
    (peer,) = network.peers(A)
    assert peer.allowed_ips == tuple(map(ip_network, ("198.18.0.2/32", "10.99.0.2/32", "fd42:99::2/128")))


def test_ranges_are_led_in_halves_from_the_address_that_a_node_has_there() -> None:
    network = beside(named("a", "b", ipv6="fd42:99::/64"))
    a4, a6 = network.members[A].leads[0].source, network.members[A].leads[2].source
    assert (str(a4), str(a6)) == ("10.99.0.1", "fd42:99::1")
    assert network.members[A].leads == (
        Lead(ip_network("10.99.0.0/17"), a4),
        Lead(ip_network("10.99.128.0/17"), a4),
        Lead(ip_network("fd42:99::/65"), a6),
        Lead(ip_network("fd42:99:0:0:8000::/65"), a6),
    )


def test_pods_of_other_nodes_are_led_where_they_use_the_tunnels_and_never_the_own_ones() -> None:
    fleet = named("a", "b", pods=["10.42.0.0/16"], backend="host-gw")
    lock = lock_of(fleet).with_pods({A: (ip_network("10.42.0.0/24"),), B: (ip_network("10.42.1.0/24"),)})
    network = beside(fleet, lock=lock)
    assert [str(one.to) for one in network.members[A].leads[2:]] == ["10.42.1.0/25", "10.42.1.128/25"]
    assert ip_network("10.42.1.0/24") in next(network.peers(A)).allowed_ips


def test_nothing_is_led_over_one_that_is_only_there() -> None:
    network = beside(named("a", "b"), led=False)
    assert {member.leads for member in network.members.values()} == {()}


TAKEN = {
    "198.18.0.0/15": "100.127.0.0/16",
    "198.18.4.0/24": "198.19.0.0/16",
    "198.19.0.0/24": "198.18.0.0/16",
}


@pytest.mark.parametrize(("underlay", "expected"), TAKEN.items(), ids=TAKEN)
def test_its_range_is_none_of_the_fleet(underlay: str, expected: str) -> None:
    assert beside(named("a", "b", ipv4=underlay)).ranges == (ip_network(expected),)


def test_nothing_rides_on_it_and_it_has_no_guard() -> None:
    fleet = named("a", "b", pods=["10.42.0.0/16"])
    nodes = {name: replace(one, roles=("k3s-server",)) for name, one in fleet.nodes.items()}
    want = render_node(beside(replace(fleet, nodes=nodes)), A)
    assert want.guard == ""
    assert "RefuseManualStop" not in want.drop_in.text
    assert "After=wg-quick@wg0.service" in want.drop_in.text


def test_beside_it_the_guard_of_the_first_lets_it_pass() -> None:
    fleet = named("a", "b")
    plain, other = (render_node(weave(one, lock_of(one)), A) for one in (fleet, relieved(fleet)))
    assert 'iifname "wg0-turn" accept' in other.guard
    assert "wg0-turn" not in plain.guard
    assert (plain.two_ways, other.two_ways) == (False, True)


def test_its_file_has_all_that_a_reboot_needs() -> None:
    want = render_node(beside(named("a", "b", ipv6="fd42:99::/64")), A)
    assert [line for line in want.config.head.splitlines() if line.startswith(("Address", "PostUp"))] == [
        "Address = 198.18.0.1/16",
        "PostUp = echo 2 > /proc/sys/net/ipv4/conf/%i/rp_filter",
        "PostUp = ip -4 route replace 10.99.0.0/17 dev %i src 10.99.0.1",
        "PostUp = ip -4 route replace 10.99.128.0/17 dev %i src 10.99.0.1",
        "PostUp = ip -6 route replace fd42:99::/65 dev %i src fd42:99::1",
        "PostUp = ip -6 route replace fd42:99:0:0:8000::/65 dev %i src fd42:99::1",
    ]


def test_its_range_is_not_where_nodes_are_dialled() -> None:
    fleet = make_fleet(node("a", "x", "198.18.5.10"), node("b", "x", "203.0.113.2"))
    assert beside(fleet).ranges == (ip_network("198.19.0.0/16"),)


def test_where_all_ranges_are_in_use_that_is_said() -> None:
    with pytest.raises(UserError, match="no range is left for the interface that stands in"):
        beside(make_fleet(node("a", "x", "198.18.5.10"), node("b", "x", "100.127.0.9"), ipv4="198.19.0.0/16"))
