"""What was read becomes the Fleet, once nothing in it is wrong."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from wireloom.intent.access import resolve_target
from wireloom.intent.cluster import usual_backend
from wireloom.intent.document import MappingNode
from wireloom.intent.fields import Entry, Values
from wireloom.intent.fleet import Fleet, Kubernetes, Node, Site, Underlay
from wireloom.intent.schema import (
    CNI,
    DATASTORE,
    DISTRIBUTION,
    ENCRYPT,
    FLANNEL_BACKEND,
    FLEET,
    GUARD,
    INTERFACE,
    IPV4,
    IPV6,
    KUBERNETES,
    LAB,
    MIRROR,
    MTU,
    NODE_NAT,
    NODE_PRIVATE,
    NODE_PUBLIC,
    NODE_ROLES,
    NODE_SITE,
    NODE_SSH,
    NODES,
    PODS,
    PROTECTED,
    PUBLIC_API,
    SERVICES,
    SITE_NAT,
    SITE_PRIVATE,
    SITES,
    SSH,
    TRUSTED,
    UDP_PORT,
    UNDERLAY,
    UNDERLAY_RECORD,
    VERSION,
    Auto,
)
from wireloom.values import NodeName, SiteName


def build_nodes(top: Values) -> dict[NodeName, Node]:
    """The nodes that hold no mistake and are in a site that holds none, in the order of the file."""
    sites = {one.name: one.value for one in top.get(SITES) or () if one.value.sound}
    defaults = top.get(SSH)
    return {
        NodeName(one.name): _build_node(one, sites[one.value[NODE_SITE]], defaults)
        for one in top.get(NODES) or ()
        if one.value.sound and one.value[NODE_SITE] in sites
    }


def build_fleet(top: Values, nodes: Mapping[NodeName, Node], path: Path) -> Fleet:
    """The Fleet of a file without mistakes; ``nodes``: what ``build_nodes`` made of it."""
    kubernetes = top.get(KUBERNETES)
    return Fleet(
        name=top[FLEET],
        underlay=_build_underlay(top.get(UNDERLAY) or UNDERLAY_RECORD.parse(MappingNode(top.at), [])),
        sites={SiteName(one.name): _build_site(one) for one in top[SITES]},
        nodes=nodes,
        lab=top.get(LAB) is not None,
        kubernetes=None if kubernetes is None else _build_kubernetes(kubernetes),
        path=path,
    )


def _build_underlay(values: Values) -> Underlay:
    ipv4, ipv6, mtu = values.get(IPV4), values.get(IPV6), values[MTU]
    return Underlay(
        interface=values[INTERFACE],
        port=values[UDP_PORT],
        ipv4=ipv4 if isinstance(ipv4, IPv4Network) else None,
        ipv6=ipv6 if isinstance(ipv6, IPv6Network) else None,
        mtu=None if isinstance(mtu, Auto) else mtu,
        guard=values[GUARD],
        trusted=tuple(one.value for one in values[TRUSTED]),
    )


def _build_site(entry: Entry[Values]) -> Site:
    private = tuple(one.value for one in entry.value[SITE_PRIVATE])
    return Site(SiteName(entry.name), private, entry.value[SITE_NAT])


def _build_node(entry: Entry[Values], site: Values, defaults: Values | None) -> Node:
    values = entry.value
    own_nat, ssh = values.get(NODE_NAT), values.get(NODE_SSH)
    return Node(
        name=NodeName(entry.name),
        site=SiteName(values[NODE_SITE]),
        ssh=None if ssh is None else resolve_target(ssh, defaults, entry.name),
        public=tuple(one.value for one in values[NODE_PUBLIC]),
        private=tuple(one.value for one in values[NODE_PRIVATE]),
        nat=site[SITE_NAT] if own_nat is None else own_nat,
        roles=tuple(one.value for one in values[NODE_ROLES]),
    )


def _build_kubernetes(values: Values) -> Kubernetes:
    return Kubernetes(
        distribution=values[DISTRIBUTION],
        version=values.get(VERSION),
        cni=values[CNI],
        encrypt=values[ENCRYPT],
        pods=tuple(one.value for one in values[PODS]),
        services=tuple(one.value for one in values[SERVICES]),
        flannel_backend=values.get(FLANNEL_BACKEND) or usual_backend(values[CNI], values[ENCRYPT]),
        datastore=values[DATASTORE],
        public_api=values[PUBLIC_API],
        mirror=values[MIRROR],
        protected=values[PROTECTED],
    )
