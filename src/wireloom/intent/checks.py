"""Rules about values that depend on each other. Each takes what was read and yields what is wrong with it.

A part that was refused is left out of the value, so the rules look at the rest, and say only what no
repair of the refused part could change.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import NamedTuple

from wireloom.intent.access import HOST, fold_host, jump_place, resolve_target
from wireloom.intent.fields import Entry, Values, empty, missing
from wireloom.intent.finding import START, Finding, Located, Position, show, suggest, tame
from wireloom.intent.schema import (
    ENCRYPT,
    FLEET_FILE,
    INTERFACE,
    IPV4,
    IPV6,
    IPV6_MIN_MTU,
    K3S_PODS,
    K3S_SERVICES,
    KUBERNETES,
    MTU,
    NODE_PRIVATE,
    NODE_PUBLIC,
    NODE_ROLES,
    NODE_SITE,
    NODE_SSH,
    NODES,
    PODS,
    SERVICES,
    SITE_PRIVATE,
    SITE_SUBNETS,
    SITES,
    SSH,
    UDP_PORT,
    UNDERLAY,
    Auto,
)
from wireloom.values import VXLAN_PORT, Address, Prefix, SshTarget

# Names that mean something else on a node: the kernel's own, and those of the CNI that would take them.
_TAKEN_INTERFACES = {
    "lo": "the loopback interface",
    "all": "the kernel's word for every interface",
    "default": "the kernel's word for interfaces to come",
    "cni0": "the bridge of the pods",
    "flannel.1": "flannel's",
    "flannel-wg": "flannel's",
    "flannel-wg-v6": "flannel's",
    "wireguard.cali": "Calico's",
    "wg-v6.cali": "Calico's",
    "cilium_wg0": "Cilium's",
}


@dataclass(frozen=True, slots=True)
class _Range:
    """A range that is in use, with what it is for in words."""

    prefix: Prefix
    use: str
    at: Position


class _Target(NamedTuple):
    """A node, its ``ssh`` as written, and what it comes to with the fleet's defaults."""

    node: Entry[Values]
    own: Values
    target: SshTarget


def check_all(top: Values) -> Iterator[Finding]:
    """Every rule over the whole file."""
    yield from check_sizes(top)
    yield from check_underlay(top)
    yield from check_overlaps(top)
    yield from check_sites(top)
    yield from check_addresses(top)
    yield from check_roles(top)
    targets = list(_resolve_targets(top))
    yield from check_ssh_targets(targets)
    yield from check_jumps(targets, top)


def check_sizes(top: Values) -> Iterator[Finding]:
    """There is at least one node, and an underlay address for each."""
    nodes = top.get(NODES)
    if nodes is None:
        return
    if not nodes and top.sound:
        yield Finding(top.place(NODES), "a fleet needs at least one node", "add it under `nodes`")
    for network in _underlay_ranges(top):
        # IPv4: network and broadcast. IPv6: the subnet-router anycast address (RFC 4291, 2.6.1) and the last.
        usable = network.prefix.num_addresses - 2
        if usable < len(nodes):
            what = f"{network.prefix} has {usable} addresses to give out, and there are {len(nodes)} nodes"
            yield Finding(network.at, what, "choose a larger range: one that is in use can't grow easily")


def check_underlay(top: Values) -> Iterator[Finding]:
    """There is an underlay where one is made; it has a range, and an interface, port and MTU that work."""
    underlay = top.get(UNDERLAY)
    if underlay is None:
        if not (_needs_none(top) or top.misspelt(UNDERLAY)):
            at = top.place(UNDERLAY)
            yield empty(UNDERLAY, at) if top.gave(UNDERLAY) else missing(UNDERLAY, at, FLEET_FILE.called)
        return
    readable = underlay.sound or underlay.places
    if readable and not any(underlay.gave(key) or underlay.misspelt(key) for key in (IPV4, IPV6)):
        yield Finding(underlay.at, "the underlay has no range", "add `ipv4: 10.99.0.0/16`, `ipv6`, or both")
    interface = underlay.get(INTERFACE)
    if interface in _TAKEN_INTERFACES:
        what = f"{show(interface)} is {_TAKEN_INTERFACES[interface]}"
        yield Finding(underlay.place(INTERFACE), what, "choose another interface name, like wg0")
    if underlay.get(UDP_PORT) == VXLAN_PORT:
        what = f"port {VXLAN_PORT} is the port of flannel's VXLAN"
        yield Finding(underlay.place(UDP_PORT), what, "choose another port, like 51820")
    mtu = underlay.get(MTU)
    if (
        not isinstance(mtu, Auto)
        and mtu is not None
        and mtu < IPV6_MIN_MTU
        and underlay.get(IPV6) is not None
    ):
        what = f"an MTU of {mtu} is too small for IPv6"
        yield Finding(underlay.place(MTU), what, f"IPv6 needs at least {IPV6_MIN_MTU}: write that, or `auto`")


