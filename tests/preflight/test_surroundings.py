# ruff: noqa: E501 - a row of a table stays a row
"""What else is on a machine's network: who has the port, and what lies in the underlay's range."""

from dataclasses import replace
from ipaddress import ip_interface, ip_network

import pytest

from tests.plan.world import settled, three
from tests.preflight.look import A, Changes, find, lines
from wireloom.observe.state import AddressSeen, NodeState, RouteSeen

OURS = (
    RouteSeen("unicast", ip_network("10.99.0.0/16"), "wg0", 0),
    RouteSeen("unreachable", ip_network("10.99.0.0/16"), "", 4000000),
    RouteSeen("unicast", ip_network("fd42:99::/64"), "wg0", 256),
    RouteSeen("unreachable", ip_network("fd42:99::/64"), "lo", 4000000),
)


def address(device: str, text: str) -> Changes:
    return {"addresses": frozenset({AddressSeen(device, ip_interface(text))})}


def route(to: str, device: str = "eth0", *, kind: str = "unicast", metric: int = 0) -> Changes:
    return {"routes": frozenset({*OURS, RouteSeen(kind, ip_network(to), device, metric)})}


FOUND: dict[str, tuple[Changes, tuple[str, str, str], str]] = {
    "an address in the range": (
        address("eth1", "10.99.7.7/24"),
        ("range", "error", "eth1 has 10.99.7.7/24, which is in the underlay's range 10.99.0.0/16"),
        "take it away there (ip address del 10.99.7.7/24 dev eth1, and where it is configured), or choose another range under `underlay:`",
    ),
    "an address in the range, of a network larger than it": (
        address("eth1", "10.99.7.7/8"),
        ("range", "error", "eth1 has 10.99.7.7/8, which is in the underlay's range 10.99.0.0/16"),
        "take it away there (ip address del 10.99.7.7/8 dev eth1, and where it is configured), or choose another range under `underlay:`",
    ),
    "an IPv6 address in the range": (
        address("eth1", "fd42:99::7/128"),
        ("range", "error", "eth1 has fd42:99::7/128, which is in the underlay's range fd42:99::/64"),
        "take it away there (ip address del fd42:99::7/128 dev eth1, and where it is configured), or choose another range under `underlay:`",
    ),
    "a network that the range is a part of": (
        address("eth1", "10.1.2.3/8"),
        ("range", "warning", "eth1 has 10.1.2.3/8: the underlay's range 10.99.0.0/16 is a part of that network"),
        "what has such addresses there can't be reached any more: choose another range under `underlay:`",
    ),
    "a route to a part of the range": (
        route("10.99.3.0/24", "tun0", metric=50),
        ("range", "error", "the route 10.99.3.0/24 dev tun0 metric 50 leads into the underlay's range 10.99.0.0/16"),
        "take it away there (ip -4 route del 10.99.3.0/24 dev tun0 metric 50, and where it is configured), or choose another range under `underlay:`",
    ),
    "a route to the range, worse than ours and better than its fence": (
        route("10.99.0.0/16", metric=500),
        ("range", "error", "the route 10.99.0.0/16 dev eth0 metric 500 leads into the underlay's range 10.99.0.0/16"),
        "take it away there (ip -4 route del 10.99.0.0/16 dev eth0 metric 500, and where it is configured), or choose another range under `underlay:`",
    ),
    "a route to nowhere": (
        route("10.99.3.0/24", "", kind="blackhole"),
        ("range", "error", "the route blackhole 10.99.3.0/24 leads into the underlay's range 10.99.0.0/16"),
        "take it away there (ip -4 route del blackhole 10.99.3.0/24, and where it is configured), or choose another range under `underlay:`",
    ),
    "an IPv6 route": (
        route("fd42:99::8/125", metric=1024),
        ("range", "error", "the route fd42:99::8/125 dev eth0 metric 1024 leads into the underlay's range fd42:99::/64"),
        "take it away there (ip -6 route del fd42:99::8/125 dev eth0 metric 1024, and where it is configured), or choose another range under `underlay:`",
    ),
    "a port that a process has": (
        {"port_holder": "dnsmasq (process 812)", "link": None},
        ("port", "error", "UDP port 51820 is taken by dnsmasq (process 812)"),
        "stop that there (ss -anup 'sport = :51820'; wg show all listen-port), or choose another `port` under `underlay:`",
    ),
    "a port that no process has": (
        {"port_holder": "", "link": None},
        ("port", "error", "UDP port 51820 is taken by no process: the kernel's, perhaps of another WireGuard interface"),
        "stop that there (ss -anup 'sport = :51820'; wg show all listen-port), or choose another `port` under `underlay:`",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "expected", "hint"), FOUND.values(), ids=FOUND)
def test_found(changes: Changes, expected: tuple[str, str, str], hint: str) -> None:
    [one] = find({A: changes})
    assert lines([one]) == [("a", *expected)]
    assert one.hint == hint


FINE: dict[str, Changes] = {
    "our own address": address("wg0", "10.99.0.1/16"),
    "our own address as a range before gave it": address("wg0", "10.99.0.1/24"),
    "an address beside the range": address("eth0", "10.98.255.255/16"),
    "an address of the other family": address("eth0", "2001:db8::1/64"),
    "our own routes": {"routes": frozenset(OURS)},
    "a fence of a range before": route("10.99.0.0/24", "", kind="unreachable", metric=4000000),
    "a route of ours for pods": route("10.99.3.0/24", "wg0"),
    "a route to more than the range": route("10.0.0.0/8"),
    "a route beside the range": route("10.98.0.0/16"),
    "a port that we have": {"port_holder": ""},
    "a port that is free": {"port_holder": None, "link": None},
}


@pytest.mark.parametrize("changes", FINE.values(), ids=FINE)
def test_nothing_is_found(changes: Changes) -> None:
    assert find({A: changes}) == []


def test_an_address_and_its_own_route_are_one_finding() -> None:
    both = {**address("eth1", "10.99.7.7/24"), **route("10.99.7.0/24", "eth1")}
    assert [one.what.split()[0] for one in find({A: both})] == ["eth1"]


def test_every_foreign_address_is_found() -> None:
    seen = {*address("eth1", "10.99.7.7/24")["addresses"], *address("eth2", "10.99.8.8/24")["addresses"]}  # type: ignore[misc]
    assert [one.what.split()[0] for one in find({A: {"addresses": frozenset(seen)}})] == ["eth1", "eth2"]


def test_a_port_that_comes_in_a_later_step_must_be_free_before_the_first() -> None:
    world = settled()
    world.change(three(port=4500))
    assert world.weave().port == 51820
    [finding] = find({A: {"port_holder": "dnsmasq (process 812)"}}, world)
    assert finding.what == "UDP port 4500 is taken by dnsmasq (process 812)"


def test_our_interface_on_another_port_does_not_make_the_port_ours() -> None:
    world = settled()
    state = world.seen()[A]
    assert isinstance(state, NodeState)
    assert state.link is not None
    changes = {"link": replace(state.link, port=4500), "port_holder": "dnsmasq (process 812)"}
    assert [str(one.check) for one in find({A: changes}, world)] == ["port"]
