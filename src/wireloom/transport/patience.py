"""A transport that dials a node which could not be reached less and less often."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from wireloom.transport.port import Connection, Transport, TransportError
from wireloom.values import NodeName

FIRST_PAUSE, LONGEST_PAUSE = 15.0, 300.0
"""Seconds between two attempts: doubled after each that failed.

OpenSSH 9.8 counts failed logins against an address (PerSourcePenalties: 5 s for each, and from 15 s on it
shuts the address out): so far apart they never add up to that.
"""


@dataclass(frozen=True, slots=True)
class _Failure:
    error: TransportError
    pause: float
    until: float


class PatientTransport:
    """For who looks again and again: within the pause the last failure is told once more, and nobody dialled.

    ``clock`` gives seconds that are never set back.
    """

    def __init__(self, transport: Transport, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._transport = transport
        self._clock = clock
        self._failures: dict[NodeName, _Failure] = {}

    async def connect(self, node: NodeName) -> Connection:
        """A fresh connection. Raises TransportError, the last one where it is too early to dial."""
        before = self._failures.get(node)
        if before is not None and self._clock() < before.until:
            raise before.error.with_traceback(None)
        try:
            connection = await self._transport.connect(node)
        except TransportError as error:
            pause = min(before.pause * 2, LONGEST_PAUSE) if before else FIRST_PAUSE
            self._failures[node] = _Failure(error, pause, self._clock() + pause)
            raise
        self._failures.pop(node, None)
        return connection
