"""The addresses that a lab adds to a fleet's own: gateways, spares, and the routers' own on the internet."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from itertools import chain, count

from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet, Node, Site
from wireloom.values import Address, Interface, NodeName, Prefix, SiteName

# Documentation (RFC 5737, RFC 3849) and, when a fleet uses them up, benchmarking (RFC 2544): never real.
POOL_IPV4 = (IPv4Network("192.0.2.0/24"), IPv4Network("198.18.0.0/15"))
POOL_IPV6 = IPv6Network("2001:db8:ffff::/64")


@dataclass(frozen=True, slots=True)
class Lan:
    """The private network of a site in the lab.

    ``members``: the private addresses of each machine on it, with the prefix of the range they lie in.
    ``gateways``: the router's own address in each range; a range with no address to spare has none.
    """

    ranges: tuple[Prefix, ...]
    members: Mapping[NodeName, tuple[Interface, ...]]
    gateways: Mapping[Prefix, Interface]


def taken(fleet: Fleet) -> tuple[Prefix, ...]:
    """Every range that the fleet uses or reserves, public addresses as /32 and /128."""
    cluster = fleet.kubernetes
    return (
        *fleet.underlay.ranges,
        *(one for site in fleet.sites.values() for one in site.private),
        *(ip_network(one) for node in fleet.nodes.values() for one in node.public),
        *((*cluster.pods, *cluster.services) if cluster else ()),
    )


def pool(fleet: Fleet) -> Iterator[tuple[Address, Address]]:
    """Pairs of an IPv4 and an IPv6 address on the lab's internet that the fleet has no use for.

    IPv4 comes from the top of 192.0.2.0/24, IPv6 from the bottom of 2001:db8:ffff::/64.
    """
    avoid = taken(fleet)
    ipv4 = _outside(avoid, chain.from_iterable(_from_the_top(one) for one in POOL_IPV4))
    ipv6 = _outside(avoid, (POOL_IPV6[host] for host in count(1)))
    return zip(ipv4, ipv6, strict=False)


def settle(fleet: Fleet) -> dict[SiteName, Lan]:
    """The private network of every site: who is on it with which addresses, and the router's.

    A machine with no address at all (it is for export only) gets one: in the site's first range of each
    family, or in a spare range (172.31.N.0/24, fd17:2:31:N::/64) when the site has none.
    """
    spares = _spare_ranges(fleet)
    return {site.name: _lan(site, _nodes_of(fleet, site), spares) for site in fleet.sites.values()}


def _nodes_of(fleet: Fleet, site: Site) -> list[Node]:
    return [node for node in fleet.nodes.values() if node.site == site.name]


def _lan(site: Site, nodes: list[Node], spares: Iterator[tuple[Prefix, Prefix]]) -> Lan:
    """One site's private network; takes a pair from ``spares`` when a machine needs what the site lacks."""
    homeless = [node for node in nodes if not node.public and not node.private]
    ranges = list(site.private)
    if homeless:
        families = {one.version for one in ranges}
        ranges += [one for one in next(spares) if one.version not in families]
    used = {address for node in nodes for address in node.private}
    gateways: dict[Prefix, Interface] = {}
    for one in ranges:
        free = next((host for host in _from_the_top(one) if host not in used), None)
        if free is not None:
            used.add(free)
            gateways[one] = ip_interface(f"{free}/{one.prefixlen}")
    members = {
        node.name: tuple(_in_its_range(address, ranges, node) for address in node.private)
        for node in nodes
        if node.private
    }
    homes = [next(one for one in ranges if one.version == version) for version in (4, 6) if homeless]
    for node in homeless:
        members[node.name] = tuple(_give(one, used, node) for one in homes)
    return Lan(tuple(ranges), members, gateways)


def _in_its_range(address: Address, ranges: Iterable[Prefix], node: Node) -> Interface:
    """The address with the prefix length of the narrowest range that holds it."""
    holders = [one for one in ranges if one.version == address.version and address in one]
    if not holders:
        raise UserError.one(
            f"the private address {address} of {node.name} is in none of the private ranges of {node.site}",
            where=node.name,
            hint=f"add its range to sites.{node.site}.private",
        )
    return ip_interface(f"{address}/{max(one.prefixlen for one in holders)}")


def _give(one: Prefix, used: set[Address], node: Node) -> Interface:
    """A free address of a range, from the top, now used."""
    for host in _from_the_top(one):
        if host not in used:
            used.add(host)
            return ip_interface(f"{host}/{one.prefixlen}")
    raise UserError.one(
        f"{node.name} has no address, and the private range {one} of {node.site} has none left for it",
        where=node.name,
        hint="give the machine an address, or the site a larger range",
    )


def _spare_ranges(fleet: Fleet) -> Iterator[tuple[Prefix, Prefix]]:
    """Pairs of an IPv4 and an IPv6 range that overlap nothing of the fleet's."""
    avoid = taken(fleet)
    ipv4 = (ip_network(f"172.31.{n}.0/24") for n in range(256))
    ipv6 = (ip_network(f"fd17:2:31:{n:x}::/64") for n in range(256))
    return zip(_apart(avoid, ipv4), _apart(avoid, ipv6), strict=False)


def _apart(avoid: tuple[Prefix, ...], ranges: Iterable[Prefix]) -> Iterator[Prefix]:
    return (one for one in ranges if not any(one.overlaps(other) for other in avoid))


def _outside(avoid: tuple[Prefix, ...], hosts: Iterable[Address]) -> Iterator[Address]:
    return (host for host in hosts if not any(host in one for one in avoid))


def _from_the_top(one: Prefix) -> Iterator[Address]:
    """The usable addresses of a range, highest first, without walking the range up to them."""
    total = one.num_addresses
    ends = 0 if total <= 2 else 1  # network and broadcast; the anycast and the last of an IPv6 range
    return (one[index] for index in range(total - 1 - ends, ends - 1, -1))
