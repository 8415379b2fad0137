"""The heartbeat: each node hears of its apply, whatever the others do."""

import asyncio

import pytest

from wireloom.apply import heartbeat as module
from wireloom.apply.heartbeat import heartbeat
from wireloom.transport.crew import Crew
from wireloom.transport.fake import FakeConnection, FakeTransport
from wireloom.transport.port import Completed
from wireloom.values import NodeName

SILENT, ALIVE = NodeName("silent"), NodeName("alive")


class HalfSilent(FakeTransport):
    """One node takes for ever to be dialled, as where packets are dropped."""

    async def connect(self, node: NodeName) -> FakeConnection:
        if node == SILENT:
            await asyncio.Event().wait()
        return await super().connect(node)


async def test_a_node_that_can_not_be_dialled_keeps_no_other_from_its_beats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    heard_often = asyncio.Event()

    def hear(_: str) -> Completed:
        if len(transport.scripts) >= 3:
            heard_often.set()
        return Completed(0, "", "")

    transport = HalfSilent({ALIVE: hear})
    async with asyncio.timeout(20), heartbeat(Crew(transport), lambda: {SILENT: "beat", ALIVE: "beat"}):
        await heard_often.wait()
