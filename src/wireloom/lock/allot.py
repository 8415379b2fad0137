"""Addresses are given out once and stay: Fleet + Lock → Lock."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet
from wireloom.lock.lock import Lock, LockedNode
from wireloom.values import Address, NodeName, Prefix


def allot(fleet: Fleet, lock: Lock) -> Lock:
    """Give every node of the fleet an address of each range, in file order, from the first usable.

    A node keeps what it has, whatever happens to the others. What lies in none of the ranges any more becomes
    a former address, as long as nodes may use it, and the node's again if its range returns. A node that left
    keeps its addresses reserved under its name, and gets them back if it returns; they go to another only
    when the range has nothing else left, the longest released first. Raises UserError when a range is too
    small.
    """
    leaving = {
        name: node if node.released is not None else replace(node, released=lock.generation, pods=())
        for name, node in lock.nodes.items()
        if name not in fleet.nodes
    }
    staying = {name: replace(lock.nodes.get(name, LockedNode()), released=None) for name in fleet.nodes}
    held = {name: node.addresses for name, node in staying.items()}
    given4 = _allot_family(fleet.underlay.ipv4, held, leaving)
    given6 = _allot_family(fleet.underlay.ipv6, held, leaving)
    nodes = {
        name: replace(
            node,
            ipv4=given4.get(name),  # type: ignore[arg-type]
            ipv6=given6.get(name),  # type: ignore[arg-type]
            former=tuple(one for one in held[name] if one not in {given4.get(name), given6.get(name)})
            if lock.generation
            else (),
        )
        for name, node in staying.items()
    }
    return replace(lock, fleet=fleet.name, nodes=nodes | _still_reserved(leaving, nodes))


def _allot_family(
    prefix: Prefix | None,
    held: dict[NodeName, tuple[Address, ...]],
    leaving: dict[NodeName, LockedNode],
) -> dict[NodeName, Address]:
    """The addresses of one family: name → address; empty where the fleet has no such range."""
    if prefix is None:
        return {}
    usable = {name: [one for one in addresses if _usable(one, prefix)] for name, addresses in held.items()}
    given = {name: addresses[0] for name, addresses in usable.items() if addresses}
    taken = {address for addresses in held.values() for address in addresses}
    oldest_first = sorted(leaving.values(), key=lambda node: node.released or 0)
    reserved = [
        address
        for node in oldest_first
        for address in node.addresses
        if _usable(address, prefix) and address not in taken
    ]
    free = _free(prefix, taken, reserved)
    for name in held:
        if name not in given:
            address = next(free, None)
            if address is None:
                raise UserError.one(
                    f"the range {prefix} has no address left for `{name}`",
                    hint="a larger range under `underlay:` renumbers nobody who lies in it",
                )
            given[name] = address
    return given


def _usable(address: Address, prefix: Prefix) -> bool:
    """Inside, and neither the first nor the last of the range.

    In IPv4 these are network and broadcast; in IPv6 the first is the subnet-router anycast address
    (RFC 4291, section 2.6.1), and the last is left out for symmetry. A range that was made smaller
    can turn an address that was given out into one of them.
    """
    return address in prefix and address not in (prefix.network_address, prefix.broadcast_address)


def _free(
    prefix: Prefix,
    taken: set[Address],
    reserved: list[Address],
) -> Iterator[Address]:
    """Usable addresses that nobody holds: never used ones in order, then reserved ones as listed."""
    busy = taken | set(reserved)
    first, last = int(prefix.network_address) + 1, int(prefix.broadcast_address) - 1
    kind = IPv4Address if isinstance(prefix, IPv4Network) else IPv6Address
    for number in range(first, last + 1):
        address = kind(number)
        if address not in busy:
            yield address
    yield from reserved


def _still_reserved(
    leaving: dict[NodeName, LockedNode], nodes: dict[NodeName, LockedNode]
) -> dict[NodeName, LockedNode]:
    """The released nodes without the addresses that had to be given to somebody else."""
    taken = {address for node in nodes.values() for address in node.addresses}
    return {
        name: replace(
            node,
            ipv4=None if node.ipv4 in taken else node.ipv4,
            ipv6=None if node.ipv6 in taken else node.ipv6,
            former=tuple(one for one in node.former if one not in taken),
        )
        for name, node in leaving.items()
    }
