"""The machines of a cluster that wireloom makes: what k3s asks of them, and of the ranges around them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from wireloom.errors import Severity
from wireloom.intent.fields import Entry, Values
from wireloom.intent.finding import Finding, Position, show
from wireloom.intent.fleet import Node
from wireloom.intent.reach import dial_address, group_nodes, mute_groups
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
    UNDERLAY,
    VERSION,
)
from wireloom.values import NodeName, Prefix

SERVER = "k3s-server"

NODE_MASK = {4: 24, 6: 64}
"""The length of each node's own pod range (kube-controller-manager, --node-cidr-mask-size-ipv4 and -ipv6)."""

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

    Nothing where somebody else installs k3s: that one may know other ways.
    """
    kubernetes = top.get(KUBERNETES)
    if kubernetes is None or kubernetes.get(VERSION) is None:
        return
    entries = top.get(NODES) or ()
    members = list(_members(entries, nodes))
    if len(nodes) == len(entries):
        yield from check_servers(members, kubernetes)
        yield from check_room(members, kubernetes)
    yield from check_ways_in(members)
    if kubernetes.get(ENCRYPT) != "cni":
        yield from check_servers_reached(members)
    if kubernetes.sound:
        yield from check_families(top, kubernetes)


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
        what = f"{len(servers)} servers survive the loss of no more of them than {len(servers) - 1} do"
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
