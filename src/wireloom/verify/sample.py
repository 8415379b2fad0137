"""Which ordered pairs are tested: all of them in a small fleet, a covering sample in a large one."""

from wireloom.network.network import Network
from wireloom.values import NodeName

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
    if len(peers) <= ALL_PAIRS_UP_TO and not sample:
        return peers
    names = list(peers)
    chosen: Pairs = {}
    for place, name in enumerate(names):
        known = set(peers[name])
        ring = (names[(place + stride) % len(names)] for stride in STRIDES)
        chosen[name] = [other for other in ring if other in known]
    _cover_nodes(peers, chosen)
    _cover_sites(network, peers, chosen)
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


def _cover_sites(network: Network, peers: Pairs, chosen: Pairs) -> None:
    """Add one pair for each two sites that the ring has missed."""

    def sites(name: NodeName, other: NodeName) -> tuple[str, str]:
        return network.members[name].site, network.members[other].site

    covered = {sites(name, other) for name, others in chosen.items() for other in others}
    for name, others in peers.items():
        for other in others:
            if sites(name, other) not in covered:
                covered.add(sites(name, other))
                chosen[name].append(other)
