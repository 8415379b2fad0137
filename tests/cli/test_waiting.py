"""A machine that does not answer is named while it is waited for."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cli.command import FLEET
from wireloom.cli.settings import Settings
from wireloom.cli.survey import survey
from wireloom.cli.world import open_world
from wireloom.report.terminal import Progress
from wireloom.transport import crew
from wireloom.values import NodeName


@pytest.fixture
def mute(here: Path) -> Iterator[Path]:
    """A fleet file whose cp1 takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        path = here / "fleet.yaml"
        path.write_text(FLEET.replace("127.0.0.1:1,", f"127.0.0.1:{server.getsockname()[1]},"))
        yield path


async def test_whom_a_verb_waits_for_is_told_until_it_is_interrupted(
    mute: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "LATE_SECONDS", 0.01)
    told: list[Sequence[NodeName]] = []
    heard = asyncio.Event()

    class Told(Progress):
        def wait_for(self, nodes: Sequence[NodeName]) -> None:
            told.append(nodes)
            heard.set()

    async def look() -> None:
        async with survey(open_world(Settings(file=mute)), yes=True, progress=Told(quiet=True)):
            pass

    async with asyncio.timeout(20):
        looking = asyncio.create_task(look())
        await heard.wait()
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
    assert told == [("cp1",), ()]
