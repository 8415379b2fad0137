"""What a lab consists of: namespaces, cables, addresses, routes, firewalls and machines, as one value.

The names below are stable, so that a test or a curious person can rely on them. A name over 15
characters (the kernel's limit) is replaced by the prefix and the position in the fleet file, from 1.

    machine NAME        eth0 to the router (public addresses), eth1 on the site's private network
    router of a site    uplink to the internet, pub-NAME to a machine's eth0 (or pub3),
                        lan, the private network's bridge, with ports lan-NAME (or lan3)
    internet            to-SITE to a site's uplink (or to2), operator to the operator
    operator            eth0 to the internet

Public addresses are routed one by one over link-local next hops, as hosting companies do it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_interface, ip_network

from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet, Node, Site
from wireloom.lab.addresses import Lan, pool, settle
from wireloom.values import Address, Interface, NodeName, Prefix, SiteName

INTERNET = "internet"
OPERATOR = "operator"

# Next hops, by family. The same ones on every cable: they mean something on that cable only.
ROUTER_SIDE: tuple[Address, Address] = (ip_address("169.254.0.1"), ip_address("fe80::1"))
CORE_SIDE: tuple[Address, Address] = (ip_address("169.254.1.1"), ip_address("fe80::1"))
UPLINK_SIDE: tuple[Address, Address] = (ip_address("169.254.1.2"), ip_address("fe80::2"))
EVERYWHERE: tuple[Prefix, Prefix] = (ip_network("0.0.0.0/0"), ip_network("::/0"))

INTERFACE_NAME_LIMIT = 15
SSH_PORT = 22
CROWD = 30
"""Machines on one private network from which the kernel's neighbour table (1024 by default) runs full."""


class Role(StrEnum):
    """What a namespace stands for."""

    MACHINE = "machine"
    ROUTER = "router"
    INTERNET = "internet"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Port:
    """A network interface of a namespace. ``bridge``: the bridge that it is plugged into."""

    name: str
    addresses: tuple[Interface, ...] = ()
    bridge: str | None = None
    is_bridge: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A route; ``via`` need not be covered by another route, ``source`` is the preferred own address."""

    to: Prefix
    device: str
    via: Address | None = None
    source: Address | None = None


@dataclass(frozen=True, slots=True)
class Firewall:
    """What a site's router lets through, to and from its uplink.

    ``dialable``: public addresses that anybody may open connections to. ``routable``: public addresses
    that may speak. ``masked``: private addresses that leave as the router's own, ``outside``. What is
    in none of these neither enters nor leaves; replies always do.
    """

    dialable: tuple[Address, ...]
    routable: tuple[Address, ...]
    masked: tuple[Address, ...]
    outside: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace of the lab, with all that is in it."""

    name: str
    role: Role
    ports: tuple[Port, ...]
    routes: tuple[Route, ...]
    firewall: Firewall | None = None


@dataclass(frozen=True, slots=True)
class Cable:
    """Two ends that belong together, each a namespace and the name of a port in it."""

    left: tuple[str, str]
    right: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Machine:
    """A node of the fleet in the lab, and how the operator gets to its sshd.

    ``vantage`` is the namespace to dial from: the operator's, or the router's of the machine's site
    when the machine can't be dialled from the internet.
    """

    node: NodeName
    namespace: str
    ssh_port: int
    vantage: str
    address: Address


@dataclass(frozen=True, slots=True)
class LabPlan:
    """Everything that a lab is made of. The same fleet and key always give the same plan."""

    name: str
    operator_key: str
    namespaces: tuple[Namespace, ...]
    cables: tuple[Cable, ...]
    machines: Mapping[NodeName, Machine]


@dataclass(frozen=True, slots=True)
class _Place:
    """A site while the plan is made: its nodes with their positions in the fleet, its private network."""

    site: Site
    position: int
    nodes: tuple[tuple[int, Node], ...]
    lan: Lan
    outside: tuple[Address, Address]

    @property
    def namespace(self) -> str:
        return router_namespace(self.site.name)


def machine_namespace(node: NodeName) -> str:
    """The namespace of a machine."""
    return f"node-{node}"


def router_namespace(site: SiteName) -> str:
    """The namespace of a site's router."""
    return f"site-{site}"


