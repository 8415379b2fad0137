"""Nodes are held for an apply only as long as they hear of it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping

from wireloom.transport.crew import Crew
from wireloom.values import NodeName

BEAT_SECONDS = 4.0
"""Without a word for so long a node gets one. It lets go after 15 s (LEASE in lease.sh): two may get lost."""


@contextlib.asynccontextmanager
async def heartbeat(
    crew: Crew, beats: Callable[[], Mapping[NodeName, str]], spoken: MutableMapping[NodeName, float]
) -> AsyncIterator[None]:
    """While the block runs, send each node what ``beats`` has for it, again and again.

    ``spoken`` is when a node was last sent what keeps it, a step or a beat, in seconds of `time.monotonic`:
    each beat is a login shell and half a dozen processes, which a node that is at work can do without.

    A beat that fails is nobody's failure: the next step on that node finds out. Nor does one that hangs, as
    dialling does where nobody answers, keep the others from theirs.
    """
    under_way: dict[NodeName, asyncio.Task[object]] = {}

    async def go_on() -> None:
        async with asyncio.TaskGroup() as rounds:
            while True:
                await asyncio.sleep(BEAT_SECONDS / 4)
                now = time.monotonic()
                for name, script in beats().items():
                    if now < spoken.get(name, 0) + BEAT_SECONDS:
                        continue
                    if name not in under_way or under_way[name].done():
                        spoken[name] = now
                        beat = crew.run({name: script}, timeout=BEAT_SECONDS, aside=True)
                        under_way[name] = rounds.create_task(beat, name=f"heartbeat of {name}")

    task = asyncio.create_task(go_on(), name="heartbeat")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
