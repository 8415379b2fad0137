"""Which ordered pairs are tested: all of them in a small fleet, a covering sample in a large one."""

from collections.abc import Mapping

from wireloom.network.network import Network
from wireloom.values import NodeName, SiteName

ALL_PAIRS_UP_TO = 50
"""Nodes."""

STRIDES = (1, 2, 3, 5, 8, 13)
"""In a sample each node tests the peers so many places after it: every node is tested from, and tested."""

Pairs = dict[NodeName, list[NodeName]]


def choose_pairs(network: Network, *, sample: bool = False) -> Pairs:
    """For each node the peers that it tests.

    Above 50 nodes, or where a ``sample`` is wanted: every node that has peers tests a few and is tested by a
    few, and every two sites that have peers in each other are tested in both directions.
    """
    peers = {name: [peer.name for peer in network.peers(name)] for name in network.members}
    sites = {name: member.site for name, member in network.members.items()}
    return peers if len(peers) <= ALL_PAIRS_UP_TO and not sample else choose_some(peers, sites)


def choose_some(peers: Pairs, sites: Mapping[NodeName, SiteName]) -> Pairs:
    """The sample of all pairs in ``peers``."""
    names = list(peers)
    chosen: Pairs = {}
    for place, name in enumerate(names):
        known = set(peers[name])
        ring = (names[(place + stride) % len(names)] for stride in STRIDES)
        chosen[name] = [other for other in ring if other in known]
    _cover_nodes(peers, chosen)
    _cover_sites(sites, peers, chosen)
    return chosen


def _cover_nodes(peers: Pairs, chosen: Pairs) -> None:
    """Add a pair for each node that the ring has missed, because its neighbours there are no peers of it.

    Taken from all over the list, so that nobody gets all of them.
    """
    for place, (name, others) in enumerate(peers.items()):
        if others and not chosen[name]:
            chosen[name].append(others[place % len(others)])
    tested = {other for others in chosen.values() for other in others}
    for place, (name, others) in enumerate(peers.items()):
        if others and name not in tested:
            chosen[others[place % len(others)]].append(name)


def _cover_sites(sites: Mapping[NodeName, SiteName], peers: Pairs, chosen: Pairs) -> None:
    """Add one pair for each two sites that the ring has missed."""
    covered = {(sites[name], sites[other]) for name, others in chosen.items() for other in others}
    for name, others in peers.items():
        for other in others:
            if (sites[name], sites[other]) not in covered:
                covered.add((sites[name], sites[other]))
                chosen[name].append(other)