def plan_lab(fleet: Fleet, operator_key: str) -> LabPlan:
    """The lab of a fleet: routers, an internet between them, and one machine per node.

    ``operator_key`` is the line for root's ``authorized_keys``. Raises UserError for a fleet that no lab
    can be made of (a private address outside its site's ranges, a range with nothing left).
    """
    numbered = list(enumerate(fleet.nodes.values(), start=1))
    lans = settle(fleet)
    outsides = pool(fleet)
    operator_outside, internet_outside = next(outsides), next(outsides)
    places = [
        _Place(
            site,
            position,
            tuple(pair for pair in numbered if pair[1].site == site.name),
            lans[site.name],
            _next_outside(outsides),
        )
        for position, site in enumerate(fleet.sites.values(), start=1)
    ]
    namespaces = [_internet(places, internet_outside, operator_outside), _operator(operator_outside)]
    cables = [Cable((INTERNET, OPERATOR), (OPERATOR, "eth0"))]
    machines: dict[NodeName, Machine] = {}
    for place in places:
        namespaces.append(_router(place))
        cables.append(Cable((INTERNET, _site_link(place)), (place.namespace, "uplink")))
        for position, node in place.nodes:
            namespaces.append(_machine_namespace(place, position, node))
            cables.extend(_machine_cables(place, position, node))
            machines[node.name] = _machine(place, node)
    in_order = {name: machines[name] for name in fleet.nodes}
    return LabPlan(fleet.name, operator_key.strip(), tuple(namespaces), tuple(cables), in_order)


def crowded(fleet: Fleet) -> tuple[SiteName, ...]:
    """The sites with so many machines on one private network that pairs may silently never answer.

    The neighbour table is one for all namespaces of a computer, and every pair takes two places in it.
    """
    lans = settle(fleet)
    return tuple(name for name, lan in lans.items() if len(lan.members) > CROWD)


def link_name(prefix: str, name: str, position: int) -> str:
    """``pub-cp1``, or ``pub3`` when that is longer than the kernel allows."""
    full = f"{prefix}-{name}"
    return full if len(full) <= INTERFACE_NAME_LIMIT else f"{prefix}{position}"


def _next_outside(outsides: Iterator[tuple[Address, Address]]) -> tuple[Address, Address]:
    outside = next(outsides, None)
    if outside is None:
        raise UserError.one(
            "the fleet's ranges leave no address for the lab's own routers",
            hint="a lab needs an address per site out of 192.0.2.0/24 or 198.18.0.0/15: free some",
        )
    return outside


def _site_link(place: _Place) -> str:
    return link_name("to", place.site.name, place.position)


def _host(address: Address) -> Interface:
    """The address alone: /32 or /128."""
    return ip_interface(str(address))


def _hop(address: Address) -> Interface:
    """A next hop as an own address: /32, and /64 for IPv6, whose neighbours must be on the link."""
    return ip_interface(f"{address}/64") if address.version == 6 else _host(address)


def _of(pair: tuple[Address, Address], version: int) -> Address:
    return pair[0] if version == 4 else pair[1]


def _internet(
    places: list[_Place], own: tuple[Address, Address], operator: tuple[Address, Address]
) -> Namespace:
    """The one router that stands for the internet: it knows where every public address lives."""
    hops = tuple(_hop(one) for one in CORE_SIDE)
    ports = [Port("lo", tuple(_host(one) for one in own)), Port(OPERATOR, hops)]
    routes = [Route(ip_network(one), OPERATOR, _of(UPLINK_SIDE, one.version)) for one in operator]
    for place in places:
        link = _site_link(place)
        ports.append(Port(link, hops))
        public = [address for _, node in place.nodes for address in node.public]
        routes += [
            Route(ip_network(one), link, _of(UPLINK_SIDE, one.version)) for one in (*place.outside, *public)
        ]
    return Namespace(INTERNET, Role.INTERNET, tuple(ports), tuple(routes))


def _outward(device: str, own: tuple[Address, Address]) -> tuple[Route, Route]:
    """The default routes to the internet of one who has a place on it."""
    ipv4, ipv6 = (
        Route(to, device, via, source) for to, via, source in zip(EVERYWHERE, CORE_SIDE, own, strict=True)
    )
    return ipv4, ipv6


def _operator(own: tuple[Address, Address]) -> Namespace:
    """The operator's computer: a place on the internet to dial from, with nothing running on it."""
    addresses = (*(_hop(one) for one in UPLINK_SIDE), *(_host(one) for one in own))
    return Namespace(OPERATOR, Role.OPERATOR, (Port("lo"), Port("eth0", addresses)), _outward("eth0", own))


