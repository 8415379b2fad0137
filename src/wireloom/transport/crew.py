"""One open connection per node, and a script on each of them side by side."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from wireloom.transport.each import on_each
from wireloom.transport.laggards import LATE_SECONDS, Awaited, laggards
from wireloom.transport.port import Completed, Connection, Transport, TransportError
from wireloom.values import NodeName


def _tell_nobody(_: Sequence[NodeName]) -> None:
    """For who does not want to know whom a script is waited for."""


class Crew:
    """The connections of one command to the nodes of a fleet; closed when the ``async with`` ends.

    ``awaited`` hears whom a script is waited for that takes long.
    """

    def __init__(self, transport: Transport, *, limit: int = 64, awaited: Awaited = _tell_nobody) -> None:
        self._transport = transport
        self._limit = limit
        self._awaited = awaited
        self._connections: dict[NodeName, Connection] = {}
        self._dialling: dict[NodeName, asyncio.Lock] = {}

    async def __aenter__(self) -> "Crew":
        """Nothing is dialled until a script is run."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        await self.hang_up(list(self._connections))

    @property
    def host_keys(self) -> dict[NodeName, str]:
        """The host keys that the machines dialled so far proved to have."""
        return {name: connection.host_key for name, connection in self._connections.items()}

    async def run(
        self,
        scripts: Mapping[NodeName, str],
        *,
        timeout: float,
        takes: float = 0.0,
        aside: bool = False,
        data: bytes = b"",
        done: Callable[[NodeName, Completed | TransportError], None] | None = None,
    ) -> dict[NodeName, Completed | TransportError]:
        """Run each node's script on it, all side by side; dials where no connection is open.

        A connection that broke is forgotten, so that the next script dials again. ``takes``: seconds that the
        script itself may wait for something; before, nobody is told whom it is waited for. ``aside``: another
        script is at work over it, and goes on if only this one takes too long; nobody waits for this one.
        ``data`` is for all of them. ``done`` hears of each answer as it comes: what is made of it then is
        made while others still work.
        """

        async def run_one(name: NodeName) -> Completed:
            connection = await self._connect(name)
            sent = time.monotonic()
            try:
                answer = await connection.run(scripts[name], timeout=timeout, data=data)
                return replace(answer, sent=sent, received=time.monotonic())
            except TransportError as error:
                if aside and not error.unreachable:
                    raise
                if self._connections.get(name) is connection:
                    del self._connections[name]
                await connection.close()
                raise

        with laggards(
            scripts, _tell_nobody if aside else self._awaited, after=LATE_SECONDS + takes
        ) as answered:

            def hear(name: NodeName, answer: Completed | TransportError) -> None:
                answered(name)
                if done is not None:
                    done(name, answer)

            return await on_each(scripts, run_one, limit=self._limit, done=hear)

    def host_key(self, name: NodeName) -> str:
        """The host key that the machine proved to have; empty where it was not dialled."""
        connection = self._connections.get(name)
        return connection.host_key if connection else ""

    async def _connect(self, name: NodeName) -> Connection:
        """The open connection to a node; two that want it at the same time dial once."""
        async with self._dialling.setdefault(name, asyncio.Lock()):
            if name not in self._connections:
                self._connections[name] = await self._transport.connect(name)
            return self._connections[name]

    def hang_up(self, nodes: Iterable[NodeName]) -> "asyncio.Future[list[None]]":
        """Close the connections to these nodes: the next script on them proves that one can get in.

        They are forgotten at once. To close one whose machine does not hear us any more takes a while, which
        what is returned waits for.
        """
        open_ones = [self._connections.pop(name) for name in nodes if name in self._connections]
        return asyncio.gather(*(connection.close() for connection in open_ones))
