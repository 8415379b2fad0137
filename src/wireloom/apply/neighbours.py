"""With whom a node proves that its new state works: few peers, new ones first."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sized

from wireloom.apply.script import Neighbour
from wireloom.network.network import Peer
from wireloom.observe.state import NodeState, Seen
from wireloom.render.desired import NodeDesired
from wireloom.values import Address, NodeName, PublicKey

COUNT = 4
"""Neighbours per node, those that ask and those that are asked: all pairs is what ``verify`` is for."""

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

    def strangers(
        self, names: Collection[NodeName], committed: Collection[NodeName]
    ) -> dict[NodeName, list[Neighbour]]:
        """Whom each of these is to meet: peers that it has no tunnel with yet, and that know it by now.

        A pair is asked from one side. An answer has crossed the tunnel both ways; and where both begin a
        handshake at the same moment each drops the other's, and tries again after 5 s (REKEY_TIMEOUT). Each
        asks half of its neighbours, the next ones of a ring, and the rest where too few ask it. Whoever can't
        begin the handshake asks last.
        """
        dialled, others = (
            {name: self._to_meet(name, committed, begins=begins) for name in names}
            for begins in (True, False)
        )
        met: defaultdict[NodeName, set[NodeName]] = defaultdict(set)
        asked: dict[NodeName, list[Neighbour]] = {name: [] for name in names}
        rounds: tuple[tuple[dict[NodeName, Iterator[Peer]], Mapping[NodeName, Sized], int], ...] = (
            (dialled, asked, COUNT // 2),
            (dialled, met, COUNT),
            (others, met, COUNT),
        )
        for left, so_far, most in rounds:
            for name, peers in left.items():
                while len(so_far[name]) < most and (peer := next(peers, None)):
                    if peer.name not in met[name]:
                        met[name].add(peer.name)
                        met[peer.name].add(name)
                        asked[name].append(self._as_neighbour(name, peer))
        return asked

    def again(self, name: NodeName, heard: Iterable[Address]) -> list[Neighbour]:
        """Old ones that answered before the change, as ``heard`` says."""
        return [one for one in self.old(name) if one.address in set(heard)]

    def prove(
        self,
        names: Collection[NodeName],
        committed: Collection[NodeName],
        heard: Mapping[NodeName, Iterable[Address]],
    ) -> dict[NodeName, list[Neighbour]]:
        """With whom the change of each of these is to be proven: new ones first."""
        strangers = self.strangers(names, committed)
        return {name: [*strangers[name], *self.again(name, heard[name])][:COUNT] for name in names}

    def _peers(self, name: NodeName) -> Iterator[Peer]:
        """Each node begins at another place of the list, so that no node is everybody's neighbour."""
        peers = [peer for peer in self._desired[name].peers if peer.public_key and peer.name in self._running]
        turn = self._places[name] % len(peers) if peers else 0
        yield from peers[turn:] + peers[:turn]

    def _to_meet(self, name: NodeName, committed: Collection[NodeName], *, begins: bool) -> Iterator[Peer]:
        """Those with whom the node begins a handshake as soon as it asks, or the others.

        It does not where it can't dial, or has run with the peer's key: it may keep to a session then that
        the peer has lost, for up to 15 s (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT).
        """
        return (
            peer
            for peer in self._peers(name)
            if (peer.endpoint is not None and peer.public_key not in self._running[name]) is begins
            and not self._is_old(name, peer)
            and self._can_meet(name, peer, committed)
        )

    def _as_neighbour(self, name: NodeName, peer: Peer) -> Neighbour:
        """A key that the node has not run with yet is proven by a handshake."""
        return Neighbour(_address(peer), None if peer.public_key in self._running[name] else peer.public_key)

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