def _router(place: _Place) -> Namespace:
    """A site's router: one cable per machine with public addresses, one bridge for the private network."""
    uplink = (*(_hop(one) for one in UPLINK_SIDE), *(_host(one) for one in place.outside))
    ports = [Port("lo"), Port("uplink", uplink)]
    routes = list(_outward("uplink", place.outside))
    for position, node in place.nodes:
        if node.public:
            name = link_name("pub", node.name, position)
            ports.append(Port(name, tuple(_hop(one) for one in ROUTER_SIDE)))
            routes += [
                Route(ip_network(one), name, None, _of(place.outside, one.version)) for one in node.public
            ]
    if place.lan.members:
        own = (*place.lan.gateways.values(), *(_hop(one) for one in ROUTER_SIDE))
        ports.append(Port("lan", own, is_bridge=True))
        ports += [
            Port(link_name("lan", node.name, position), bridge="lan")
            for position, node in place.nodes
            if node.name in place.lan.members
        ]
        routes += [Route(one, "lan") for one in place.lan.ranges if one not in place.lan.gateways]
    return Namespace(place.namespace, Role.ROUTER, tuple(ports), tuple(routes), _firewall(place))


def _firewall(place: _Place) -> Firewall:
    """Who may be dialled from the internet, who may speak to it, and who hides behind the router."""
    nodes = [node for _, node in place.nodes]
    masked = tuple(
        own.ip
        for node in nodes
        if node.nat or place.site.nat
        for own in place.lan.members.get(node.name, ())
        if not _public_of(node, own.version)
    )
    return Firewall(
        dialable=tuple(address for node in nodes if not node.nat for address in node.public),
        routable=tuple(address for node in nodes for address in node.public),
        masked=masked,
        outside=place.outside,
    )


def _public_of(node: Node, version: int) -> Address | None:
    """A machine's first public address of a family."""
    return next((one for one in node.public if one.version == version), None)


def _machine_namespace(place: _Place, position: int, node: Node) -> Namespace:
    """A machine's network: eth0 with its public addresses, eth1 with its private ones."""
    ports = [Port("lo")]
    if node.public:
        own_hop = ip_interface("fe80::2/64")
        ports.append(Port("eth0", (*(_host(one) for one in node.public), own_hop)))
    private = place.lan.members.get(node.name, ())
    if private:
        ports.append(Port("eth1", (*private, ip_interface(f"{_lan_hop(position)}/64"))))
    routes = [route for version in (4, 6) for route in _machine_routes(place, node, version)]
    return Namespace(machine_namespace(node.name), Role.MACHINE, tuple(ports), tuple(routes))


def _lan_hop(position: int) -> IPv6Address:
    """A machine's link-local address on the private network: fe80::1:N."""
    return IPv6Address(f"fe80::1:{position:x}")


def _machine_routes(place: _Place, node: Node, version: int) -> Iterator[Route]:
    """One family's routes: the default, by the public side if there is one, and the site's other ranges."""
    everywhere = EVERYWHERE[0] if version == 4 else EVERYWHERE[1]
    public = _public_of(node, version)
    if public is not None:
        yield Route(everywhere, "eth0", _of(ROUTER_SIDE, version), public)
    private = [one for one in place.lan.members.get(node.name, ()) if one.version == version]
    if not private:
        return
    gateway = place.lan.gateways.get(private[0].network)
    via = gateway.ip if gateway is not None else _of(ROUTER_SIDE, version)
    if public is None:
        yield Route(everywhere, "eth1", via, private[0].ip)
        return
    at_home = {one.network for one in private}
    for one in place.lan.ranges:
        if one.version == version and one not in at_home:
            yield Route(one, "eth1", via, private[0].ip)


def _machine_cables(place: _Place, position: int, node: Node) -> Iterator[Cable]:
    own = machine_namespace(node.name)
    if node.public:
        yield Cable((place.namespace, link_name("pub", node.name, position)), (own, "eth0"))
    if node.name in place.lan.members:
        yield Cable((place.namespace, link_name("lan", node.name, position)), (own, "eth1"))


def _machine(place: _Place, node: Node) -> Machine:
    """A machine and where its sshd is dialled from: the place where its ssh address means something."""
    private = tuple(one.ip for one in place.lan.members.get(node.name, ()))
    wanted = _as_address(node.ssh.host) if node.ssh else None
    address = wanted if wanted in (*node.public, *private) else (*node.public, *private)[0]
    assert address is not None  # noqa: S101 - settle gives every machine an address
    from_outside = address in node.public and not node.nat
    return Machine(
        node=node.name,
        namespace=machine_namespace(node.name),
        ssh_port=(node.ssh.port if node.ssh else None) or SSH_PORT,
        vantage=OPERATOR if from_outside else place.namespace,
        address=address,
    )


def _as_address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
