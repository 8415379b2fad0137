"""A second interface that carries everything while the keys of the first are changed.

A WireGuard interface has one key: with another one every tunnel of it begins anew, and what is on its way is
lost. So the whole network is built once more, beside itself: an interface with keys, a port and addresses of
its own, whose peers may use the addresses of the first one as well. Routes lead everything over it, and back
when the first has its new keys. To every other part of wireloom it is a fleet like any other: its steps are
applies, with files that a reboot reads.
"""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, ip_network
from itertools import chain

from wireloom.errors import UserError
from wireloom.intent.fleet import Carried, Fleet
from wireloom.network.network import Lead, Network
from wireloom.values import NodeName, Prefix

RANGES = (IPv4Network("198.18.0.0/16"), IPv4Network("198.19.0.0/16"), IPv4Network("100.127.0.0/16"))
"""For the stand-in's own addresses, by which its tunnels are proven, the first that the fleet does not use.

They are for tests between networks (RFC 2544), and at the end of what is between a provider and its
customers (RFC 6598): nobody's private networks.
"""

ENDING = "-turn"
LONGEST = 15
"""Signs in the name of an interface (Linux, IFNAMSIZ without its zero)."""


def stand_in_name(interface: str) -> str:
    """What the interface is called that stands in for this one."""
    return interface[: LONGEST - len(ENDING)] + ENDING


def stand_in_fleet(fleet: str) -> str:
    """What machines note as the fleet of a stand-in."""
    return fleet + ENDING


def relieved(fleet: Fleet) -> Fleet:
    """The fleet while a stand-in is beside its interface, which its guard lets pass."""
    return replace(fleet, relief=stand_in_name(fleet.underlay.interface))


def stand_in(fleet: Fleet, network: Network, port: int, *, led: bool) -> Fleet:
    """The fleet that is the stand-in for this one, whose network is ``network``; ``led``: it carries all.

    Machines have no role in it: nothing but routes says that anybody rides on it. Its addresses and its name
    are nobody's wish, so nothing of it is in the fleet file.
    """
    underlay = replace(
        fleet.underlay,
        interface=stand_in_name(fleet.underlay.interface),
        port=port,
        ipv4=_free_range(fleet),
        ipv6=None,
        mtu=network.mtu,
        guard=False,
    )
    behind = {name: tuple(dict.fromkeys(prefixes)) for name, prefixes in _behind(network)}
    carried = Carried(
        interface=fleet.underlay.interface,
        addresses={name: member.interfaces for name, member in network.members.items()},
        behind=behind,
        led=led,
    )
    return replace(
        fleet,
        name=stand_in_fleet(fleet.name),
        underlay=underlay,
        nodes={name: replace(node, roles=()) for name, node in fleet.nodes.items()},
        kubernetes=None,
        relief=None,
        carries=carried,
    )


def _free_range(fleet: Fleet) -> IPv4Network:
    """Raises UserError where the fleet uses all of them."""
    used = [*fleet.underlay.ranges, *chain.from_iterable(site.private for site in fleet.sites.values())]
    if fleet.kubernetes:
        used += [*fleet.kubernetes.pods, *fleet.kubernetes.services]
    used += [ip_network(one) for node in fleet.nodes.values() for one in node.public]
    used4 = [one for one in used if isinstance(one, IPv4Network)]
    for one in RANGES:
        if not any(map(one.overlaps, used4)):
            return one
    ranges = ", ".join(map(str, RANGES))
    raise UserError.one("no range is left for the interface that stands in", hint=f"it needs one of {ranges}")


def _behind(network: Network) -> Iterator[tuple[NodeName, tuple[Prefix, ...]]]:
    """What each node's peers let it use."""
    peers = {peer.name: peer.allowed_ips for view in network.views.values() for peer in view}
    yield from ((name, peers.get(name, ())) for name in network.members)


def leads(carried: Carried, name: NodeName) -> tuple[Lead, ...]:
    """The routes that lead a node's packets over a stand-in.

    Each range is led in two halves: a longer prefix wins over the routes that are there, whoever made them
    and whatever their metric, and none of them has to be touched.
    """
    own = {one.version: one.ip for one in carried.addresses[name]}
    ranges = [one.network for one in carried.addresses[name]]
    others = chain.from_iterable(prefixes for other, prefixes in carried.behind.items() if other != name)
    pods = [one for one in others if one.prefixlen < one.max_prefixlen]
    return tuple(
        Lead(half, own[half.version])
        for prefix in dict.fromkeys((*ranges, *pods))
        if carried.led and prefix.version in own
        for half in prefix.subnets(1)
    )
