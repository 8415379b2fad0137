from ipaddress import ip_address
from itertools import islice

import pytest

from tests.lab.fleets import fleet, node, site
from wireloom.errors import UserError
from wireloom.lab.addresses import pool, settle


def _members(lan):
    return {name: [str(one) for one in addresses] for name, addresses in lan.members.items()}


def _gateways(lan):
    return {str(one): str(own) for one, own in lan.gateways.items()}


def test_a_router_takes_the_last_usable_address_of_a_range():
    lan = settle(fleet(node("a", "x", "10.0.0.2"), sites=(site("x", "10.0.0.0/24"),)))["x"]
    assert _gateways(lan) == {"10.0.0.0/24": "10.0.0.254/24"}


def test_a_router_steps_aside_for_a_machine():
    lan = settle(fleet(node("a", "x", "10.0.0.254"), sites=(site("x", "10.0.0.0/24"),)))["x"]
    assert _gateways(lan) == {"10.0.0.0/24": "10.0.0.253/24"}


def test_a_range_without_a_free_address_has_no_gateway():
    crowded = fleet(node("a", "x", "10.0.0.1"), node("b", "x", "10.0.0.2"), sites=(site("x", "10.0.0.0/30"),))
    assert _gateways(settle(crowded)["x"]) == {}


def test_a_private_address_carries_the_prefix_of_the_range_that_holds_it():
    lan = settle(fleet(node("a", "x", "10.1.0.2"), sites=(site("x", "10.0.0.0/16", "10.1.0.0/24"),)))["x"]
    assert _members(lan) == {"a": ["10.1.0.2/24"]}


def test_the_same_range_in_two_sites_is_two_networks():
    lans = settle(
        fleet(
            node("a", "x", "10.0.0.2"),
            node("b", "y", "10.0.0.2"),
            sites=(site("x", "10.0.0.0/24"), site("y", "10.0.0.0/24")),
        )
    )
    assert (_members(lans["x"]), _members(lans["y"])) == ({"a": ["10.0.0.2/24"]}, {"b": ["10.0.0.2/24"]})


def test_a_machine_without_addresses_gets_one_of_its_sites_range_and_of_a_spare_one():
    lan = settle(fleet(node("a", "x", nat=True), sites=(site("x", "10.0.0.0/24", nat=True),)))["x"]
    assert _members(lan) == {"a": ["10.0.0.253/24", "fd17:2:31:0:ffff:ffff:ffff:fffd/64"]}


def test_spare_ranges_differ_from_site_to_site():
    bare = fleet(node("a", "x", nat=True), node("b", "y", nat=True), sites=(site("x"), site("y")))
    spares = {name: [str(one) for one in lan.ranges] for name, lan in settle(bare).items()}
    assert spares == {
        "x": ["172.31.0.0/24", "fd17:2:31::/64"],
        "y": ["172.31.1.0/24", "fd17:2:31:1::/64"],
    }


def test_a_private_address_outside_of_its_site_is_refused():
    with pytest.raises(UserError, match=r"10\.9\.9\.9 of a is in none of the private ranges of x"):
        settle(fleet(node("a", "x", "10.9.9.9"), sites=(site("x", "10.0.0.0/24"),)))


@pytest.mark.parametrize(
    ("public", "expected"),
    [
        pytest.param("203.0.113.1", "192.0.2.254", id="from the top"),
        pytest.param("192.0.2.254", "192.0.2.253", id="not what a machine has"),
    ],
)
def test_the_pool_of_addresses_on_the_internet(public, expected):
    ipv4, _ = next(pool(fleet(node("a", "x", public), sites=(site("x"),))))
    assert ipv4 == ip_address(expected)


def test_the_pool_goes_on_in_another_range_when_the_first_is_used_up():
    pairs = islice(pool(fleet(node("a", "x", "203.0.113.1"), sites=(site("x"),))), 300)
    assert str(list(pairs)[254][0]) == "198.19.255.254"
