"""Capture on many nodes at once, for as long as something happens between them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName
from wireloom.verify import capture
from wireloom.verify.capture import Surroundings
from wireloom.verify.wire import Watch

STEP_SECONDS = 20.0
"""How long a node may take to begin or to end its capture."""

Answer = Completed | TransportError


@dataclass(slots=True)
class Watching:
    """What is known of the nodes while they capture, and when it is over what they captured.

    ``files`` are pcap files as they came, ``watches`` their packets.
    """

    around: Mapping[NodeName, Surroundings]
    files: dict[NodeName, bytes] = field(default_factory=dict)
    watches: dict[NodeName, Watch] = field(default_factory=dict)
    programs: dict[NodeName, Mapping[tuple[str, int], str]] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def watching(
    crew: Crew, run: str, interface: str, filters: Mapping[NodeName, str], seconds: float
) -> AsyncIterator[Watching]:
    """Capture on each node what its filter lets through while the block runs, for ``seconds`` at most.

    Every node listens when the block begins, or is known not to. Whatever ends the block ends the captures:
    cancelled, their scripts are ended on the nodes; where the connection is gone, tcpdump ends in time.
    """
    lifetime = seconds + 2 * STEP_SECONDS
    scripts = {name: capture.hold(run, wanted, seconds=round(lifetime)) for name, wanted in filters.items()}
    held = asyncio.create_task(
        crew.run(scripts, timeout=lifetime + STEP_SECONDS, aside=True), name="captures"
    )
    try:
        ready = await crew.run(
            dict.fromkeys(filters, capture.await_ready(run, interface)), timeout=STEP_SECONDS, aside=True
        )
        seen = Watching({name: _read(answer) for name, answer in ready.items()})
        yield seen
        told = await crew.run(dict.fromkeys(filters, capture.end(run)), timeout=STEP_SECONDS, aside=True)
        seen.programs = {
            name: capture.read_programs(answer.stdout)
            for name, answer in told.items()
            if isinstance(answer, Completed)
        }
        _unpack(seen, await held)
    finally:
        held.cancel()
        await asyncio.gather(held, return_exceptions=True)


def _read(answer: Answer) -> Surroundings:
    return Surroundings() if isinstance(answer, TransportError) else capture.read_surroundings(answer.stdout)


def _unpack(seen: Watching, caught: Mapping[NodeName, Answer]) -> None:
    """The captures as they are, and as packets."""
    for name, answer in caught.items():
        if isinstance(answer, TransportError):
            seen.watches[name] = Watch((), answer.what)
        else:
            seen.files[name], fault = capture.unpack(answer)
            seen.watches[name] = capture.read_watch(seen.files[name], fault, seen.around[name].devices)
