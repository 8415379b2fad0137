"""With whom a node proves that its new state works: few peers, and those that changed first."""

from collections.abc import Mapping

from wireloom.apply.script import Neighbour
from wireloom.network.network import Peer
from wireloom.observe.state import NodeState
from wireloom.plan.fleet import Seen
from wireloom.render.desired import NodeDesired
from wireloom.values import NodeName

COUNT = 4
"""Neighbours per node: all pairs is what ``verify`` is for."""


def choose_neighbours(desired: Mapping[NodeName, NodeDesired], seen: Seen) -> dict[NodeName, list[Neighbour]]:
    """For each node that changes, the peers to prove it with: only such as answered at all.

    Each node begins at another place of the list, so that no node is everybody's neighbour.
    """
    answering = {name for name, state in seen.items() if isinstance(state, NodeState)}
    chosen = {}
    for place, (name, node) in enumerate(desired.items()):
        peers = [peer for peer in node.peers if peer.name in answering and peer.public_key]
        turn = place % len(peers) if peers else 0
        turned = peers[turn:] + peers[:turn]
        new_first = sorted(turned, key=lambda peer: not _is_new(peer, seen[name]))
        chosen[name] = [_neighbour(peer, seen[name]) for peer in new_first[:COUNT]]
    return chosen


def _is_new(peer: Peer, state: object) -> bool:
    """The node did not have this key among its running peers before."""
    link = state.link if isinstance(state, NodeState) else None
    return link is None or peer.public_key not in link.peers


def _neighbour(peer: Peer, state: object) -> Neighbour:
    address = peer.allowed_ips[0].network_address
    return Neighbour(address, peer.public_key if _is_new(peer, state) else None)
