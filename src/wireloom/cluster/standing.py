"""Which machines are in the cluster, and by which addresses they know each other there."""

from wireloom.cluster.places import Role
from wireloom.intent.fleet import Fleet
from wireloom.network.network import Network
from wireloom.values import Address, NodeName


def cluster_nodes(fleet: Fleet) -> dict[NodeName, Role]:
    """The machines with a role, in the order of the file."""
    return {name: Role(node.roles[0]) for name, node in fleet.nodes.items() if node.roles}


def node_addresses(fleet: Fleet, network: Network, name: NodeName) -> tuple[Address, ...]:
    """A machine's own addresses in the cluster (node-ip): one of each family, that of the pods first.

    k3s wants the first to be of the family of the first pod range, and puts them so itself if they are not
    (k3s, pkg/agent/config/config.go).
    """
    own: dict[int, Address] = {}
    for interface in network.members[name].interfaces:
        own.setdefault(interface.version, interface.ip)
    return in_family_order(fleet, tuple(own.values()))


def in_family_order(fleet: Fleet, addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """The same addresses, those of the family of the first pod range before the others."""
    pods = fleet.kubernetes.pods if fleet.kubernetes else ()
    first = pods[0].version if pods else 4
    return tuple(sorted(addresses, key=lambda one: one.version != first))
