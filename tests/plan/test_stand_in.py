"""What is led over a stand-in, wanted against seen: each change with what undoes it."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.network.fleets import lock_of, named
from wireloom.intent.fleet import Fleet
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.stand_in import relieved, stand_in
from wireloom.network.topology import weave
from wireloom.observe.state import LinkSeen, RiderSeen, RouteSeen
from wireloom.plan.filed import read_filed, read_leads
from wireloom.plan.plan import Change
from wireloom.plan.stand_in import plan_filter, plan_leads, plan_riders
from wireloom.render.desired import NodeDesired, render_node
from wireloom.values import NodeName

A = NodeName("a")
FLEET = named("a", "b", ipv6="fd42:99::/64")
ROUTES = [
    ("10.99.0.0/17", "10.99.0.1"),
    ("10.99.128.0/17", "10.99.0.1"),
    ("fd42:99::/65", "fd42:99::1"),
    ("fd42:99:0:0:8000::/65", "fd42:99::1"),
]


def wanted(*, led: bool) -> NodeDesired:
    other = stand_in(FLEET, weave(FLEET, lock_of(FLEET)), 51821, led=led)
    return render_node(weave(other, allot(other, Lock(other.name))), A)


def first(fleet: Fleet) -> NodeDesired:
    return render_node(weave(fleet, lock_of(fleet)), A)


def seen(*prefixes: str, device: str = "wg0-turn") -> frozenset[RouteSeen]:
    return frozenset(RouteSeen("unicast", ip_network(one), device, 0) for one in prefixes)


def commands(changes: list[Change]) -> list[tuple[str, str]]:
    return [(" ".join(one.do[0]), " ".join(one.undo[0])) for one in changes]


def both_ways(to: str, source: str) -> tuple[str, str]:
    family = "-6" if ":" in to else "-4"
    put = f"ip {family} route replace {to} dev wg0-turn src {source}"
    return put, f"ip {family} route del {to} dev wg0-turn"


# Routes


def test_every_range_is_led() -> None:
    changes = list(plan_leads(wanted(led=True), seen(), ()))
    assert commands(changes) == [both_ways(*one) for one in ROUTES]


def test_what_is_led_already_is_left_alone() -> None:
    want = wanted(led=True)
    assert list(plan_leads(want, seen(*(to for to, _ in ROUTES)), want.leads)) == []
    assert commands(list(plan_leads(want, seen(*(to for to, _ in ROUTES[1:])), want.leads))) == [
        both_ways(*ROUTES[0])
    ]


def test_a_route_of_another_interface_leads_nothing() -> None:
    there = seen(*(to for to, _ in ROUTES), device="wg0")
    assert len(list(plan_leads(wanted(led=True), there, ()))) == len(ROUTES)


def test_back_again_only_what_the_file_had_is_taken_away() -> None:
    filed = wanted(led=True).leads
    there = seen(*(to for to, _ in ROUTES), "172.16.0.0/12")
    changes = list(plan_leads(wanted(led=False), there, filed))
    assert commands(changes) == [tuple(reversed(both_ways(*one))) for one in ROUTES]
    assert list(plan_leads(wanted(led=False), seen(), filed)) == []


def test_a_file_says_what_it_leads() -> None:
    for led in (True, False):
        want = wanted(led=led)
        assert read_leads(want.config.keyless) == want.leads
    assert read_leads(first(FLEET).config.keyless) == ()


NO_LEADS = {
    "no source": "PostUp = ip -4 route replace 10.99.0.0/17 dev %i",
    "no range": "PostUp = ip -4 route replace nowhere dev %i src 10.99.0.1",
    "cut": "PostUp = ip src 1",
    "another hook": "PreUp = ip -4 route replace 10.99.0.0/17 dev %i src 10.99.0.1",
}


@pytest.mark.parametrize("line", NO_LEADS.values(), ids=NO_LEADS)
def test_lines_that_make_no_sense_lead_nothing(line: str) -> None:
    assert read_leads(f"[Interface]\n{line}\n") == ()


# What rides on the interface

FLANNEL, OTHER = RiderSeen("flannel.1", 1, "wg0"), RiderSeen("vx7", 7, "eth0")
OVER = "ip link set dev flannel.1 type vxlan id 1 dev wg0-turn"
BACK = "ip link set dev flannel.1 type vxlan id 1 dev wg0"


def test_devices_of_vxlan_go_over_and_come_back() -> None:
    moved = replace(FLANNEL, lower="wg0-turn")
    assert commands(list(plan_riders(wanted(led=True), (FLANNEL, OTHER)))) == [(OVER, BACK)]
    assert commands(list(plan_riders(wanted(led=False), (moved, OTHER)))) == [(BACK, OVER)]


def test_devices_that_are_where_they_should_be_stay() -> None:
    moved = replace(FLANNEL, lower="wg0-turn")
    assert list(plan_riders(wanted(led=True), (moved, OTHER))) == []
    assert list(plan_riders(wanted(led=False), (FLANNEL, OTHER))) == []
    assert list(plan_riders(first(FLEET), (FLANNEL, moved))) == []


# The filter of answers that leave by another interface


def link(own: int, usual: int) -> LinkSeen:
    return replace(read_filed("", None), filter=own, usual_filter=usual)


PLAIN, BESIDE = first(FLEET), first(relieved(FLEET))
FILED = {one.two_ways: read_filed(one.config.keyless, None) for one in (PLAIN, BESIDE)}
FILTERS = {
    "strict, and two ways come": (BESIDE, link(1, 1), False, [("2", "1")]),
    "off": (BESIDE, link(0, 0), False, []),
    "loose": (BESIDE, link(2, 1), True, []),
    "strict again by hand": (BESIDE, link(1, 1), True, [("2", "1")]),
    "two ways are over": (PLAIN, link(2, 1), True, [("1", "2")]),
    "two ways are over, it was off": (PLAIN, link(2, 0), True, [("0", "2")]),
    "every interface is loose": (PLAIN, link(2, 2), True, []),
    "somebody wants it loose": (PLAIN, link(2, 1), False, []),
    "somebody wants it strict": (PLAIN, link(1, 1), False, []),
}


@pytest.mark.parametrize(("want", "running", "filed", "expected"), FILTERS.values(), ids=FILTERS)
def test_answers_may_leave_by_the_other_interface(
    want: NodeDesired, running: LinkSeen, filed: bool, expected: list[tuple[str, str]]
) -> None:
    path = "/proc/sys/net/ipv4/conf/wg0/rp_filter"
    changes = list(plan_filter(want, running, FILED[filed]))
    assert [(one.do[0][-2], one.undo[0][-2]) for one in changes] == expected
    assert {one.do[0][-1] for one in changes} <= {path}
