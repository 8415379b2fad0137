"""Who has not answered yet is told, once it takes long."""

import asyncio
from collections.abc import Sequence

import pytest

from wireloom.transport import crew as module
from wireloom.transport.crew import Crew
from wireloom.transport.laggards import laggards
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
ALL = (A, B, C)


async def test_who_is_left_is_told_until_all_have_answered() -> None:
    told: list[Sequence[NodeName]] = []
    with laggards(ALL, told.append, after=0.01) as answered:
        answered(B)
        assert told == []
        await asyncio.sleep(0.05)
        assert told == [(A, C)]
        answered(C)
        answered(A)
    assert told == [(A, C), (A,), ()]


async def test_of_what_ends_sooner_nothing_is_told_then_or_later() -> None:
    told: list[Sequence[NodeName]] = []
    with laggards(ALL, told.append, after=0.01) as answered:
        answered(A)
    await asyncio.sleep(0.05)
    assert told == []


async def test_what_is_cancelled_waits_for_nobody_any_more() -> None:
    told: list[Sequence[NodeName]] = []

    async def wait() -> None:
        with laggards(ALL, told.append, after=0.01):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(wait(), timeout=0.1)
    assert told == [ALL, ()]


class Slow:
    """The way to machines that answer when they are let; ``c`` can't be reached, and that takes as long."""

    host_key = ""

    def __init__(self) -> None:
        self.let = asyncio.Event()

    async def connect(self, node: NodeName) -> "Slow":
        if node == C:
            await self.let.wait()
            raise TransportError("no answer", unreachable=True)
        return self

    async def run(self, script: str, *, timeout: float, data: bytes = b"") -> Completed:
        if script == "slow":
            await self.let.wait()
        return Completed(0, "", "")

    async def close(self) -> None:
        """Nothing is open."""


SCRIPTS = {A: "slow", B: "fast", C: "fast"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[NodeName]]:
    monkeypatch.setattr(module, "LATE_SECONDS", 0.01)
    return []


async def test_a_crew_tells_whom_a_script_is_waited_for(told: list[Sequence[NodeName]]) -> None:
    way = Slow()
    async with asyncio.timeout(5), Crew(way, awaited=told.append) as crew:
        running = asyncio.create_task(crew.run(SCRIPTS, timeout=1))
        await asyncio.sleep(0.05)
        assert told == [(A, C)]
        way.let.set()
        await running
    assert told[-1] == ()


@pytest.mark.parametrize("how", [{"aside": True}, {"takes": 60.0}], ids=["aside", "it takes its time"])
async def test_what_is_meant_to_last_is_not_told(
    how: dict[str, bool], told: list[Sequence[NodeName]]
) -> None:
    way = Slow()
    async with asyncio.timeout(5), Crew(way, awaited=told.append) as crew:
        running = asyncio.create_task(crew.run(SCRIPTS, timeout=1, **how))
        await asyncio.sleep(0.05)
        way.let.set()
        await running
    assert told == []
