"""The machines of a cluster that wireloom makes: what k3s asks of them, and of the ranges around them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from wireloom.errors import Severity
from wireloom.intent.fields import Entry, Values
from wireloom.intent.finding import Finding, Position, show
from wireloom.intent.fleet import Node
from wireloom.intent.reach import dial_address, group_nodes, mute_groups, share_a_network
from wireloom.intent.releases import check_release
from wireloom.intent.schema import (
    DATASTORE,
    ENCRYPT,
    IPV4,
    IPV6,
    KUBERNETES,
    NODE_ROLES,
    NODES,
    PODS,
    SERVICES,
    UDP_PORT,
    UNDERLAY,
    VERSION,
)
from wireloom.values import FLANNEL_PORTS, NodeName, Prefix

SERVER = "k3s-server"

NODE_MASK = {4: 24, 6: 64}
"""The length of each node's own pod range (kube-controller-manager, --node-cidr-mask-size-ipv4 and -ipv6)."""

NATED = "k3s issue 9535"
MULTICLOUD = "docs.k3s.io/networking/distributed-multicloud"
HA = "docs.k3s.io/datastore/ha-embedded"
DUAL_STACK = "docs.k3s.io/networking/basic-network-options"


class _Member(NamedTuple):
    """A node with a role, and where that is written."""

    node: Node
    at: Position

    @property
    def server(self) -> bool:
        return SERVER in self.node.roles


def check_members(top: Values, nodes: Mapping[NodeName, Node]) -> Iterator[Finding]:
    """Everything about the machines of the cluster; ``nodes`` are those without mistakes.

    What k3s can't do at all is told always, the rest only where wireloom installs k3s: somebody else may know
    other ways.
    """
    kubernetes = top.get(KUBERNETES)
    if kubernetes is None:
        return
    entries = top.get(NODES) or ()
    members = list(_members(entries, nodes))
    complete = len(nodes) == len(entries)
    if complete and kubernetes.sound and kubernetes.get(ENCRYPT) == "cni":
        yield from check_wireguard(members, kubernetes)
    if kubernetes.get(VERSION) is None:
        return
    yield from check_ports(top, kubernetes)
    if complete:
        yield from check_servers(members, kubernetes)
        yield from check_room(members, kubernetes)
    yield from check_ways_in(members)
    if kubernetes.get(ENCRYPT) != "cni":
        yield from check_servers_reached(members)
    if kubernetes.sound:
        yield from check_families(top, kubernetes)
        across = complete and kubernetes[ENCRYPT] == "cni" and not _share_a_network(members, kubernetes)
        yield from check_release(kubernetes, across=across)


def _members(entries: Sequence[Entry[Values]], nodes: Mapping[NodeName, Node]) -> Iterator[_Member]:
    for entry in entries:
        node = nodes.get(NodeName(entry.name))
        if node is not None and node.roles:
            yield _Member(node, entry.value.place(NODE_ROLES))


def check_servers(members: Sequence[_Member], kubernetes: Values) -> Iterator[Finding]:
    """There is a server, and an odd number of them where they hold the state themselves."""
    servers = [one for one in members if one.server]
    if not servers:
        what = (
            "no node is a k3s server, and the agents have none to join" if members else "no node has a role"
        )
        hint = f"give a node `roles: [{SERVER}]`, or leave `version` out if somebody else installs k3s"
        yield Finding(kubernetes.place(VERSION), what, hint)
    elif len(servers) % 2 == 0 and kubernetes.get(DATASTORE) == "embedded":
        fewer = len(servers) - 1
        what = (
            f"{len(servers)} servers survive the loss of no more of them"
            f" than {fewer} {'does' if fewer == 1 else 'do'}"
        )
        hint = f"etcd needs more than half of them: an odd number is better ({HA})"
        yield Finding(servers[-1].at, what, hint, Severity.WARNING)


def check_ways_in(members: Sequence[_Member]) -> Iterator[Finding]:
    """Wireloom reaches every machine that it shall install k3s on."""
    for one in members:
        if one.node.ssh is None:
            what = f"{show(one.node.name)} has a role, and no `ssh` by which k3s could be installed on it"
            yield Finding(one.at, what, "add `ssh` to it, or take its role away")


def check_servers_reached(members: Sequence[_Member]) -> Iterator[Finding]:
    """Every machine of the cluster has a tunnel to every server: k3s keeps a connection to each of them."""
    places = {one.node.name: one.at for one in members}
    for pair in mute_groups(group_nodes(one.node for one in members)):
        server = next((one for group in pair for one in group.nodes if SERVER in one.roles), None)
        if server is None:
            continue
        other = next(
            one for group in reversed(pair) for one in group.nodes if one is not server and _mute(one, server)
        )
        what = f"{show(other.name)} has no way to the k3s server {show(server.name)}"
        hint = "a server must be reached by every other machine of the cluster: give it a public address"
        yield Finding(places[other.name], what, hint)


