"""Fleets to draw, small and large, built by hand and woven as the command line would."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from wireloom.intent.fleet import Fleet, Node, Site, Underlay
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.network.topology import weave
from wireloom.values import NodeName, SiteName


def site(name: str, *private: str, nat: bool = False) -> Site:
    return Site(SiteName(name), tuple(map(ip_network, private)), nat)


def node(
    name: str, home: str, *, public: str = "", private: str = "", roles: str = "", nat: bool = False
) -> Node:
    return Node(
        name=NodeName(name),
        site=SiteName(home),
        public=tuple(map(ip_address, public.split())),
        private=tuple(map(ip_address, private.split())),
        nat=nat,
        roles=tuple(roles.split()),
    )


def fleet(name: str, sites: list[Site], nodes: list[Node], *, dual: bool = False) -> Fleet:
    underlay = Underlay(
        "wg0", 51820, IPv4Network("10.99.0.0/16"), IPv6Network("fd42:99::/64") if dual else None
    )
    return Fleet(name, underlay, {one.name: one for one in sites}, {one.name: one for one in nodes})


def net(of: Fleet) -> Network:
    return weave(of, allot(of, Lock(of.name)))


def small(*, dual: bool = False) -> Fleet:
    """Two data centres and an office behind NAT: every way that a tunnel can be."""
    return fleet(
        "shop",
        [site("fsn", "10.0.0.0/16"), site("sin"), site("office", "192.168.178.0/24", nat=True)],
        [
            node("cp1", "fsn", public="203.0.113.10", private="10.0.0.2", roles="k3s-server"),
            node("w1", "fsn", public="203.0.113.11", private="10.0.0.3", roles="k3s-agent"),
            node("db1", "sin", public="192.0.2.30"),
            node("db2", "sin", public="192.0.2.31"),
            node("nas1", "office", private="192.168.178.41", nat=True),
            node("nas2", "office", private="192.168.178.42", nat=True),
        ],
        dual=dual,
    )


def large(sites: int, each: int, *, nat_sites: int = 0) -> Fleet:
    """So many nodes at each of so many sites, the last sites behind NAT."""
    names = [f"dc{number}" for number in range(sites)]
    behind = set(names[sites - nat_sites :]) if nat_sites else set()
    return fleet(
        "large",
        [site(name, f"10.{number}.0.0/16", nat=name in behind) for number, name in enumerate(names)],
        [
            node(
                f"{name}-node-{index:03d}",
                name,
                public="" if name in behind else f"198.{number % 250 + 1}.{index // 250}.{index % 250 + 1}",
                private=f"10.{number}.{index // 250}.{index % 250 + 1}",
                nat=name in behind,
            )
            for number, name in enumerate(names)
            for index in range(each)
        ],
    )
