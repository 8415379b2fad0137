"""Do the same on every node at once, and keep what each one answered."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from wireloom.transport.port import TransportError
from wireloom.values import NodeName

T = TypeVar("T")


async def carry_through(step: Coroutine[Any, Any, T]) -> T:
    """Carry a step through although it is cancelled, however often: half of it is worse than the wait."""
    task = asyncio.ensure_future(step)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    return task.result()


async def on_each(
    nodes: Iterable[NodeName],
    action: Callable[[NodeName], Awaitable[T]],
    *,
    limit: int = 64,
    done: Callable[[NodeName, T | TransportError], None] | None = None,
) -> dict[NodeName, T | TransportError]:
    """Run ``action`` for every node side by side, at most ``limit`` at a time.

    The results are in the order of ``nodes``. A TransportError is that node's result and stops no other one.
    Any other exception is a bug: the rest is cancelled and it is raised as it is. Cancelled itself, it
    cancels every action and waits for their clean-up. ``done`` hears of each result as it comes.
    """
    room = asyncio.Semaphore(limit)
    results: dict[NodeName, T | TransportError] = {}

    async def attend(node: NodeName) -> None:
        async with room:
            result: T | TransportError
            try:
                result = await action(node)
            except TransportError as error:
                result = error
            results[node] = result
            if done is not None:
                done(node, result)

    order = list(dict.fromkeys(nodes))
    tasks = [asyncio.create_task(attend(node), name=f"on {node}") for node in order]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return {node: results[node] for node in order}