def check_wireguard(members: Sequence[_Member], kubernetes: Values) -> Iterator[Finding]:
    """Without an underlay, wireguard-native has a way between all machines, and etcd between its servers.

    On one private network it has. Across clouds everybody must be reached at a public address, and embedded
    etcd stays in one place.
    """
    if kubernetes.get(VERSION) is None:
        what = "without an underlay and without `version` there is nothing to build for wireloom"
        hint = "name the version of k3s to install; `verify` looks at somebody else's cluster, too"
        yield Finding(kubernetes.place(ENCRYPT), what, hint, Severity.WARNING)
    if _share_a_network(members, kubernetes):
        return
    families = {one.value.version for one in kubernetes.get(PODS) or ()}
    for one in members:
        public = {address.version for address in one.node.public}
        if one.node.nat:
            what = f"{show(one.node.name)} is behind NAT, and wireguard-native dials every machine"
            hint = (
                f"write `encrypt: underlay`: there it dials out ({NATED}); or, if all machines of the cluster"
            )
            yield Finding(one.at, what, f"{hint} are on one private network, their `private` addresses")
        elif families - public:
            what = f"{show(one.node.name)} has no public {_called(sorted(families - public))} address"
            hint = f"wireguard-native dials every machine across clouds: add it ({MULTICLOUD})"
            yield Finding(one.at, what, hint)
    servers = [one for one in members if one.server]
    apart = next((one for one in servers if one.node.site != servers[0].node.site), None)
    if apart is not None and kubernetes.get(DATASTORE) == "embedded":
        first = servers[0].node.name
        what = (
            f"the k3s server {show(apart.node.name)} is in another site than {show(first)}, and so its etcd"
        )
        hint = "across clouds k3s wants all servers in one place, or `datastore: external`; or write"
        yield Finding(apart.at, what, f"{hint} `encrypt: underlay` ({MULTICLOUD})")


def _share_a_network(members: Sequence[_Member], kubernetes: Values) -> bool:
    families = {one.value.version for one in kubernetes.get(PODS) or ()}
    return share_a_network([one.node for one in members], families)


def check_ports(top: Values, kubernetes: Values) -> Iterator[Finding]:
    """Two WireGuards on one machine listen apart."""
    underlay = top.get(UNDERLAY)
    port = None if underlay is None else underlay.get(UDP_PORT)
    if underlay is not None and port in FLANNEL_PORTS and kubernetes.get(ENCRYPT) == "both":
        what = f"port {port} is that of flannel's WireGuard beside the underlay's"
        yield Finding(underlay.place(UDP_PORT), what, "choose another port, like 51820")


def _mute(one: Node, other: Node) -> bool:
    return dial_address(one, other) is None and dial_address(other, one) is None


def check_families(top: Values, kubernetes: Values) -> Iterator[Finding]:
    """Pods, services and machines have the same families of addresses, one range of each, in one order.

    k3s refuses to start otherwise: "must share the same IP version" (k3s, pkg/agent/run.go); the API server
    has its own address in the family of the first service range.
    """
    families = {}
    for key in (PODS, SERVICES):
        found = [one.value.version for one in kubernetes.get(key) or ()]
        families[key.key] = found
        if len(set(found)) < max(len(found), 1):
            what = f"k3s takes one range of each family for {key.key}, and there are {len(found) or 'none'}"
            yield Finding(
                kubernetes.place(key), what, f"one IPv4 range, one IPv6 range, or both ({DUAL_STACK})"
            )
    pods, services = families.values()
    if not (pods and services):
        return
    if pods != services:
        what = f"pods have {_called(pods)} addresses, and services {_called(services)}"
        yield Finding(kubernetes.place(SERVICES), what, f"give both the same, in one order ({DUAL_STACK})")
    underlay = top.get(UNDERLAY)
    if underlay is None or kubernetes.get(ENCRYPT) == "cni":
        return
    machines = [4 if key is IPV4 else 6 for key in (IPV4, IPV6) if underlay.get(key) is not None]
    if machines and set(pods) - set(machines):
        what = f"pods have {_called(pods)} addresses, and the underlay {_called(machines)}"
        example = '`pods: ["fd00:42::/56"]` and `services: ["fd00:43::/112"]`' if machines == [6] else ""
        hint = f"write {example}" if example else "give the underlay a range of that family as well"
        yield Finding(kubernetes.place(PODS), what, f"{hint} ({DUAL_STACK})")


def _called(families: Sequence[int]) -> str:
    return " and ".join(f"IPv{one}" for one in families)


def check_room(members: Sequence[_Member], kubernetes: Values) -> Iterator[Finding]:
    """There is a range of pods for every machine."""
    for one in kubernetes.get(PODS) or ():
        room = _room(one.value)
        if room < len(members):
            mask = NODE_MASK[one.value.version]
            what = f"{one.value} has room for the pods of {room} machines (/{mask} each), of {len(members)}"
            yield Finding(one.at, what, "choose a larger range: it can't be changed once the cluster lives")


def _room(pods: Prefix) -> int:
    longer = NODE_MASK[pods.version] - pods.prefixlen
    return 2**longer if longer >= 0 else 0
