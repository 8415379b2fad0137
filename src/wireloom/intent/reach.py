"""Who can dial whom, and by which address.

Two nodes have a way to each other when one of them can dial: WireGuard answers to where a packet came from.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

from wireloom.intent.fleet import Node
from wireloom.values import Address, SiteName

_NOWHERE = SiteName("")


def dial_address(dialler: Node, target: Node) -> Address | None:
    """The address at which ``dialler`` reaches ``target``, or None when it can't.

    Inside a site the private one, if both have one of the same family; otherwise a public one that the
    target has (nobody dials a NATed node from outside) and the dialler can use. IPv4 goes first.
    """
    if dialler.site == target.site:
        shared = _first_of(target.private, _versions(dialler.private))
        if shared is not None:
            return shared
    if target.nat:
        return None
    return _first_of(target.public, _outgoing_versions(dialler))


def share_a_network(members: Sequence[Node], families: Set[int]) -> bool:
    """Whether all are in one site, and have private addresses of all these families of IP."""
    return len({node.site for node in members}) <= 1 and all(
        families <= {address.version for address in node.private} for node in members
    )


def _first_of(addresses: tuple[Address, ...], versions: tuple[int, ...]) -> Address | None:
    """The first address of the lowest version that is among ``versions``."""
    best: Address | None = None
    for address in addresses:
        if address.version in versions and (best is None or address.version < best.version):
            best = address
    return best


def _versions(addresses: tuple[Address, ...]) -> tuple[int, ...]:
    """The IP versions of the addresses, 4 first, each once."""
    return tuple(sorted({address.version for address in addresses}))


def _outgoing_versions(dialler: Node) -> tuple[int, ...]:
    """The IP versions in which a node can open a conversation with the world.

    Behind NAT a private address is enough, and a node without any listed has IPv4: NAT is there for it.
    """
    if not dialler.nat:
        return _versions(dialler.public)
    return _versions(dialler.public + dialler.private) or (4,)


class _Shape(NamedTuple):
    """All that ``dial_address`` looks at but for the site; nodes of one shape are alike to it."""

    nat: bool
    public: tuple[int, ...]
    private: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes of one site that can reach, and be reached by, the same others."""

    site: SiteName
    shape: _Shape
    nodes: tuple[Node, ...]


def group_nodes(nodes: Iterable[Node]) -> list[Group]:
    """The groups, in the order of their first nodes: what holds for one member holds for all.

    Each rule then looks at pairs of groups: a handful, also in a fleet of a thousand nodes.
    """
    members: dict[tuple[SiteName, _Shape], list[Node]] = defaultdict(list)
    for node in nodes:
        members[node.site, _Shape(node.nat, _versions(node.public), _versions(node.private))].append(node)
    return [Group(site, shape, tuple(found)) for (site, shape), found in members.items()]


def _talk(one: Node, other: Node) -> bool:
    return dial_address(one, other) is not None or dial_address(other, one) is not None


def _strangers(groups: Sequence[Group]) -> dict[tuple[_Shape, _Shape], bool]:
    """Whether nodes of two shapes have a way to each other across sites."""
    samples = {group.shape: group.nodes[0] for group in groups}
    return {
        (one, other): _talk(replace(samples[one], site=_NOWHERE), samples[other])
        for one in samples
        for other in samples
    }


def mute_groups(groups: Sequence[Group]) -> Iterator[tuple[Group, Group]]:
    """Pairs of groups without a way to each other; a group of two or more may be mute with itself."""
    by_site: dict[SiteName, list[Group]] = defaultdict(list)
    for group in groups:
        by_site[group.site].append(group)
        if len(group.nodes) > 1 and not _talk(group.nodes[0], group.nodes[1]):
            yield group, group
    for neighbours in by_site.values():
        for one, other in combinations(neighbours, 2):
            if not _talk(one.nodes[0], other.nodes[0]):
                yield one, other
    mute_shapes = {shapes for shapes, talk in _strangers(groups).items() if not talk}
    if not mute_shapes:  # most fleets: nothing to look for among what may be many pairs of sites
        return
    for one, other in combinations(groups, 2):
        if one.site != other.site and (one.shape, other.shape) in mute_shapes:
            yield one, other


class _Surroundings:
    """What each group meets when it looks at every other node."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._across = _strangers(groups)
        self._sizes: dict[_Shape, int] = defaultdict(int)
        self._local: dict[tuple[SiteName, _Shape], Group] = {}
        self._neighbours: dict[SiteName, list[Group]] = defaultdict(list)
        for group in groups:
            self._sizes[group.shape] += len(group.nodes)
            self._local[group.site, group.shape] = group
            self._neighbours[group.site].append(group)

    def outcomes(self, group: Group) -> Iterator[bool]:
        """For each kind of other node that there is, whether there is a way to it."""
        for shape, size in self._sizes.items():
            here = self._local.get((group.site, shape))
            if size > (len(here.nodes) if here else 0):
                yield self._across[group.shape, shape]
        for neighbour in self._neighbours[group.site]:
            if neighbour is not group:
                yield _talk(group.nodes[0], neighbour.nodes[0])
            elif len(group.nodes) > 1:
                yield _talk(group.nodes[0], group.nodes[1])


def isolated_groups(groups: Sequence[Group], *, complete: bool = True) -> list[Group]:
    """Groups of nodes that the fleet can't be built with.

    First, nodes that only their own site can reach (no public address, not behind NAT) while another node is
    out of their reach. If there are none, nodes that have no way to any other.

    ``complete``: no node of the fleet is missing from ``groups``; otherwise a missing one might be the
    partner. One of the first kind might be, too, once it is mended: then the second kind is not looked for.
    """
    around = _Surroundings(groups)
    stranded = [
        group
        for group in groups
        if not group.shape.nat
        and not group.shape.public
        and not (group.shape.private and all(around.outcomes(group)))
    ]
    single = sum(len(group.nodes) for group in groups) == 1
    if stranded or single or not complete:
        return stranded
    return [group for group in groups if not any(around.outcomes(group))]
