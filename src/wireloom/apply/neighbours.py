"""With whom a node proves that its new state works: few peers, new ones first."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from wireloom.apply.script import Neighbour
from wireloom.network.network import Peer
from wireloom.observe.state import NodeState, Seen
from wireloom.render.desired import NodeDesired
from wireloom.values import Address, NodeName, PublicKey

COUNT = 4
"""Neighbours per node: all pairs is what ``verify`` is for."""

OLD_COUNT = 2
"""Of these, peers that it had before: asked before and after the change."""


class Neighbourhood:
    """Who knows whom before the change, and so whom a node can be proven with after it."""

    def __init__(self, desired: Mapping[NodeName, NodeDesired], seen: Seen) -> None:
        self._desired = desired
        self._seen = seen
        self._places = {name: place for place, name in enumerate(desired)}
        self._own = {name: state.public_key for name, state in seen.items() if isinstance(state, NodeState)}
        self._running = {
            name: frozenset(state.link.peers) if state.link else frozenset[PublicKey]()
            for name, state in seen.items()
            if isinstance(state, NodeState)
        }

    def without(self, names: Collection[NodeName]) -> "Neighbourhood":
        """Nobody is proven with these: they stopped answering."""
        return Neighbourhood(
            self._desired, {name: state for name, state in self._seen.items() if name not in names}
        )

    def old(self, name: NodeName) -> list[Neighbour]:
        """Peers that the node has a tunnel with already, and that stay: to be asked before the change."""
        peers = (peer for peer in self._peers(name) if self._is_old(name, peer) and peer.endpoint is not None)
        return [Neighbour(_address(peer)) for peer in peers][:OLD_COUNT]

    def new(self, name: NodeName, committed: Collection[NodeName]) -> list[Neighbour]:
        """Peers that the node has no tunnel with yet, among those that know it by now."""
        found = []
        for peer in self._peers(name):
            if self._is_old(name, peer) or not self._can_meet(name, peer, committed):
                continue
            own = self._own[name]
            fresh = peer.public_key if peer.public_key not in self._running[name] else None
            found.append(Neighbour(_address(peer), fresh, waits=bool(fresh and str(own) > str(fresh))))
        return found[:COUNT]

    def again(self, name: NodeName, heard: Iterable[Address]) -> list[Neighbour]:
        """Old ones that answered before the change, as ``heard`` says."""
        return [one for one in self.old(name) if one.address in set(heard)]

    def prove(
        self, name: NodeName, committed: Collection[NodeName], heard: Iterable[Address]
    ) -> list[Neighbour]:
        """Whom the change is to be proven with: new ones first."""
        return [*self.new(name, committed), *self.again(name, heard)][:COUNT]

    def _peers(self, name: NodeName) -> Iterator[Peer]:
        """Each node begins at another place of the list, so that no node is everybody's neighbour."""
        peers = [peer for peer in self._desired[name].peers if peer.public_key and peer.name in self._running]
        turn = self._places[name] % len(peers) if peers else 0
        yield from peers[turn:] + peers[:turn]

    def _is_old(self, name: NodeName, peer: Peer) -> bool:
        """Both know each other by the keys that they keep."""
        return peer.public_key in self._running[name] and self._own[name] in self._running[peer.name]

    def _can_meet(self, name: NodeName, peer: Peer, committed: Collection[NodeName]) -> bool:
        """The peer knows the node by now, and one of the two begins a handshake.

        A peer that can't be dialled begins it itself when the node is new to it. One that knew the node
        before keeps to its old session until it has something to send: up to two minutes, which say nothing.
        """
        knew = self._own[name] in self._running[peer.name]
        return (knew and peer.endpoint is not None) or (not knew and peer.name in committed)


def _address(peer: Peer) -> Address:
    return peer.addresses[0]
