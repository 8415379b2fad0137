"""One look after the other: connections stay open, and what becomes of file and machines is told once."""

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.command import FLEET
from tests.observe.test_look import BARE
from wireloom.cli import lookout as module
from wireloom.cli.lookout import Lookout
from wireloom.cli.settings import Settings
from wireloom.exporter.snapshot import Snapshot
from wireloom.transport.crew import Crew
from wireloom.transport.fake import Answer, FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

Printed = pytest.CaptureFixture[str]
CP1 = NodeName("cp1")
GONE = TransportError("no answer from cp1", hint="is it up?", unreachable=True)


def bare(script: str) -> Completed:
    """A machine with nothing on it."""
    found = re.search(r"wireloom-[0-9a-f]{16}", script)
    assert found
    return Completed(0, BARE.replace("NONCE", found[0]), "")


class Breaking:
    """A machine whose connection breaks at one look, counted from 0; a new one is fine."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, script: str) -> Completed:
        self.left -= 1
        if self.left == -1:
            raise TransportError("the connection broke", unreachable=True)
        return bare(script)


@pytest.fixture
def answers() -> dict[NodeName, Answer]:
    """What the machines answer to each look."""
    return {CP1: bare}


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch, answers: dict[NodeName, Answer]) -> FakeTransport:
    """The way to them."""
    transport = FakeTransport(answers)

    @contextlib.asynccontextmanager
    async def open_crew(*_: object, **__: object) -> AsyncIterator[Crew]:
        async with Crew(transport) as crew:
            yield crew

    monkeypatch.setattr(module, "open_crew", open_crew)
    return transport


def looking() -> Lookout:
    return Lookout(Settings(), yes=False, patient=True)


def answered(snapshot: Snapshot) -> bool | None:
    return snapshot.nodes[0].reachable


async def test_one_connection_serves_every_look(fleet: Path, transport: FakeTransport) -> None:
    async with looking() as lookout:
        assert [answered(await lookout.look()) for _ in range(3)] == [True, True, True]
        assert [one.closed for one in transport.connections] == [False]
    assert [one.closed for one in transport.connections] == [True]


async def test_what_was_seen_before_is_kept_for_the_next_look(fleet: Path, transport: FakeTransport) -> None:
    async with looking() as lookout:
        assert [(await lookout.look()).nodes[0].unanswered for _ in range(3)] == [None, 0, 0]


@pytest.mark.parametrize(
    ("encrypt", "expected"), [("underlay", (True, 2, False)), ("cni", (True, None, None))]
)
async def test_no_underlay_is_missed_where_the_network_plugin_encrypts_alone(
    fleet: Path, transport: FakeTransport, encrypt: str, expected: tuple[bool, int | None, bool | None]
) -> None:
    write(fleet, f"{FLEET}kubernetes: {{ encrypt: {encrypt} }}\n")
    async with looking() as lookout:
        [cp1, *_] = (await lookout.look()).nodes
    assert (cp1.reachable, cp1.planned, cp1.up) == expected


async def test_a_connection_that_has_broken_is_no_machine_that_is_gone(
    fleet: Path, transport: FakeTransport, answers: dict[NodeName, Answer], capsys: Printed
) -> None:
    answers[CP1] = Breaking(at=1)
    async with looking() as lookout:
        assert [answered(await lookout.look()) for _ in range(3)] == [True, True, True]
    assert len(transport.connections) == 2
    assert capsys.readouterr().err == ""


async def test_one_that_breaks_at_once_is_not_dialled_again_and_again(
    fleet: Path, transport: FakeTransport, answers: dict[NodeName, Answer]
) -> None:
    answers[CP1] = Breaking(at=0)
    async with looking() as lookout:
        assert answered(await lookout.look()) is False
    assert len(transport.connections) == 1


async def test_who_does_not_answer_is_told_once_and_once_again(
    fleet: Path, transport: FakeTransport, answers: dict[NodeName, Answer], capsys: Printed
) -> None:
    answers[CP1] = GONE
    async with looking() as lookout:
        assert [answered(await lookout.look()) for _ in range(3)] == [False] * 3
        assert capsys.readouterr().err == "cp1: warning: no answer from cp1\n    is it up?\n"
        answers[CP1] = bare
        assert [answered(await lookout.look()) for _ in range(2)] == [True] * 2
        assert capsys.readouterr().err == "Answering again: cp1.\n"


async def test_another_fleet_is_dialled_anew(fleet: Path, transport: FakeTransport) -> None:
    async with looking() as lookout:
        await lookout.look()
        write(fleet, FLEET.replace("root@127.0.0.1:1", "root@127.0.0.1:2"))
        await lookout.look()
        assert [one.closed for one in transport.connections] == [True, False]


def write(path: Path, text: str | None) -> None:
    """Put a file there, or take it away, while somebody looks."""
    if text is None:
        path.unlink()
    else:
        path.write_text(text)


async def test_the_file_as_it_is_at_each_look(fleet: Path, capsys: Printed) -> None:
    async with looking() as lookout:
        first = await lookout.look()
        assert [node.name for node in first.nodes] == ["cp1", "w1", "db1"]

        write(fleet, FLEET.replace("db1", "db2"))
        assert [node.name for node in (await lookout.look()).nodes] == ["cp1", "w1", "db2"]


async def test_a_file_that_goes_away_is_told_once_and_the_fleet_stays(fleet: Path, capsys: Printed) -> None:
    async with looking() as lookout:
        before = await lookout.look()
        capsys.readouterr()
        write(fleet, None)
        gone = await lookout.look()
        assert (gone.file_valid, gone.nodes) == (False, before.nodes)
        told = capsys.readouterr().err
        assert "fleet.yaml: error: there is no such file" in told
        assert told.endswith("The fleet is looked at as it was before.\n")

        await lookout.look()
        assert capsys.readouterr().err == ""

        write(fleet, FLEET)
        assert (await lookout.look()).file_valid


async def test_a_lock_with_conflict_marks_is_no_end_either(fleet: Path) -> None:
    async with looking() as lookout:
        write(fleet.with_name("fleet.lock"), "<<<<<<< HEAD\n")
        assert not (await lookout.look()).file_valid
