"""Whom a step still waits for, told once it takes long."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from wireloom.values import NodeName

LATE_SECONDS = 3.0
"""A login and a step take less, also far away: who has not answered by then may never do so."""

Awaited = Callable[[Sequence[NodeName]], object]
"""Hears whom is waited for, in the order in which they were asked; of nobody, when that is over."""


@contextlib.contextmanager
def laggards(
    nodes: Iterable[NodeName], awaited: Awaited, *, after: float
) -> Iterator[Callable[[NodeName], None]]:
    """While the block runs, tell which of these nodes have not answered after so many seconds.

    The block gets what it has to call with each node that has: those that are left are told again then. Of a
    block that ends sooner nothing is told.
    """
    waiting = dict.fromkeys(nodes)
    late = False

    def tell() -> None:
        nonlocal late
        late = True
        awaited(tuple(waiting))

    def answered(node: NodeName) -> None:
        waiting.pop(node, None)
        if late and waiting:
            awaited(tuple(waiting))

    timer = asyncio.get_running_loop().call_later(after, tell)
    try:
        yield answered
    finally:
        timer.cancel()
        if late:
            awaited(())