def _needs_none(top: Values) -> bool:
    """The network plugin alone encrypts; or what is to encrypt can't be read, which is told already."""
    kubernetes = top.get(KUBERNETES)
    if kubernetes is None:
        return top.misspelt(KUBERNETES)
    return kubernetes.misspelt(ENCRYPT) or kubernetes.get(ENCRYPT) in {"cni", None}


def check_overlaps(top: Values) -> Iterator[Finding]:
    """The underlay is apart from every other range and address, and pods are apart from services."""
    pods, services = list(_cluster_ranges(top, "pods")), list(_cluster_ranges(top, "services"))
    others = [*_site_ranges(top), *pods, *services]
    for underlay in _underlay_ranges(top):
        for other in others:
            if underlay.prefix.overlaps(other.prefix):
                what = f"the underlay {underlay.prefix} overlaps {other.prefix}, {other.use}"
                yield Finding(underlay.at, what, "choose a range for the underlay that nothing else uses")
        for node in top.get(NODES) or ():
            for key in (NODE_PUBLIC, NODE_PRIVATE):
                for address in node.value.get(key) or ():
                    if address.value in underlay.prefix:
                        what = f"{address.value} is inside the underlay {underlay.prefix}"
                        hint = f"`{key.key}` holds what the node has already; wireloom gives out the others"
                        yield Finding(address.at, what, hint)
    if top.get(KUBERNETES) is not None:
        for cluster in (*pods, *services):
            yield from _check_cluster_range(top, cluster)
    for pod in pods:
        for service in services:
            if pod.prefix.overlaps(service.prefix):
                what = f"{service.prefix}, {service.use}, overlaps {pod.prefix}, {pod.use}"
                yield Finding(max(pod.at, service.at), what, "pods and services need ranges of their own")


def _check_cluster_range(top: Values, cluster: "_Range") -> Iterator[Finding]:
    """A machine whose own address is a pod's or a service's could not be reached any more."""
    for node in top.get(NODES) or ():
        for key in (NODE_PUBLIC, NODE_PRIVATE):
            for address in node.value.get(key) or ():
                if address.value in cluster.prefix:
                    what = f"{address.value} is inside {cluster.prefix}, {cluster.use}"
                    yield Finding(address.at, what, "choose a range that no machine has an address in")


def check_sites(top: Values) -> Iterator[Finding]:
    """Every node is in a site of the file, and its private addresses are in that site's ranges."""
    sites = _by_name(top.get(SITES))
    if sites is None:
        return
    for node in top.get(NODES) or ():
        name = node.value.get(NODE_SITE)
        if name is None:
            continue
        site = sites.get(name)
        if site is None:
            what = f"{show(name)} is not one of the sites{suggest(name, list(sites))}"
            yield Finding(
                node.value.place(NODE_SITE),
                what,
                f"add it under `sites`; there are: {', '.join(map(tame, sites)) or 'none'}",
            )
            continue
        ranges = [one.value for one in site.value.get(SITE_PRIVATE) or ()]
        if site.value.sound:
            for address in node.value.get(NODE_PRIVATE) or ():
                yield from _check_private(address, name, ranges)


def _check_private(address: Located[Address], site: str, ranges: list[Prefix]) -> Iterator[Finding]:
    around = [one for one in ranges if address.value in one]
    for one in around:
        if called := _reserved_as(address.value, one):
            what = (
                f"{address.value} is the {called} address of {one}, a private range of the site {show(site)}"
            )
            yield Finding(address.at, what, "write the machine's own address, as `ip address` shows it there")
    if around:
        return
    if not ranges:
        what = f"{address.value} is private, and the site {show(site)} has no private ranges"
        yield Finding(address.at, what, f"add `private: [RANGE]` to the site {show(site)}")
        return
    what = f"{address.value} is not in the private ranges of the site {show(site)}"
    yield Finding(address.at, what, f"its ranges are: {', '.join(map(str, ranges))}")


def _reserved_as(address: Address, network: Prefix) -> str | None:
    """What an address of a range is that no machine can have; a range of one or two is all machines' own.

    RFC 919 and RFC 3021 for IPv4; the subnet-router anycast address of IPv6 (RFC 4291, 2.6.1; RFC 6164).
    """
    if network.num_addresses <= 2:
        return None
    if address == network.network_address:
        return "network" if network.version == 4 else "subnet-router anycast"
    return "broadcast" if network.version == 4 and address == network.broadcast_address else None


def check_addresses(top: Values) -> Iterator[Finding]:
    """No address is used twice: public ones in the world, private ones in their site."""
    seen: dict[tuple[str | None, Address], Located[str]] = {}
    for node in top.get(NODES) or ():
        public, private = node.value.get(NODE_PUBLIC) or (), node.value.get(NODE_PRIVATE) or ()
        own = {one.value for one in public}
        for address in private:
            if address.value in own:
                what = f"{address.value} is both public and private"
                yield Finding(address.at, what, "write it once: private, if only its own site can reach it")
        site = node.value.get(NODE_SITE)
        scoped = [(None, one) for one in public] + ([(site, one) for one in private] if site else [])
        for scope, address in scoped:
            first = seen.setdefault((scope, address.value), Located(node.name, address.at))
            if first.value != node.name:
                where = f"line {first.at.line}, column {first.at.column}"
                inside = f" in the site {show(scope)}" if scope else ""
                what = f"{address.value} belongs to {show(first.value)} already{inside} ({where})"
                yield Finding(
                    address.at, what, "two machines can't have the same address: correct one of them"
                )


