"""Fleets made by hand, so that the lab's tests stand on nothing but the lab."""

import os
from ipaddress import ip_address, ip_network
from pathlib import Path

from wireloom.intent.fleet import Fleet, Node, Site, Underlay
from wireloom.values import NodeName, SiteName, SshTarget


def site(name: str, *private: str, nat: bool = False) -> Site:
    return Site(SiteName(name), tuple(ip_network(one) for one in private), nat)


def node(
    name: str, at: str, *addresses: str, ssh: str | None = None, nat: bool = False, port: int | None = None
):
    """A node; an address is public unless it is of a range that only private networks have."""
    parsed = [ip_address(one) for one in addresses]
    private = tuple(one for one in parsed if str(one).startswith(("10.", "192.168.", "fd")))
    public = tuple(one for one in parsed if one not in private)
    host = ssh or (addresses[0] if addresses else None)
    return Node(NodeName(name), SiteName(at), SshTarget(host, port) if host else None, public, private, nat)


def fleet(*nodes: Node, sites: tuple[Site, ...], name: str = "shop", path: str = "shop.yaml") -> Fleet:
    underlay = Underlay("wg0", 51820, ip_network("10.99.0.0/16"), None)
    return Fleet(
        name,
        underlay,
        {one.name: one for one in sites},
        {one.name: one for one in nodes},
        lab=True,
        path=Path(path),
    )


def three_places(name: str = "shop", path: str = "shop.yaml") -> Fleet:
    """Two data centres with the same private range, an office behind NAT, IPv6 on one machine of each."""
    return fleet(
        node("cp1", "fsn", "203.0.113.10", "2001:db8::10", "10.0.0.2"),
        node("w1", "fsn", "203.0.113.11", "10.0.0.3"),
        node("cp2", "ams", "198.51.100.20", "2001:db8:1::20", "10.0.0.2", port=2222),
        node("inner", "ams", "10.0.0.3"),
        node("build1", "office", "192.168.178.40", "fd00:178::40", nat=True),
        node("bare", "office", nat=True),
        sites=(
            site("fsn", "10.0.0.0/16"),
            site("ams", "10.0.0.0/16"),
            site("office", "192.168.178.0/24", "fd00:178::/64", nat=True),
        ),
        name=name,
        path=path,
    )


def quiet(_: str) -> None:
    """Progress that nobody wants to see."""


def lab_name(word: str) -> str:
    """A name that no lab of somebody else, or of a test beside this one, has."""
    return f"test-{word}-{os.getpid()}"
