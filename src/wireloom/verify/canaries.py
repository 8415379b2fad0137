"""Send marked packets between the nodes while all of them capture: who does what when."""

import random
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wireloom.network.network import Network, Peer
from wireloom.transport.crew import Crew
from wireloom.transport.port import TransportError
from wireloom.values import NodeName
from wireloom.verify.canary import (
    MARKER_BYTES,
    RUN_BYTES,
    SIZES,
    Canary,
    Chosen,
    beside,
    capture_filter,
    inside,
    read_sent,
    said_of_failure,
    sending_script,
)
from wireloom.verify.capture import Surroundings
from wireloom.verify.claim import Claim, Verdict
from wireloom.verify.judge import locate
from wireloom.verify.watching import Answer, watching
from wireloom.verify.wire import Sender, Wire, gather, judge_wire

SEND_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Catch:
    """What came of it: claims, and the captures, as pcap files, cut to the packets that matter."""

    claims: tuple[Claim, ...] = ()
    captures: Mapping[NodeName, bytes] = field(default_factory=dict)


async def send_canaries(
    network: Network, crew: Crew, tested: Mapping[NodeName, list[Peer]], watched: Iterable[NodeName]
) -> Catch:
    """Test ``tested`` with marked packets, with a capture on each of the nodes ``watched``.

    Pairs of which something does not hold are tested once more, in both directions, since each machine needs
    a control: a busy one loses packets. What was seen beside the tunnel stays seen.
    """
    nodes = list(watched)
    first = await _send_once(network, crew, tested, nodes)
    doubtful = {
        pair
        for one in first.claims
        if one.target and not _is_settled(one, network) and _can_become_known(one, nodes)
        for pair in ((one.source, one.target), (one.target, one.source))
    }
    if not doubtful:
        return first
    again = {
        name: peers
        for name in nodes
        if (peers := [one for one in network.peers(name) if (name, one.name) in doubtful])
    }
    second = await _send_once(network, crew, again, list(again))
    better = {(one.claim, one.source, one.target): one for one in second.claims}
    claims = [
        one if _is_settled(one, network) else better.get((one.claim, one.source, one.target), one)
        for one in first.claims
    ]
    captures = {NodeName(f"{name}.again"): capture for name, capture in second.captures.items()}
    return Catch(tuple(claims), {**first.captures, **captures})


def _is_settled(claim: Claim, network: Network) -> bool:
    """Whether a second look can change nothing: it holds, or packets are there that should not be."""
    beside = claim.claim != "dial" and any(one.device != network.interface for one in claim.packets)
    return claim.verdict is Verdict.HOLDS or (claim.verdict is Verdict.FALSIFIED and beside)


def _can_become_known(claim: Claim, watched: Sequence[NodeName]) -> bool:
    """Whether a second look may tell more: not of a node that nobody watches."""
    return claim.verdict is not Verdict.UNKNOWN or {claim.source, claim.target} <= set(watched)


async def _send_once(
    network: Network, crew: Crew, tested: Mapping[NodeName, list[Peer]], nodes: Sequence[NodeName]
) -> Catch:
    """One round of marked packets: capture, send, capture no more, judge."""
    chosen = draw()
    filters = dict.fromkeys(nodes, capture_filter(chosen.length, network.mtu))
    async with watching(crew, chosen.run.hex(), network.interface, filters, SEND_SECONDS) as seen:
        orders = {
            name: list(choose_canaries(network, name, tested[name], seen.around, chosen))
            for name in nodes
            if seen.around[name].listening
        }
        scripts = {name: sending_script(canaries) for name, canaries in orders.items()}
        sent = await crew.run(scripts, timeout=SEND_SECONDS, aside=True)
    senders = {
        name: sender_of(tested[name], seen.around[name], canaries, sent[name])
        for name, canaries in orders.items()
    }
    wire = gather(network.interface, chosen, seen.watches, senders)
    claims = [claim for name in nodes for claim in _judge(name, tested[name], senders.get(name), wire)]
    return Catch(tuple(claims), wire.evidence(seen.files))


def draw() -> Chosen:
    """What nobody can have foreseen."""
    return Chosen(secrets.token_bytes(RUN_BYTES), random.choice(SIZES), random.randrange(49152, 65536))  # noqa: S311


def choose_canaries(
    network: Network,
    name: NodeName,
    peers: Sequence[Peer],
    around: Mapping[NodeName, Surroundings],
    chosen: Chosen,
) -> Iterable[Canary]:
    """All marked packets of one node, each peer's with a marker of its own."""
    for peer in peers:
        marker = chosen.run + secrets.token_bytes(MARKER_BYTES - RUN_BYTES)
        ports = around.get(peer.name, Surroundings()).open_ports
        yield from inside(peer, marker, chosen, ports, network.mtu)
    found_at = locate(peers, around[name].peers)
    for peer in peers:
        marker = chosen.run + secrets.token_bytes(MARKER_BYTES - RUN_BYTES)
        yield from beside(peer, marker, chosen, found_at.get(peer.name))


def sender_of(
    peers: Iterable[Peer], around: Surroundings, canaries: Sequence[Canary], answer: Answer
) -> Sender:
    """What became of the packets that one node was to send."""
    found_at = locate(peers, around.peers)
    if isinstance(answer, TransportError):
        return Sender(canaries, {}, found_at, answer.what)
    return Sender(canaries, read_sent(answer.stdout, canaries), found_at, said_of_failure(answer))


def _judge(name: NodeName, peers: Sequence[Peer], sender: Sender | None, wire: Wire) -> Iterator[Claim]:
    """The claims of one node; unknown where it sent nothing."""
    if sender is None:
        why = wire.fault(name) or f"{name}: its capture did not begin"
        sender = Sender((), {}, {}, why)
    return judge_wire(name, peers, sender, wire)
