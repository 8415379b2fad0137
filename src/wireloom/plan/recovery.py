"""A lock that was lost, made anew: what the machines say of themselves, and of those that don't answer."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

from wireloom.errors import UserError
from wireloom.lock.lock import Lock, LockedNode
from wireloom.observe.state import NodeState, Seen
from wireloom.plan.filed import as_applied, read_filed, read_peer, split_file
from wireloom.plan.fleet import keys_seen
from wireloom.values import Address, NodeName


def recover_lock(fleet: str, seen: Seen) -> Lock:
    """The lock of the newest generation that was seen of this fleet; without host keys, and what k3s is.

    A node has the addresses of its own file, and the key that it has. Of one that does not answer, or whose
    file is not as an apply has left it, the newest files of others tell, and of everybody's pods; also of
    nodes that have left the fleet file meanwhile. Raises UserError where no machine has a generation of this
    fleet, or the newest one is two.
    """
    stamped = [(one, one.stamp) for one in seen.values() if isinstance(one, NodeState) and one.stamp]
    ours = [(state, stamp) for state, stamp in stamped if stamp.fleet == fleet]
    generation = max((stamp.generation for _, stamp in ours), default=0)
    newest = [(state, stamp) for state, stamp in ours if stamp.generation == generation]
    if not ours:
        raise UserError.one(
            f"no machine that answered has a generation of the fleet `{fleet}`",
            hint="there is nothing to recover: the first `wireloom apply` writes the lock",
        )
    (network, one), *others = {stamp.network: state.name for state, stamp in newest}.items()
    if others:
        raise UserError.one(
            f"generation {generation} is one thing on {one}, and another on {others[0][1]}",
            hint="two checkouts applied the same number: one of their fleet.lock is what is needed",
        )
    texts = {state.name: text for state, _ in ours if (text := as_applied(state)) is not None}
    nodes = dict(_hear(texts[state.name] for state, _ in newest if state.name in texts))
    for name, text in texts.items():
        own = [one.ip for one in read_filed(split_file(text)[0], None).addresses]
        nodes[name] = _place(nodes.get(name, LockedNode()), own)
    return Lock(fleet, generation, network, nodes).with_keys(keys_seen(seen))


def _hear(texts: Iterable[str]) -> Iterator[tuple[NodeName, LockedNode]]:
    """What files say of their peers: all the same, but for endpoints. What stands in many is read once."""
    sections = dict.fromkeys(section for text in texts for section in split_file(text)[1])
    for peer in filter(None, map(read_peer, sections)):
        pods = tuple(one for one in peer.allowed_ips if one.network_address not in peer.addresses)
        yield peer.name, _place(LockedNode(public_key=peer.public_key, pods=pods), peer.addresses)


def _place(node: LockedNode, addresses: Iterable[Address]) -> LockedNode:
    """The node at these addresses. Which of two is a former one is for `allot` to say, by the ranges."""
    kept = sorted(addresses, key=lambda one: (one.version, int(one)))
    ipv4 = next((one for one in kept if isinstance(one, IPv4Address)), None)
    ipv6 = next((one for one in kept if isinstance(one, IPv6Address)), None)
    former = tuple(one for one in kept if one not in {ipv4, ipv6})
    return replace(node, ipv4=ipv4, ipv6=ipv6, former=former)
