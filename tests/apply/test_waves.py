"""In which order machines change: one that shows that it works, then the others in waves."""

import asyncio
from dataclasses import replace
from ipaddress import ip_interface

import pytest

from tests.apply.machines import CP1, NAMES, NAS1, TERMS, W1, Fate, Scene, Step
from wireloom.apply.enrol import enrol
from wireloom.apply.waves import Wave, make_waves
from wireloom.transport.crew import Crew
from wireloom.values import NodeName


def waves(one: Scene, max_parallel: int = 0) -> list[Wave]:
    async def make() -> list[Wave]:
        async with Crew(one.transport) as crew:
            return make_waves(await enrol(one.fleet, one.lock, one.seen(), one.plan(), crew), max_parallel)

    return asyncio.run(make())


def keyless(one: Scene, *names: NodeName) -> Scene:
    """Machines whose interface runs without its key."""
    for name in names:
        state = one.machines[name].state()
        assert state.link is not None
        one.machines[name].looks_like = replace(state, link=replace(state.link, public_key=None))
    return one


NUMBERED = frozenset({ip_interface("10.99.0.99/16")})


CASES: dict[str, tuple[list[Wave], Scene, int]] = {
    "nothing to do": ([], Scene.settled(), 0),
    "new machines have no network to lose": ([(CP1, W1, NAS1)], Scene(), 0),
    "new machines, one at a time": ([(CP1,), (W1,), (NAS1,)], Scene(), 1),
    "one machine is its own canary": ([(W1,)], Scene.drifted(W1), 0),
    "a canary, then all others": ([(CP1,), (W1, NAS1)], Scene.drifted(*NAMES), 0),
    "a canary, then one at a time": ([(CP1,), (W1,), (NAS1,)], Scene.drifted(*NAMES), 1),
    "a canary counts for no wave": ([(CP1,), (W1, NAS1)], Scene.drifted(*NAMES), 2),
    "who only dials is no canary": ([(W1,), (NAS1,)], Scene.drifted(W1, NAS1), 0),
    "another port, by hand": ([(CP1,), (W1, NAS1)], Scene.drifted(*NAMES, port=1), 0),
    "another address, by hand": ([(CP1,), (W1, NAS1)], Scene.drifted(*NAMES, addresses=NUMBERED), 0),
    "another key: all at once, whatever the limit": ([(CP1, W1, NAS1)], keyless(Scene.settled(), *NAMES), 1),
    "another key on one: all at once": ([(CP1, W1, NAS1)], keyless(Scene.drifted(CP1, W1), NAS1), 1),
}


@pytest.mark.parametrize(("expected", "one", "max_parallel"), CASES.values(), ids=CASES)
def test_waves(expected: list[Wave], one: Scene, max_parallel: int) -> None:
    assert expected == waves(one, max_parallel)


async def test_a_wave_is_proven_before_the_next_begins_and_all_confirm_in_the_end() -> None:
    one = Scene.drifted(*NAMES)
    one.terms = replace(TERMS, max_parallel=1)
    await one.apply()
    each = [Step.COMMIT, Step.PROVE]
    assert one.steps == [*[Step.STAGE] * 3, *each * 3, *[Step.CONFIRM] * 3]
    assert [name for name, _ in one.scripts(Step.COMMIT)] == [CP1, W1, NAS1]


@pytest.mark.parametrize("step", [Step.COMMIT, Step.PROVE], ids=lambda step: step.name)
async def test_a_canary_that_fails_spares_the_others(step: Step) -> None:
    one = Scene.drifted(*NAMES)
    one.machines[CP1].fates[step] = Fate.REFUSED
    outcome = await one.apply()
    assert [str(node.ending) for node in outcome.nodes] == ["failed", "rolled back", "rolled back"]
    for name in (W1, NAS1):
        assert not {Step.COMMIT, Step.PROVE} & set(one.machines[name].steps[:-1])
        assert not one.machines[name].changed
    assert not one.machines[CP1].changed


async def test_a_wave_that_fails_takes_the_ones_before_it_back() -> None:
    one = Scene.drifted(*NAMES)
    one.terms = replace(TERMS, max_parallel=1)
    one.machines[NAS1].fates[Step.PROVE] = Fate.REFUSED
    outcome = await one.apply()
    assert [str(node.ending) for node in outcome.nodes] == ["rolled back", "rolled back", "failed"]
    assert not any(machine.changed for machine in one.machines.values())
