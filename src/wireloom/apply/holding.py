"""Have machines for one operator alone while steps follow that nothing undoes."""

import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager

from wireloom.apply.heartbeat import heartbeat
from wireloom.apply.script import Hand
from wireloom.apply.step import STEP_TIMEOUT, trouble_of
from wireloom.transport.crew import Crew
from wireloom.transport.each import carry_through
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

FAREWELL_TIMEOUT = 10.0


@asynccontextmanager
async def holding(
    crew: Crew, hand: Hand, machines: Collection[NodeName]
) -> AsyncIterator[Mapping[NodeName, Completed | TransportError]]:
    """Hold machines, as an apply to the network does, and let them go at the end, however it comes.

    Gives what each of them answered: one that did not take it is not held.
    """
    held = set(machines)  # also where the answers are not waited for any more
    spoken = dict.fromkeys(held, time.monotonic())
    async with heartbeat(crew, lambda: dict.fromkeys(held, hand.beat()), spoken):
        try:
            answers = await crew.run(dict.fromkeys(machines, hand.hold()), timeout=STEP_TIMEOUT)
            held -= {name for name, answer in answers.items() if trouble_of(name, answer, "hold")}
            yield answers
        finally:
            await carry_through(crew.run(dict.fromkeys(held, hand.withdraw()), timeout=FAREWELL_TIMEOUT))
