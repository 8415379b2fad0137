"""Fleet + Lock → Network: who talks to whom, over which endpoint, with which MTU."""

from collections import Counter
from collections.abc import Mapping
from ipaddress import ip_interface, ip_network

from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet, Node
from wireloom.intent.reach import dial_address
from wireloom.lock.footing import Stance, next_stance
from wireloom.lock.lock import Lock, LockedNode
from wireloom.network.network import Member, Network, Peer
from wireloom.network.stand_in import leads
from wireloom.values import API_PORT, ETCD_PORTS, KUBELET_PORT, Endpoint, Interface, NodeName, Prefix

KEEPALIVE = 25
"""Seconds; shorter than the UDP timeout of common NAT devices (wg(8), PersistentKeepalive)."""

PATH_MTU = 1500
OVERHEAD_IPV4 = 60
OVERHEAD_IPV6 = 80
"""Outer IP header + 8 UDP + 32 WireGuard (16 header, 16 tag), from the WireGuard paper, section 5.4."""


CLUSTER_DEVICES = {
    "flannel": ("cni0", "flannel.1", "flannel-v6.1", "flannel-wg", "flannel-wg-v6"),
    "calico": ("cali*", "vxlan.calico", "vxlan-v6.calico", "tunl0"),
    "cilium": ("lxc*", "cilium_*"),
}
"""What a network plugin makes on a node for its pods (flannel: pkg/backend; k3s: the bridge plugin)."""


def weave(fleet: Fleet, lock: Lock) -> Network:
    """The full mesh of a fleet whose lock holds an address for every node (see ``lock.allot``).

    It is the next one that can be had where the nodes stand now, as the lock says: what the fleet file wants,
    or a step to it. Where the network plugin alone encrypts, nobody has a peer.
    """
    stance = next_stance(lock.footing, wanted_stance(fleet))
    members = {
        name: _member(fleet, node, lock.nodes[name], stance.ranges) for name, node in fleet.nodes.items()
    }
    hosts = {
        name: _host_routes(member) + _pod_routes(fleet, name, lock.nodes[name]) + _carried(fleet, name)
        for name, member in members.items()
    }
    views: dict[object, tuple[Peer, ...]] = {}
    for node in fleet.nodes.values() if fleet.has_underlay else ():
        seen_alike = _class_of(node)
        if seen_alike not in views:
            views[seen_alike] = tuple(_view(node, fleet, stance.port, members, hosts))
    return Network(
        fleet=fleet.name,
        interface=fleet.underlay.interface,
        port=stance.port,
        mtu=fleet.underlay.mtu or _auto_mtu(fleet, views),
        ranges=stance.ranges,
        fenced=stance.ranges + (fleet.kubernetes.pods if fleet.kubernetes else ()),
        trusted=_trusted(fleet) if fleet.underlay.guard else None,
        members=members,
        views={name: views.get(_class_of(node), ()) for name, node in fleet.nodes.items()},
        also=stance.also,
        relief=fleet.relief,
        relieves=fleet.carries.interface if fleet.carries else None,
    )


def wanted_stance(fleet: Fleet) -> Stance:
    """Where the fleet file leads to."""
    return Stance(fleet.underlay.port, fleet.underlay.ranges)


def _trusted(fleet: Fleet) -> tuple[str, ...]:
    """The interface, loopback, and what on a machine itself may send to the fleet: pods, what was named."""
    pods = CLUSTER_DEVICES[fleet.kubernetes.cni] if fleet.kubernetes else ()
    relief = (fleet.relief,) if fleet.relief else ()
    own = (fleet.underlay.interface, *relief, "lo")
    return tuple(dict.fromkeys((*own, *pods, *fleet.underlay.trusted)))


def _closed_ports(fleet: Fleet, node: Node) -> tuple[int, ...]:
    """Where only the cluster may reach a machine of it.

    Only in a cluster that wireloom makes: in another one machines may meet elsewhere than on the underlay.
    """
    cluster = fleet.k3s
    if cluster is None or not node.roles:
        return ()
    ports = [KUBELET_PORT]
    if "k3s-server" in node.roles:
        ports += () if cluster.public_api else (API_PORT,)
        ports += ETCD_PORTS if cluster.datastore == "embedded" else ()
    return tuple(sorted(ports))


