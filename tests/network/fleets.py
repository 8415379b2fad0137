"""Fleets, locks and keys made by hand, for the tests of everything between the two files and a plan."""

import base64
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from wireloom.intent.fleet import Fleet, Kubernetes, Node, Site, Underlay
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.values import NodeName, PublicKey, SiteName

IPV4 = "10.99.0.0/16"
IPV6 = "fd42:99::/64"


def key(number: int) -> PublicKey:
    """A public key by number: what it is the key of does not matter here."""
    return PublicKey(base64.b64encode(number.to_bytes(32, "big")).decode())


def node(
    name: str, site: str, public: str = "", private: str = "", *, nat: bool = False, role: str = ""
) -> Node:
    """A node; addresses are parted by spaces."""
    return Node(
        NodeName(name),
        SiteName(site),
        public=tuple(map(ip_address, public.split())),
        private=tuple(map(ip_address, private.split())),
        nat=nat,
        roles=(role,) if role else (),
    )


def make_fleet(
    *nodes: Node,
    ipv4: str | None = IPV4,
    ipv6: str | None = None,
    mtu: int | None = None,
    pods: Iterable[str] = (),
    name: str = "shop",
    guard: bool = True,
    trusted: Iterable[str] = (),
    port: int = 51820,
    backend: str = "vxlan",
) -> Fleet:
    """A fleet of these nodes; its sites are those that they name."""
    underlay = Underlay(
        "wg0",
        port,
        IPv4Network(ipv4) if ipv4 else None,
        IPv6Network(ipv6) if ipv6 else None,
        mtu,
        guard,
        tuple(trusted),
    )
    sites = {one.site: Site(one.site) for one in nodes}
    cluster = Kubernetes(pods=tuple(map(ip_network, pods)), flannel_backend=backend) if pods else None
    return Fleet(name, underlay, sites, {one.name: one for one in nodes}, kubernetes=cluster)


def named(*names: str, **options: object) -> Fleet:
    """A fleet of nodes about which nothing matters but their names: each has a public address."""
    nodes = (node(name, "a", public=f"203.0.113.{place}") for place, name in enumerate(names, 1))
    return make_fleet(*nodes, **options)  # type: ignore[arg-type]


def lock_of(fleet: Fleet, *, keyless: Iterable[str] = (), generation: int = 0, network: str = "") -> Lock:
    """A lock with an address for each node, and keys 1, 2, … in the order of the file."""
    lock = allot(fleet, Lock(fleet.name, generation, network))
    numbers = {name: place for place, name in enumerate(fleet.nodes, 1) if name not in keyless}
    return lock.with_keys({name: key(number) for name, number in numbers.items()})


PLACES = (
    node("cp1", "fsn", "203.0.113.10 2001:db8::10", "10.0.0.2"),
    node("w1", "fsn", "203.0.113.11", "10.0.0.3"),
    node("cp2", "ams", "198.51.100.20 2001:db8:1::20", "10.0.0.2"),
    node("db1", "sin", "2001:db8:2::30 192.0.2.30"),
    node("build1", "office", private="192.168.178.40", nat=True),
    node("bare", "home", nat=True),
)
"""Two data centres with the same private range, one with none, and two places behind NAT."""
