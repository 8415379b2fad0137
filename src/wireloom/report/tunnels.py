"""The tunnels of a network, and what a picture shows of them when there are too many to draw."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from itertools import combinations

from wireloom.intent.fleet import Site
from wireloom.network.network import Member, Network, Peer
from wireloom.values import Endpoint, NodeName, SiteName

MOST_NODES_EACH = 16
"""120 curves between 16 nodes can still be followed one by one; the 300 of 25 nodes can't."""

MOST_SITES_PAIRWISE = 9
"""Up to 36 pairs of sites get a curve each; above that every site has one line to the internet."""


class Way(StrEnum):
    """How the two ends of a tunnel reach each other."""

    PRIVATE = "private"
    """Each dials the other at a private address of the site that they share."""
    PUBLIC = "public"
    """Each dials the other, at least one of them at a public address."""
    ONE_WAY = "one-way"
    """Only one can dial: the other is behind NAT, or the two share no address family that way."""


class Detail(Enum):
    """What one line of a picture stands for."""

    TUNNELS = "one line per tunnel"
    SITE_PAIRS = "one line per pair of sites"
    SITES = "one line per site"


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Two nodes with a way to each other. In a one-way tunnel ``near`` is who dials.

    ``to_far`` is the endpoint that ``near`` dials, ``to_near`` the one that ``far`` dials, if it can.
    """

    near: NodeName
    far: NodeName
    way: Way
    to_far: Endpoint | None
    to_near: Endpoint | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """All tunnels of one way between two sites, or inside one. One-way: ``near`` is who dials."""

    near: SiteName
    far: SiteName
    way: Way
    count: int


@dataclass(frozen=True, slots=True)
class Spoke:
    """The tunnels of one way between a site and all others. ``dials``: the site's own nodes dial."""

    site: SiteName
    way: Way
    dials: bool
    count: int
    sites: int


@dataclass(frozen=True, slots=True)
class Picture:
    """What there is to draw: sites with their members, and lines in the detail that stays readable.

    ``tunnels`` is filled in the detail TUNNELS only. Every tunnel is in one bundle, of ``inside`` (those
    that stay within a site, by site) or of ``between``; ``spokes`` are the latter, summed up for each site.
    """

    network: Network
    sites: Mapping[SiteName, Site]
    members: Mapping[SiteName, tuple[Member, ...]]
    detail: Detail
    tunnels: tuple[Tunnel, ...]
    inside: Mapping[SiteName, tuple[Bundle, ...]]
    between: tuple[Bundle, ...]
    spokes: Mapping[SiteName, tuple[Spoke, ...]]

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """Every tunnel of the network, in one bundle each."""
        return tuple(one for bundles in self.inside.values() for one in bundles) + self.between

    @property
    def tunnel_count(self) -> int:
        """How many tunnels the network has, drawn or not."""
        return sum(bundle.count for bundle in self.bundles)

    def counts(self) -> dict[Way, int]:
        """How many tunnels there are of each way, without the ways that don't occur."""
        totals = {way: sum(one.count for one in self.bundles if one.way is way) for way in Way}
        return {way: count for way, count in totals.items() if count}


def compose(network: Network, site_details: Mapping[SiteName, Site]) -> Picture:
    """Network → Picture. Sites stand in the order of ``site_details``; those without nodes are left out."""
    homes: dict[SiteName, list[Member]] = {name: [] for name in site_details}
    for member in network.members.values():
        homes.setdefault(member.site, []).append(member)
    members = {name: tuple(found) for name, found in homes.items() if found}
    sites = {name: site_details.get(name, Site(name)) for name in members}
    detail = _readable_detail(len(network.members), len(sites))
    found = find_tunnels(network, sites)
    tunnels = tuple(found) if detail is Detail.TUNNELS else ()
    bundles = _bundle(tunnels if detail is Detail.TUNNELS else found, network, list(sites))
    between = tuple(one for one in bundles if one.near != one.far)
    inside = {name: tuple(one for one in bundles if one.near == one.far == name) for name in sites}
    return Picture(network, sites, members, detail, tunnels, inside, between, _sum_up(between, sites))


