"""Nodes are held for an apply only as long as they hear of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

from wireloom.transport.crew import Crew
from wireloom.values import NodeName

BEAT_SECONDS = 4.0
"""A node lets go after 15 s without a word (LEASE in lease.sh): three of these may get lost."""


@contextlib.asynccontextmanager
async def heartbeat(crew: Crew, beats: Callable[[], Mapping[NodeName, str]]) -> AsyncIterator[None]:
    """While the block runs, send each node what ``beats`` has for it, again and again.

    A beat that fails is nobody's failure: the next step on that node finds out.
    """

    async def go_on() -> None:
        async with asyncio.TaskGroup() as rounds:  # who is slow to answer delays no beat of the others
            while True:
                await asyncio.sleep(BEAT_SECONDS)
                rounds.create_task(crew.run(beats(), timeout=BEAT_SECONDS, aside=True))

    task = asyncio.create_task(go_on(), name="heartbeat")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
