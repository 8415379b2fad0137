"""What became of a machine that something was taken off."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from wireloom.apply.holding import holding
from wireloom.apply.outcome import Ending
from wireloom.apply.script import Hand
from wireloom.apply.step import read_all, trouble_of
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName


@dataclass(frozen=True, slots=True)
class Departure:
    """What became of a node. ``did``: what was taken away, in words; ``step``: where it went wrong."""

    name: NodeName
    ending: Ending
    did: tuple[str, ...] = ()
    detail: str = ""
    hint: str = ""
    step: str = ""


def read_departure(name: NodeName, answer: Completed | TransportError, step: str = "machine") -> Departure:
    """The ``did`` lines of an answer; what is done stays done, also where it went wrong after that.

    ``step`` is ``hold`` where a machine could not be had: nothing was begun there.
    """
    did = tuple(read_all(answer, "did"))
    if isinstance(answer, TransportError) and answer.unreachable:
        return Departure(name, Ending.PENDING, did, answer.what, "once it answers: run this again", step)
    if trouble := trouble_of(name, answer, step):
        stands = "nothing was changed there" if step == "hold" else "what is done stays done"
        hint = trouble.hint or f"{stands}: run this again"
        return Departure(name, Ending.FAILED, did, trouble.detail, hint, trouble.step)
    return Departure(name, Ending.CHANGED if did else Ending.UNCHANGED, did)


@asynccontextmanager
async def holding_all_but(
    crew: Crew, hand: Hand, machines: Collection[NodeName]
) -> AsyncIterator[Mapping[NodeName, Departure]]:
    """Have machines for one of these alone, as an apply does; gives why some could not be had."""
    async with holding(crew, hand, machines) as answers:
        yield {
            name: read_departure(name, answer, "hold")
            for name, answer in answers.items()
            if trouble_of(name, answer, "hold")
        }
