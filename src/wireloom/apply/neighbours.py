"""With whom a node proves that its new state works: few peers, and those that changed first."""

from collections.abc import Mapping

from wireloom.apply.script import Neighbour
from wireloom.network.network import Peer
from wireloom.observe.state import NodeState, Seen
from wireloom.render.desired import NodeDesired
from wireloom.values import NodeName, PublicKey

COUNT = 4
"""Neighbours per node: all pairs is what ``verify`` is for."""


def choose_neighbours(desired: Mapping[NodeName, NodeDesired], seen: Seen) -> dict[NodeName, list[Neighbour]]:
    """For each node that changes, the peers to prove it with: new ones first, none that did not answer.

    Each node begins at another place of the list, so that no node is everybody's neighbour.
    """
    running = {name: _running_keys(state) for name, state in seen.items() if isinstance(state, NodeState)}
    chosen = {}
    for place, (name, node) in enumerate(desired.items()):
        own_key = _own_key(seen[name])
        peers = [
            peer
            for peer in node.peers
            if peer.public_key and peer.name in running and _can_meet(peer, own_key, running[peer.name])
        ]
        turn = place % len(peers) if peers else 0
        neighbours = [_neighbour(peer, running[name]) for peer in peers[turn:] + peers[:turn]]
        chosen[name] = sorted(neighbours, key=lambda one: one.fresh_key is None)[:COUNT]
    return chosen


def _can_meet(peer: Peer, own_key: PublicKey | None, known_there: frozenset[PublicKey]) -> bool:
    """The node can begin a handshake with the peer, or the peer will, because the node is new to it.

    A peer that can't be dialled and has an old session keeps to it until it has something to send:
    up to two minutes, which say nothing about the change.
    """
    return peer.endpoint is not None or own_key not in known_there


def _neighbour(peer: Peer, running: frozenset[PublicKey]) -> Neighbour:
    """Only a key that the node did not have before can show that the handshake is a new one."""
    is_new = peer.public_key not in running
    return Neighbour(peer.allowed_ips[0].network_address, peer.public_key if is_new else None)


def _running_keys(state: NodeState) -> frozenset[PublicKey]:
    return frozenset(state.link.peers) if state.link else frozenset()


def _own_key(state: object) -> PublicKey | None:
    return state.public_key if isinstance(state, NodeState) else None
