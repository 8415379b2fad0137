from dataclasses import replace

import pytest

from tests.lab.fleets import fleet, node, site, three_places
from wireloom.errors import UserError
from wireloom.lab.plan import plan_lab
from wireloom.lab.script import digest, files


def _files(*nodes):
    return files(plan_lab(fleet(*nodes, sites=(site("x", "10.0.0.0/24"),)), "ssh-ed25519 AAAA me"))


def test_the_inside_of_a_machine():
    text = _files(node("a", "x", "203.0.113.1", "2001:db8::1", "10.0.0.2"))
    assert text["networks/node-a/ip"].splitlines() == [
        "link set dev lo up",
        "link set dev eth0 addrgenmode none",
        "address add 203.0.113.1/32 dev eth0",
        "address add 2001:db8::1/128 dev eth0 nodad",
        "address add fe80::2/64 dev eth0 nodad",
        "link set dev eth0 up",
        "link set dev eth1 addrgenmode none",
        "address add 10.0.0.2/24 broadcast + dev eth1",
        "address add fe80::1:1/64 dev eth1 nodad",
        "link set dev eth1 up",
        "route add 0.0.0.0/0 via 169.254.0.1 dev eth0 onlink src 203.0.113.1",
        "route add ::/0 via fe80::1 dev eth0 onlink src 2001:db8::1",
    ]


def test_the_rules_of_a_router_with_nat():
    text = _files(node("a", "x", "10.0.0.2", nat=True), node("b", "x", "203.0.113.1", nat=True))
    rules = text["networks/site-x/nft"].splitlines()
    assert [one for one in rules if "uplink" in one and "input" not in one][3:] == [
        'iifname "uplink" drop',
        'oifname "uplink" ip saddr { 203.0.113.1, 10.0.0.2 } accept',
        'oifname "uplink" reject with icmpx type admin-prohibited',
        'oifname "uplink" ip saddr { 10.0.0.2 } snat ip to 192.0.2.252',
    ]


def test_the_bridge_is_there_before_its_ports():
    lines = _files(node("a", "x", "10.0.0.2"))["networks/site-x/ip"].splitlines()
    assert lines.index("link add lan type bridge mcast_snooping 0") < lines.index(
        "link set dev lan-a master lan"
    )


def test_machines_are_listed_with_their_ssh_ports():
    assert _files(node("a", "x", "10.0.0.2", port=2222), node("b", "x"))["machines"] == "a 2222\nb 22\n"


def test_machines_do_not_forward_whatever_the_host_does():
    assert "net/ipv4/ip_forward 0" in _files(node("a", "x", "10.0.0.2"))["networks/node-a/sysctl"]


@pytest.mark.parametrize("name", ["a b", "-a", "$(id)", "a\nb", "a/../b", "ä", ""])
def test_names_that_could_mean_something_to_a_shell_are_refused(name):
    with pytest.raises(UserError, match="no lab can be made with the name"):
        _files(node(name, "x", "10.0.0.2"))


def test_the_digest_is_that_of_the_machines_and_networks():
    one, other = three_places(), replace(three_places(), underlay=replace(three_places().underlay, port=4))
    assert digest(files(plan_lab(one, "key"))) == digest(files(plan_lab(other, "key")))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(node("b", "x", "10.0.0.4"), id="another address"),
        pytest.param(node("b", "x", "10.0.0.3", port=23), id="another ssh port"),
        pytest.param(node("c", "x", "10.0.0.3"), id="another name"),
        pytest.param(node("b", "x", "10.0.0.3", nat=True), id="behind NAT now"),
    ],
)
def test_the_digest_changes_with_a_machine(change):
    first = node("a", "x", "10.0.0.2")
    assert digest(_files(first, node("b", "x", "10.0.0.3"))) != digest(_files(first, change))
