"""Send marked packets between the nodes while all of them capture: who does what when."""

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wireloom.network.network import Network, Peer
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName
from wireloom.verify import capture
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
from wireloom.verify.claim import Claim
from wireloom.verify.wire import Sender, Watch, Wire, gather, judge_wire

READY_SECONDS = 20
SEND_SECONDS = 30

Answer = Completed | TransportError


@dataclass(frozen=True, slots=True)
class Catch:
    """What came of it: claims, and the captures, as pcap files, cut to the packets that matter."""

    claims: tuple[Claim, ...]
    captures: Mapping[NodeName, bytes]


async def send_canaries(
    network: Network, crew: Crew, tested: Mapping[NodeName, list[Peer]], watched: Iterable[NodeName]
) -> Catch:
    """Test ``tested`` with marked packets, with a capture on each of the nodes ``watched``."""
    chosen = _draw()
    word = chosen.run.hex()
    nodes = list(watched)
    wanted = capture_filter(chosen.length, network.mtu)
    async with _capturing(crew, {name: capture.hold(word, wanted) for name in nodes}) as held:
        look = capture.await_ready(word, network.interface)
        ready = await crew.run(dict.fromkeys(nodes, look), timeout=READY_SECONDS, aside=True)
        around = {name: _read(answer) for name, answer in ready.items()}
        orders = {
            name: list(_orders(network, name, tested[name], around, chosen))
            for name in nodes
            if around[name].listening and tested[name]
        }
        scripts = {name: sending_script(canaries) for name, canaries in orders.items()}
        sent = await crew.run(scripts, timeout=SEND_SECONDS, aside=True)
        await crew.run(dict.fromkeys(nodes, capture.end(word)), timeout=READY_SECONDS, aside=True)
        caught = await held
    files, watches = _unpack(caught, around)
    senders = {
        name: _sender(tested[name], around[name], canaries, sent[name]) for name, canaries in orders.items()
    }
    wire = gather(network.interface, chosen, watches, senders)
    claims = [claim for name in nodes for claim in _judge(name, tested[name], senders.get(name), wire)]
    return Catch(tuple(claims), wire.evidence(files))


def _draw() -> Chosen:
    """What nobody can have foreseen."""
    return Chosen(secrets.token_bytes(RUN_BYTES), random.choice(SIZES), random.randrange(49152, 65536))  # noqa: S311


@contextlib.asynccontextmanager
async def _capturing(
    crew: Crew, scripts: Mapping[NodeName, str]
) -> "AsyncIterator[asyncio.Task[dict[NodeName, Answer]]]":
    """The captures, held until told that it is enough; ended with whatever ends the block."""
    task = asyncio.create_task(
        crew.run(scripts, timeout=capture.SECONDS + READY_SECONDS, aside=True), name="captures"
    )
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _read(answer: Answer) -> Surroundings:
    return Surroundings() if isinstance(answer, TransportError) else capture.read_surroundings(answer.stdout)


def _orders(
    network: Network,
    name: NodeName,
    peers: Iterable[Peer],
    around: Mapping[NodeName, Surroundings],
    chosen: Chosen,
) -> Iterable[Canary]:
    """All marked packets of one node, each peer's with a marker of its own."""
    for peer in peers:
        marker = chosen.run + secrets.token_bytes(MARKER_BYTES - RUN_BYTES)
        ports = around.get(peer.name, Surroundings()).open_ports
        yield from inside(peer, marker, chosen, ports, network.mtu)
    for peer in peers:
        marker = chosen.run + secrets.token_bytes(MARKER_BYTES - RUN_BYTES)
        seen = around[name].peers.get(peer.public_key) if peer.public_key else None
        yield from beside(peer, marker, chosen, seen.endpoint if seen else None)


def _unpack(
    caught: Mapping[NodeName, Answer], around: Mapping[NodeName, Surroundings]
) -> tuple[dict[NodeName, bytes], dict[NodeName, Watch]]:
    """The captures as they are, and as packets."""
    files: dict[NodeName, bytes] = {}
    watches: dict[NodeName, Watch] = {}
    for name, answer in caught.items():
        if isinstance(answer, TransportError):
            watches[name] = Watch((), answer.what)
        else:
            files[name], fault = capture.unpack(answer.stdout)
            watches[name] = capture.read_watch(files[name], fault, around[name].devices)
    return files, watches


def _sender(
    peers: Iterable[Peer], around: Surroundings, canaries: Sequence[Canary], answer: Answer
) -> Sender:
    """What became of the packets that one node was to send."""
    found_at = {
        peer.name: seen.endpoint
        for peer in peers
        if peer.public_key and (seen := around.peers.get(peer.public_key))
    }
    if isinstance(answer, TransportError):
        return Sender(canaries, {}, found_at, answer.what)
    return Sender(canaries, read_sent(answer.stdout, canaries), found_at, said_of_failure(answer))


def _judge(name: NodeName, peers: Sequence[Peer], sender: Sender | None, wire: Wire) -> Iterator[Claim]:
    """The claims of one node; unknown where it sent nothing."""
    if sender is None:
        why = wire.fault(name) or f"{name}: its capture did not begin"
        sender = Sender((), {}, {}, why)
    return judge_wire(name, peers, sender, wire)
