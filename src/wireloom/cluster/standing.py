"""Which machines are in the cluster, and by which addresses they know each other there."""

from collections.abc import Iterable

from wireloom.cluster.places import Role
from wireloom.intent.fleet import Fleet, Node
from wireloom.intent.reach import dial_address, share_a_network
from wireloom.network.network import Network
from wireloom.values import Address, NodeName, Prefix


def cluster_nodes(fleet: Fleet) -> dict[NodeName, Role]:
    """The machines with a role, in the order of the file."""
    return {name: Role(node.roles[0]) for name, node in fleet.nodes.items() if node.roles}


def node_addresses(fleet: Fleet, network: Network, name: NodeName) -> tuple[Address, ...]:
    """A machine's own addresses in the cluster (node-ip): one of each family, that of the pods first.

    On an underlay its addresses there. Without one the private ones of the families that pods have, and where
    there is none the public one. k3s wants the first to be of the family of the first pod range, and puts
    them so itself if they are not (k3s, pkg/agent/config/config.go).
    """
    if fleet.has_underlay:
        return _one_of_each(fleet, (interface.ip for interface in network.members[name].interfaces))
    node = fleet.nodes[name]
    return _of_the_pods(fleet, (*node.private, *node.public))


def public_addresses(fleet: Fleet, name: NodeName) -> tuple[Address, ...]:
    """Where the others reach a machine across clouds (node-external-ip)."""
    return _of_the_pods(fleet, fleet.nodes[name].public)


def is_across_clouds(fleet: Fleet) -> bool:
    """Whether the machines of the cluster meet at public addresses.

    They don't on an underlay, and where they share the private network of one site.
    """
    members = [fleet.nodes[name] for name in cluster_nodes(fleet)]
    families = {one.version for one in _pods(fleet)}
    return not fleet.has_underlay and not share_a_network(members, families)


def server_address(fleet: Fleet, network: Network, server: NodeName, joins: Node) -> Address:
    """Where a machine reaches a server: on the underlay, or as the one site or the world lets it."""
    own = node_addresses(fleet, network, server)[0]
    return own if fleet.has_underlay else dial_address(joins, fleet.nodes[server]) or own


def _of_the_pods(fleet: Fleet, addresses: Iterable[Address]) -> tuple[Address, ...]:
    families = {one.version for one in _pods(fleet)}
    return _one_of_each(fleet, (one for one in addresses if one.version in families))


def _one_of_each(fleet: Fleet, addresses: Iterable[Address]) -> tuple[Address, ...]:
    """The first address of each family, that of the first pod range before the other."""
    found: dict[int, Address] = {}
    for address in addresses:
        found.setdefault(address.version, address)
    first = next((one.version for one in _pods(fleet)), 4)
    return tuple(sorted(found.values(), key=lambda one: one.version != first))


def _pods(fleet: Fleet) -> tuple[Prefix, ...]:
    return fleet.kubernetes.pods if fleet.kubernetes else ()
