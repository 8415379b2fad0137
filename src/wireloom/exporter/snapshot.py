"""What one look at the machines came to, as far as metrics tell it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from wireloom.exporter.verified import LastVerify
from wireloom.network.network import Network
from wireloom.observe.state import NodeState, PeerSeen, Seen
from wireloom.plan.plan import Plan
from wireloom.report.standing import FRESH
from wireloom.values import NodeName, SiteName


@dataclass(frozen=True, slots=True)
class PeerReading:
    """What one node knows of one planned peer.

    ``handshake_age`` is in seconds, by the node's own clock; None where there was none yet. Bytes are None
    where the interface has no such peer.
    """

    name: NodeName
    handshake_age: float | None = None
    received: int | None = None
    sent: int | None = None

    @property
    def fresh(self) -> bool:
        """Whether there is a live session."""
        return self.handshake_age is not None and self.handshake_age <= FRESH


Peers = tuple[PeerReading, ...]


@dataclass(frozen=True, slots=True)
class NodeReading:
    """One node. None stands for what is not known, and becomes no metric at all rather than a zero.

    ``planned``: how many peers it should have; None in a fleet without an underlay. ``reachable``: it
    answered over SSH; None for one without ``ssh``. ``up``: its interface. ``received``, ``sent``: bytes
    through the interface since it was made. ``drift``: changes that a plan would make. ``errors``: what keeps
    it out of any plan. ``peers``: the planned ones, as it sees them. ``unanswered``: those that it has sent
    to since the look before, and has no live session with.
    """

    name: NodeName
    site: SiteName
    planned: int | None = None
    reachable: bool | None = None
    up: bool | None = None
    generation: int | None = None
    received: int | None = None
    sent: int | None = None
    drift: int | None = None
    errors: int | None = None
    peers: Peers | None = None
    unanswered: int | None = None

    @property
    def fresh(self) -> int | None:
        """How many planned peers it has a live session with."""
        return None if self.peers is None else sum(peer.fresh for peer in self.peers)

    @property
    def handshake_ages(self) -> list[float]:
        """Of those peers that there was a handshake with."""
        return [one.handshake_age for one in self.peers or () if one.handshake_age is not None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All nodes at one look. ``taken``: when it ended, in seconds since 1970; it took ``seconds``.

    ``file_valid``: fleet file and lock could be read before this look; otherwise it went by what they said
    when they could be last.
    """

    fleet: str
    generation: int
    nodes: tuple[NodeReading, ...]
    verified: LastVerify
    taken: float
    seconds: float
    file_valid: bool = True


def read_nodes(network: Network, plan: Plan, seen: Seen, before: Snapshot | None) -> Iterator[NodeReading]:
    """Every node of the network, in its order. ``plan`` and ``network`` follow from the same look.

    ``before``: the snapshot before this one.
    """
    drift = {node.name: len(node.changes) for node in plan.nodes}
    errors = [one.where for one in plan.refusals]
    peers_before = {node.name: node.peers for node in before.nodes} if before else {}
    for name, member in network.members.items():
        state = seen.get(name)
        planned = sum(1 for _ in network.peers(name))
        if not isinstance(state, NodeState):
            yield NodeReading(name, member.site, planned, reachable=None if state is None else False)
            continue
        peers = _read_peers(network, name, state)
        yield NodeReading(
            name=name,
            site=member.site,
            planned=planned,
            reachable=True,
            up=None if "links" in state.garbled else state.link is not None and state.link.up,
            generation=state.stamp.generation if state.stamp else None,
            received=state.link.received if state.link else None,
            sent=state.link.sent if state.link else None,
            drift=drift.get(name),
            errors=errors.count(name),
            peers=peers,
            unanswered=_count_unanswered(peers_before.get(name), peers),
        )


def read_reachable(network: Network, seen: Seen) -> Iterator[NodeReading]:
    """Every node of a fleet without an underlay: who answers. No interface is expected, and none missed."""
    for name, member in network.members.items():
        state = seen.get(name)
        yield NodeReading(
            name, member.site, reachable=None if state is None else isinstance(state, NodeState)
        )


def _read_peers(network: Network, name: NodeName, state: NodeState) -> Peers | None:
    """Every planned peer; None where the node's answer, or its clock, made no sense."""
    if {"os", "links"} & set(state.garbled):
        return None
    there = state.link.peers if state.link else {}
    return tuple(
        _read_peer(peer.name, there.get(peer.public_key) if peer.public_key else None, state.system.clock)
        for peer in network.peers(name)
    )


def _read_peer(name: NodeName, peer: PeerSeen | None, clock: float) -> PeerReading:
    if peer is None:
        return PeerReading(name)
    age = max(0.0, clock - peer.handshake) if peer.handshake else None
    return PeerReading(name, age, peer.received, peer.sent)


def _count_unanswered(before: Peers | None, now: Peers | None) -> int | None:
    """A tunnel without traffic has no live session, and need not: only a peer that was sent to can be missed.

    Whoever has no session sends a handshake first, which counts as sent: with none at both looks and more
    sent in between, nobody has answered it.
    """
    if before is None or now is None:
        return None
    missed = {peer.name: peer.sent for peer in before if not peer.fresh}
    return sum(
        1
        for peer in now
        if peer.name in missed and not peer.fresh and peer.sent and peer.sent != missed[peer.name]
    )