def _member(fleet: Fleet, node: Node, locked: LockedNode, ranges: tuple[Prefix, ...]) -> Member:
    interfaces: tuple[Interface, ...] = tuple(
        ip_interface(f"{address}/{prefix.prefixlen}")
        for prefix in ranges
        if (address := locked.address_in(prefix)) is not None
    )
    return Member(
        name=node.name,
        site=node.site,
        interfaces=interfaces,
        public_key=locked.public_key,
        nat=node.nat,
        roles=node.roles,
        closed=_closed_ports(fleet, node),
        leads=leads(fleet.carries, node.name) if fleet.carries else (),
    )


def _host_routes(member: Member) -> tuple[Prefix, ...]:
    """/32 and /128: a peer's own mask would let one peer claim the addresses of all."""
    return tuple(ip_network(interface.ip) for interface in member.interfaces)


def _pod_routes(fleet: Fleet, name: NodeName, locked: LockedNode) -> tuple[Prefix, ...]:
    """With host-gw pods talk by their own addresses: flannel makes the routes, a peer has to be let use them.

    Raises UserError for a range that is none of the cluster's: nothing else may be led into a tunnel.
    """
    cluster = fleet.kubernetes
    if cluster is None or not cluster.routes_pods:
        return ()
    for prefix in locked.pods:
        if not any(_is_within(prefix, one) for one in cluster.pods):
            ranges = ", ".join(map(str, cluster.pods))
            raise UserError.one(
                f"{prefix}, the range of the pods of `{name}`, is outside of {ranges}",
                hint="the pod ranges of a cluster that lives can't be changed: write the old ones again",
            )
    return locked.pods


def _carried(fleet: Fleet, name: NodeName) -> tuple[Prefix, ...]:
    return fleet.carries.behind[name] if fleet.carries else ()


def _is_within(inner: Prefix, outer: Prefix) -> bool:
    return (
        inner.version == outer.version
        and inner.network_address in outer
        and inner.prefixlen >= outer.prefixlen
    )


def _class_of(node: Node) -> object:
    """What decides how a node sees the others: two nodes alike in this dial everybody alike."""
    public = frozenset(address.version for address in node.public)
    private = frozenset(address.version for address in node.private)
    return node.site, node.nat, public, private


def _view(
    node: Node,
    fleet: Fleet,
    port: int,
    members: dict[NodeName, Member],
    hosts: dict[NodeName, tuple[Prefix, ...]],
) -> list[Peer]:
    """Everybody that a node of this class is a peer of, the nodes of the class itself included."""
    peers = []
    for target in fleet.nodes.values():
        address = dial_address(node, target)
        if address is None and dial_address(target, node) is None:
            continue
        # A NATed node must keep its mapping open, but only towards who is outside of the NAT.
        through_nat = node.nat and address is not None and address not in target.private
        peers.append(
            Peer(
                name=target.name,
                public_key=members[target.name].public_key,
                endpoint=Endpoint(address, port) if address else None,
                allowed_ips=hosts[target.name],
                keepalive=KEEPALIVE if through_nat else 0,
                sources=()
                if address is None
                else target.private
                if address in target.private
                else target.public,
            )
        )
    return peers


def _auto_mtu(fleet: Fleet, views: Mapping[object, tuple[Peer, ...]]) -> int:
    """1420 if any endpoint in use is IPv6, else 1440: the same on all nodes, so that paths are alike.

    The view of a class of one holds that one itself, whose endpoint nobody dials.
    """
    sizes = Counter(map(_class_of, fleet.nodes.values()))
    over_ipv6 = any(
        peer.endpoint is not None and peer.endpoint.address.version == 6
        for dialler, view in views.items()
        for peer in view
        if sizes[dialler] > 1 or _class_of(fleet.nodes[peer.name]) != dialler
    )
    return PATH_MTU - (OVERHEAD_IPV6 if over_ipv6 else OVERHEAD_IPV4)
