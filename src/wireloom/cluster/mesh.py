"""The network that encrypts, to be shown: the underlay, or what flannel makes where it alone encrypts."""

from ipaddress import ip_interface

from wireloom.cluster.places import FLANNEL_WIREGUARD
from wireloom.cluster.standing import cluster_nodes, is_across_clouds, node_addresses, public_addresses
from wireloom.intent.fleet import Fleet
from wireloom.network.network import Member, Network, Peer
from wireloom.network.topology import KEEPALIVE, OVERHEAD_IPV6, PATH_MTU
from wireloom.values import FLANNEL_OWN_PORTS, Address, Endpoint, NodeName

MTU = PATH_MTU - OVERHEAD_IPV6
"""Flannel takes as much off, whatever is outside (flannel, pkg/backend/wireguard, overhead)."""


def encrypting_network(fleet: Fleet, network: Network) -> Network:
    """``network``, where it is built; else that of flannel, as k3s is told to make it.

    There each machine of the cluster dials every other at one address: the one of its private network, or
    across clouds its public one, in the family of the first pods. That address stands for the machine, too:
    what its interface has is of its own pods, and nobody knows these before the cluster gives them out. Nor
    are keys known: flannel makes new ones at every restart of a machine. Who is in no cluster has no tunnel.
    """
    cluster = fleet.kubernetes
    if fleet.has_underlay or cluster is None:
        return network
    family = cluster.pods[0].version if cluster.pods else 4
    addresses = {name: _dialled(fleet, network, name) for name in cluster_nodes(fleet)}
    peers = tuple(
        Peer(name, None, Endpoint(address, FLANNEL_OWN_PORTS[family]), (), KEEPALIVE)
        for name, address in addresses.items()
        if address is not None
    )
    return Network(
        fleet=fleet.name,
        interface=FLANNEL_WIREGUARD[family],
        port=FLANNEL_OWN_PORTS[family],
        mtu=MTU,
        ranges=cluster.pods,
        fenced=(),
        trusted=None,
        members={
            name: Member(
                name=name,
                site=node.site,
                interfaces=(ip_interface(address),) if (address := addresses.get(name)) else (),
                public_key=None,
                nat=node.nat,
                roles=node.roles,
            )
            for name, node in fleet.nodes.items()
        },
        views={name: peers if addresses.get(name) else () for name in fleet.nodes},
        under=False,
    )


def _dialled(fleet: Fleet, network: Network, name: NodeName) -> Address | None:
    """Where the others dial a machine; None where the file names no address that they could."""
    across = is_across_clouds(fleet)
    found = public_addresses(fleet, name) if across else node_addresses(fleet, network, name)
    return next(iter(found), None)