def check_roles(top: Values) -> Iterator[Finding]:
    """A node has one role at most: a k3s server is an agent too."""
    for node in top.get(NODES) or ():
        roles = node.value.get(NODE_ROLES) or ()
        if len(roles) > 1:
            what = f"{show(node.name)} is to be both a k3s server and an agent"
            yield Finding(roles[1].at, what, "write one of them: a server runs pods too")


def check_ssh_targets(targets: Sequence[_Target]) -> Iterator[Finding]:
    """No two nodes are reached at the same host, port and jump: they would be one machine."""
    seen: dict[tuple[str, int, str | None], Entry[Values]] = {}
    for node, own, target in targets:
        jump = target.jump and fold_host(target.jump)
        first = seen.setdefault((fold_host(target.host), target.port or 22, jump), node)
        if first is not node:
            at = own.place(HOST)
            what = f"{show(node.name)} has the same SSH target as {show(first.name)}: {target.host}"
            hint = (
                f"{show(first.name)} is at line {first.at.line}: each needs a host, port or jump of its own"
            )
            yield Finding(at, what, hint)


def check_jumps(targets: Sequence[_Target], top: Values) -> Iterator[Finding]:
    """Jumps by way of nodes end at a node that is reached without, and each of them has a way in."""
    nodes = _by_name(top.get(NODES)) or {}
    jumps: dict[str, str] = {}
    places: dict[str, Position] = {}
    for node, own, target in targets:
        through = nodes.get(target.jump or "")
        if through is None:
            continue
        at = places[node.name] = jump_place(own, top.get(SSH))
        if through is node:
            yield Finding(
                at, f"{show(node.name)} jumps through itself", "remove `jump`, or name another machine"
            )
        elif through.value.get(NODE_SSH) is None:
            if not through.value.gave(NODE_SSH) or through.value.sound:
                what = f"{show(node.name)} jumps through {show(through.name)}, which has no `ssh`"
                yield Finding(at, what, f"add `ssh` to {show(through.name)}")
        else:
            jumps[node.name] = through.name
    for cycle in _cycles(jumps):
        what = f"jumps that go in a circle: {' → '.join([*cycle, cycle[0]])}"
        yield Finding(places[cycle[0]], what, "one of them must be reached without: `jump: null`")


def _cycles(jumps: Mapping[str, str]) -> Iterator[list[str]]:
    """The cycles of a graph in which each node has at most one way on, each once."""
    done: set[str] = set()
    for start in jumps:
        path: dict[str, None] = {}
        here: str | None = start
        while here is not None and here not in done and here not in path:
            path[here] = None
            here = jumps.get(here)
        if here is not None and here in path:
            names = list(path)
            yield names[names.index(here) :]
        done.update(path)


def _resolve_targets(top: Values) -> Iterator[_Target]:
    """The nodes whose SSH target is known."""
    defaults = top.get(SSH)
    for node in top.get(NODES) or ():
        own = node.value.get(NODE_SSH)
        target = None if own is None else resolve_target(own, defaults, node.name)
        if own is not None and target is not None:
            yield _Target(node, own, target)


def _by_name(entries: tuple[Entry[Values], ...] | None) -> dict[str, Entry[Values]] | None:
    return None if entries is None else {one.name: one for one in entries}


def _underlay_ranges(top: Values) -> Iterator[_Range]:
    underlay = top.get(UNDERLAY)
    if underlay is None:
        return
    for key in (IPV4, IPV6):
        prefix = underlay.get(key)
        if prefix is not None:
            yield _Range(prefix, "the underlay", underlay.place(key))


def _site_ranges(top: Values) -> Iterator[_Range]:
    for site in top.get(SITES) or ():
        for key, what in ((SITE_PRIVATE, "a private range"), (SITE_SUBNETS, "a subnet")):
            for one in site.value.get(key) or ():
                yield _Range(one.value, f"{what} of the site {show(site.name)} (line {one.at.line})", one.at)


def _cluster_ranges(top: Values, what: str) -> Iterator[_Range]:
    """The ranges of pods or services: the file's, or those of k3s where it has none."""
    key, standard = (PODS, K3S_PODS) if what == "pods" else (SERVICES, K3S_SERVICES)
    kubernetes = top.get(KUBERNETES)
    if kubernetes is None or not kubernetes.gave(key):
        at = START if kubernetes is None else kubernetes.at
        yield _Range(
            ip_network(standard), f"which k3s gives to {what} unless `kubernetes.{what}` says otherwise", at
        )
        return
    for one in kubernetes.get(key) or ():
        yield _Range(one.value, f"the {what} range (line {one.at.line})", one.at)
