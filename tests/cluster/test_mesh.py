"""What is shown as the network that encrypts: the underlay, or what flannel makes."""

from typing import Any

import pytest

from tests.cluster.fleets import CP1, CP2, DB1, FAMILIES, W1, cluster
from tests.network.fleets import lock_of, make_fleet, node
from wireloom.cluster.mesh import encrypting_network
from wireloom.intent.fleet import Fleet, Node
from wireloom.network.network import Network
from wireloom.network.topology import weave

CNI: dict[str, Any] = {"encrypt": "cni", "flannel_backend": "wireguard-native"}
W2 = node("w2", "ams", "198.51.100.21", role="k3s-agent")
P1 = node("p1", "fsn", private="10.0.0.8 fd00::8", role="k3s-server")
P2 = node("p2", "fsn", private="10.0.0.9 fd00::9", role="k3s-agent")
SIX = node("six", "sin", "192.0.2.30 2001:db8::30", role="k3s-server")


def shown(fleet: Fleet) -> Network:
    return encrypting_network(fleet, weave(fleet, lock_of(fleet)))


def dialled(network: Network) -> dict[str, list[str]]:
    """The endpoints that each machine dials."""
    return {name: [str(one.endpoint) for one in network.peers(name)] for name in network.members}


def flannel(*nodes: Node, family: str = "IPv4") -> Network:
    return shown(cluster(*nodes, **{**FAMILIES[family], "ipv4": None, "ipv6": None, **CNI}))


def test_across_clouds_everybody_dials_public_addresses_those_of_its_own_site_too() -> None:
    assert dialled(flannel(CP1, W1, W2)) == {
        "cp1": ["203.0.113.11:51820", "198.51.100.21:51820"],
        "w1": ["203.0.113.10:51820", "198.51.100.21:51820"],
        "w2": ["203.0.113.10:51820", "203.0.113.11:51820"],
    }


def test_in_one_private_network_private_addresses_are_dialled() -> None:
    assert dialled(flannel(CP1, W1)) == {"cp1": ["10.0.0.3:51820"], "w1": ["10.0.0.2:51820"]}


def test_who_is_in_no_cluster_is_there_without_a_tunnel() -> None:
    network = flannel(CP2, DB1, W2)
    assert dialled(network) == {"cp2": ["198.51.100.21:51820"], "db1": [], "w2": ["198.51.100.20:51820"]}
    assert network.members[DB1.name].interfaces == ()


# family: (interface, port, what p1 dials p2 at)
FIRST = {
    "IPv4": ("flannel-wg", 51820, "10.0.0.9:51820"),
    "IPv6": ("flannel-wg-v6", 51821, "[fd00::9]:51821"),
    "dual-stack": ("flannel-wg", 51820, "10.0.0.9:51820"),
}


@pytest.mark.parametrize(("family", "expected"), FIRST.items(), ids=FIRST)
def test_the_first_pods_say_by_which_interface(family: str, expected: tuple[str, int, str]) -> None:
    network = flannel(P1, P2, family=family)
    assert (network.interface, network.port, *dialled(network)["p1"]) == expected


def test_what_flannel_makes_of_it() -> None:
    network = flannel(CP1, W2)
    assert (network.under, network.mtu, *map(str, network.ranges)) == (False, 1420, "10.42.0.0/16")
    assert str(network.members[W2.name].interfaces[0].ip) == "198.51.100.21"
    assert [peer.keepalive for peer in network.peers(CP1.name)] == [25]


def test_a_machine_without_an_address_of_the_pods_family_has_no_tunnel() -> None:
    assert dialled(flannel(SIX, W2, family="IPv6")) == {"six": [], "w2": []}


BUILT = {
    "no cluster": make_fleet(CP1, W1),
    "an underlay": cluster(CP1, W1),
    "an underlay, and flannel in it": cluster(CP1, W1, encrypt="both", flannel_backend="wireguard-native"),
}


@pytest.mark.parametrize("fleet", BUILT.values(), ids=BUILT)
def test_an_underlay_is_shown_as_it_is(fleet: Fleet) -> None:
    network = weave(fleet, lock_of(fleet))
    assert encrypting_network(fleet, network) is network