def _readable_detail(nodes: int, sites: int) -> Detail:
    if nodes <= MOST_NODES_EACH:
        return Detail.TUNNELS
    return Detail.SITE_PAIRS if sites <= MOST_SITES_PAIRWISE else Detail.SITES


def find_tunnels(network: Network, sites: Mapping[SiteName, Site]) -> Iterator[Tunnel]:
    """Every pair of nodes that are peers of each other, once, in the order of ``network.members``."""
    # Nodes that see the others alike share a view: one table for each, not for each node.
    tables: dict[int, dict[NodeName, Peer]] = {}
    for view in network.views.values():
        if id(view) not in tables:
            tables[id(view)] = {peer.name: peer for peer in view}
    known_by = {name: tables[id(view)] for name, view in network.views.items()}
    for near, far in combinations(network.members.values(), 2):
        there, back = known_by[near.name].get(far.name), known_by[far.name].get(near.name)
        if there is not None and back is not None:
            home = sites.get(near.site) if near.site == far.site else None
            yield _tunnel(near.name, far.name, there.endpoint, back.endpoint, home)


def _tunnel(
    near: NodeName, far: NodeName, to_far: Endpoint | None, to_near: Endpoint | None, home: Site | None
) -> Tunnel:
    """``home`` is the site that both are in, if it is the same."""
    if to_far is None:
        return Tunnel(far, near, Way.ONE_WAY, to_near, None)
    if to_near is None:
        return Tunnel(near, far, Way.ONE_WAY, to_far, None)
    private = home is not None and _is_private(to_far, home) and _is_private(to_near, home)
    return Tunnel(near, far, Way.PRIVATE if private else Way.PUBLIC, to_far, to_near)


def _is_private(endpoint: Endpoint, site: Site) -> bool:
    return any(endpoint.address in prefix for prefix in site.private)


def _bundle(tunnels: Iterable[Tunnel], network: Network, order: list[SiteName]) -> tuple[Bundle, ...]:
    """Tunnels → bundles, sorted by the order of the sites. Where both ends dial, the earlier site is near."""
    rank = {name: place for place, name in enumerate(order)}
    counts: Counter[tuple[SiteName, SiteName, Way]] = Counter()
    for tunnel in tunnels:
        near, far = bundle_ends(tunnel, network, rank)
        counts[near, far, tunnel.way] += 1
    ways = list(Way)
    return tuple(
        Bundle(near, far, way, counts[near, far, way])
        for near, far, way in sorted(counts, key=lambda key: (rank[key[0]], rank[key[1]], ways.index(key[2])))
    )


def bundle_ends(tunnel: Tunnel, network: Network, rank: Mapping[SiteName, int]) -> tuple[SiteName, SiteName]:
    """The near and the far site of the bundle that a tunnel is in. ``rank`` is the order of the sites."""
    near, far = network.members[tunnel.near].site, network.members[tunnel.far].site
    if tunnel.way is not Way.ONE_WAY and rank[far] < rank[near]:
        return far, near
    return near, far


def _sum_up(between: Iterable[Bundle], sites: Iterable[SiteName]) -> dict[SiteName, tuple[Spoke, ...]]:
    """What every site has with all others together: who is dialled one way after who dials."""
    found: dict[SiteName, dict[tuple[Way, bool], list[int]]] = {name: {} for name in sites}
    for one in between:
        found[one.near].setdefault((one.way, True), []).append(one.count)
        found[one.far].setdefault((one.way, one.way is not Way.ONE_WAY), []).append(one.count)
    return {
        site: tuple(
            Spoke(site, way, dials, sum(counts), len(counts))
            for (way, dials), counts in sorted(kinds.items(), reverse=True)
        )
        for site, kinds in found.items()
    }
