"""Machines hear of an apply as long as it lasts, and what was proven waits for the others."""

import asyncio
import time
from collections import defaultdict

import pytest

from tests.apply.hands import WHEN
from tests.apply.machines import CP1, NAMES, NAS1, TERMS, W1, Fate, Scene, Step, StuckTransport, call_of
from wireloom.apply import heartbeat as heartbeat_module
from wireloom.apply.engine import _Job
from wireloom.apply.heartbeat import heartbeat
from wireloom.apply.script import Hand
from wireloom.transport.crew import Crew
from wireloom.transport.fake import FakeConnection, FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

BEAT = Hand("wg0", "f00d", "ada", WHEN).beat()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat_module, "BEAT_SECONDS", 0.01)


async def beaten(one: Scene, name: NodeName | None = None, *, times: int) -> None:
    while len(one.scripts(Step.BEAT, name)) < times:  # noqa: ASYNC110 - nobody tells of a beat
        await asyncio.sleep(0.005)


async def apply_stuck_at(step: Step, one: Scene, *, on: NodeName | None = None) -> dict[NodeName, list[str]]:
    """An apply that waits a while at one step. Gives the seconds of each beat that came meanwhile."""
    stuck = one.transport = StuckTransport(one, step, on=on)
    task = asyncio.create_task(one.apply())
    await stuck.reached.wait()
    before = len(one.scripts(Step.BEAT))
    await beaten(one, times=before + 9)
    beats = defaultdict(list)
    for name, script in one.scripts(Step.BEAT)[before:]:
        _, id_, seconds = call_of(script, Step.BEAT)
        assert id_ == TERMS.id
        beats[name].append(seconds)
    stuck.go_on.set()
    await task
    return beats


async def test_all_that_is_held_hears_of_it_also_what_does_not_change() -> None:
    beats = await apply_stuck_at(Step.STAGE, Scene.drifted(W1, NAS1))
    assert {name: set(seconds) for name, seconds in beats.items()} == {name: {"0"} for name in NAMES}


async def test_what_is_committed_and_not_proven_is_not_given_more_time() -> None:
    beats = await apply_stuck_at(Step.COMMIT, Scene())
    assert {name: set(seconds) for name, seconds in beats.items()} == {name: {"0"} for name in NAMES}


async def test_what_is_proven_waits_for_the_next_wave() -> None:
    beats = await apply_stuck_at(Step.PROVE, Scene.drifted(*NAMES), on=NAS1)
    assert {name: set(seconds) for name, seconds in beats.items()} == {CP1: {"60"}, W1: {"0"}, NAS1: {"0"}}


async def test_what_is_proven_waits_until_it_is_confirmed() -> None:
    beats = await apply_stuck_at(Step.CONFIRM, Scene())
    assert {name: set(seconds) for name, seconds in beats.items()} == {name: {"60"} for name in NAMES}


async def test_a_machine_that_was_left_behind_hears_no_more() -> None:
    one = Scene()
    one.machines[W1].fates[Step.STAGE] = Fate.DEAD
    assert set(await apply_stuck_at(Step.COMMIT, one)) == {CP1, NAS1}


async def test_nobody_hears_of_it_when_it_is_over() -> None:
    one = Scene()
    await apply_stuck_at(Step.PROVE, one)
    beats = len(one.scripts(Step.BEAT))
    await asyncio.sleep(0.05)
    assert len(one.scripts(Step.BEAT)) == beats


async def test_a_beat_that_fails_is_nobodys_failure_and_breaks_no_step_under_way() -> None:
    one = Scene()
    cp1 = one.machines[CP1]

    def deaf(script: str) -> Completed:
        done = cp1(script)
        if cp1.steps[-1] is Step.BEAT:
            raise TransportError("cp1 did not finish in time")
        return done

    one.transport.answers[CP1] = deaf  # type: ignore[index]
    stuck = one.transport = StuckTransport(one, Step.COMMIT)
    task = asyncio.create_task(one.apply())
    await stuck.reached.wait()
    await beaten(one, CP1, times=3)
    assert not any(made.closed for made in stuck.connections)
    stuck.go_on.set()
    outcome = await task
    assert not outcome.failed
    assert not outcome.pending


async def test_a_machine_that_does_not_answer_keeps_no_beat_from_the_others() -> None:
    one = Scene()
    deaf = one.transport = StuckTransport(one, Step.BEAT, on=W1)
    crew = Crew(deaf)
    async with crew, heartbeat(crew, lambda: dict.fromkeys(NAMES, BEAT), {}):
        await deaf.reached.wait()
        await beaten(one, CP1, times=3)


async def test_a_machine_that_a_step_has_just_spoken_to_needs_no_beat() -> None:
    one = Scene()
    crew = Crew(one.transport)
    spoken = {CP1: time.monotonic() + 60}
    async with crew, heartbeat(crew, lambda: dict.fromkeys(NAMES, BEAT), spoken):
        await beaten(one, W1, times=3)
        assert one.scripts(Step.BEAT, CP1) == []
        spoken.clear()
        await beaten(one, CP1, times=3)


async def test_every_step_that_keeps_a_machine_puts_its_beat_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for proving, which leaves the lease as it is."""
    monkeypatch.setattr(heartbeat_module, "BEAT_SECONDS", 1e6)
    one, told = Scene(), []
    monkeypatch.setattr(_Job, "_keep", lambda _, names: told.append(sorted(names)))
    await one.apply()
    assert told == [sorted(NAMES), [CP1, W1], [NAS1], sorted(NAMES)]


class HalfSilent(FakeTransport):
    """One node takes for ever to be dialled, as where packets are dropped."""

    async def connect(self, node: NodeName) -> FakeConnection:
        if node == NAS1:
            await asyncio.Event().wait()
        return await super().connect(node)


async def test_a_node_that_can_not_be_dialled_keeps_no_other_from_its_beats() -> None:
    heard_often = asyncio.Event()

    def hear(_: str) -> Completed:
        if len(transport.scripts) >= 3:
            heard_often.set()
        return Completed(0, "", "")

    transport = HalfSilent({CP1: hear})
    crew = Crew(transport)
    async with asyncio.timeout(20), heartbeat(crew, lambda: {NAS1: "beat", CP1: "beat"}, {}):
        await heard_often.wait()
