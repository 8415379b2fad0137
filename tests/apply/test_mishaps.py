"""Mishaps: what goes wrong on one machine, or is not heard of, and what becomes of all of them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.apply.machines import (
    CP1,
    NAMES,
    NAS1,
    STEPS,
    TERMS,
    W1,
    Fate,
    Scene,
    Step,
    call_of,
    calls_of,
    endings,
    is_as_before,
    key_of,
    scene,
    step_of,
    steps_told,
)
from wireloom.apply.outcome import Ending
from wireloom.errors import UserError
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

# When it does not


@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.HALF, Fate.MUTE], ids=lambda fate: fate.name)
@pytest.mark.parametrize("step", STEPS[:3], ids=lambda step: step.name)
async def test_what_goes_wrong_on_one_machine_is_rolled_back_on_all(step: Step, fate: Fate) -> None:
    one = scene(w1={step: fate})
    outcome = await one.apply()
    assert outcome.failed
    assert endings(outcome) == {"cp1": "rolled back", "w1": "failed", "nas1": "rolled back"}
    assert steps_told(outcome) == {"cp1": "", "w1": str(step.name).lower(), "nas1": ""}
    assert all(map(is_as_before, one.machines.values()))


@pytest.mark.parametrize("fate", [Fate.DEAD, Fate.CUT], ids=lambda fate: fate.name)
async def test_a_machine_that_can_not_be_reached_any_more_by_a_fresh_connection_fails_all(fate: Fate) -> None:
    """Maybe the change is what cut it off."""
    one = scene(w1={Step.PROVE: fate})
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "rolled back", "w1": "failed", "nas1": "rolled back"}
    assert all(map(is_as_before, one.machines.values()))


async def test_a_machine_that_does_not_confirm_is_rolled_back() -> None:
    one = scene(w1={Step.CONFIRM: Fate.REFUSED})
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "changed", "w1": "failed", "nas1": "changed"}
    assert steps_told(outcome)["w1"] == "confirm"
    assert not one.machines[W1].changed


async def test_a_machine_that_was_not_heard_to_confirm_is_asked_again() -> None:
    one = Scene()
    w1, mishaps = one.machines[W1], [TransportError("a broken line", unreachable=True)]

    def once_unheard(script: str) -> Completed:
        done = w1(script)
        if step_of(script) is Step.CONFIRM and mishaps:
            raise mishaps.pop()
        return done

    one.transport.answers[W1] = once_unheard  # type: ignore[index]
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "changed", "w1": "changed", "nas1": "changed"}
    assert [name for name, _ in one.scripts(Step.CONFIRM)] == [*NAMES, W1]


@pytest.mark.parametrize("fate", [Fate.MUTE, Fate.CUT], ids=lambda fate: fate.name)
async def test_a_machine_that_confirmed_unheard_keeps_what_it_has_and_says_so_in_the_end(fate: Fate) -> None:
    one = scene(w1={Step.CONFIRM: fate})
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "changed", "w1": "changed", "nas1": "changed"}
    assert one.machines[W1].changed
    assert one.machines[W1].confirmed


async def test_a_machine_that_was_not_committed_yet_is_untouched() -> None:
    one = scene(cp1={Step.COMMIT: Fate.REFUSED})
    await one.apply()
    assert one.machines[NAS1].steps == [Step.MAKE_KEY, Step.STAGE, Step.WITHDRAW]
    assert one.machines[W1].steps == [Step.MAKE_KEY, Step.STAGE, Step.COMMIT, Step.WITHDRAW]


async def test_what_the_machine_said_is_told() -> None:
    one = scene(w1={Step.STAGE: Fate.REFUSED})
    (failed,) = [node for node in (await one.apply()).nodes if node.ending is Ending.FAILED]
    assert failed.detail == "stage does not work here"


async def test_a_script_that_dies_without_a_word_of_ours_is_told_by_its_last_words() -> None:
    one = Scene()
    one.transport.answers[W1] = lambda _: Completed(127, "", "sh: wg: not found\n")  # type: ignore[index]
    with pytest.raises(UserError, match="exit status 127: sh: wg: not found"):
        await one.apply()


async def test_whom_a_machine_did_not_hear_from_is_named() -> None:
    one = Scene()
    cp1 = one.machines[CP1]

    def deaf(script: str) -> Completed:
        done = cp1(script)
        said = f"unproven=10.99.0.3,{key_of(NAS1)}\nunproven=10.99.0.2,\n"
        return replace(done, stdout=said) if cp1.steps[-1] is Step.PROVE else done

    one.transport.answers[CP1] = deaf  # type: ignore[index]
    outcome = await one.apply()
    assert [node.detail for node in outcome.nodes] == [
        "no answer over the underlay from nas1 (10.99.0.3), w1 (10.99.0.2)",
        "its key and an interface without peers are left",
        "its key and an interface without peers are left",
    ]  # fmt: skip
    assert outcome.nodes[0].hint == "taken back: its key and an interface without peers are left"
    assert not any(machine.changed for machine in one.machines.values())


async def test_a_machine_that_can_not_be_rolled_back_is_told_so() -> None:
    one = scene(cp1={Step.WITHDRAW: Fate.DEAD}, w1={Step.PROVE: Fate.DEAD})
    (failed,) = [node for node in (await one.apply()).nodes if node.name == CP1]
    said = "it could not be asked to take the change back, and does so by itself within 60 s: cp1 is gone"
    assert (Ending.FAILED, said, "", "roll back") == (
        failed.ending,
        failed.detail,
        failed.hint,
        failed.step,
    )


async def test_a_machine_whose_clock_was_faster_is_not_said_to_have_had_nothing() -> None:
    one = Scene.drifted(*NAMES)
    w1 = one.machines[W1]

    def late(script: str) -> Completed:
        if step_of(script) is Step.PROVE:
            w1.pass_time()
            return Completed(1, "", "wireloom: the change is not here any more\n")
        return w1(script)

    one.transport.answers[W1] = late  # type: ignore[index]
    (failed,) = [node for node in (await one.apply()).nodes if node.name == W1]
    assert (failed.detail, failed.hint) == ("the change is not here any more", "nothing of it is live there")


async def test_a_machine_that_failed_and_can_not_be_rolled_back_keeps_its_reason() -> None:
    one = scene(w1={Step.PROVE: Fate.REFUSED, Step.WITHDRAW: Fate.DEAD})
    (failed,) = [node for node in (await one.apply()).nodes if node.name == W1]
    assert (failed.detail, failed.step) == ("prove does not work here", "prove")
    assert "does so by itself within 60 s" in failed.hint


async def test_a_machine_that_is_only_half_back_is_told_so() -> None:
    one = scene(w1={Step.PROVE: Fate.REFUSED})
    cp1 = one.machines[CP1]

    def half(script: str) -> Completed:
        done = cp1(script)
        if step_of(script) is not Step.WITHDRAW:
            return done
        return Completed(0, "outcome=half_undone\n", "wireloom: not as before: mtu 1300\n")

    one.transport.answers[CP1] = half  # type: ignore[index]
    (failed,) = [node for node in (await one.apply()).nodes if node.name == CP1]
    assert (failed.ending, failed.detail) == (Ending.FAILED, "not as before: mtu 1300")
    assert failed.hint == "taken back, but not whole: `wireloom plan` shows what is left, apply mends it"


FATES = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from([Step.HOLD, *STEPS, Step.WITHDRAW])),
    st.sampled_from(list(Fate)),
    max_size=5,
)
WORLDS: list[Callable[[], Scene]] = [
    Scene,
    partial(Scene.drifted, *NAMES),
    partial(Scene.drifted, W1, NAS1),
    partial(Scene.drifted, *NAMES, port=1),
]


@settings(max_examples=300)
@given(FATES, st.sampled_from(WORLDS), st.integers(0, 2))
def test_no_machine_is_left_half_changed(
    fates: dict[tuple[NodeName, Step], Fate], make: Callable[[], Scene], max_parallel: int
) -> None:
    """Whatever goes wrong, and how often: the old network or the new one, and the outcome tells."""
    one = make()
    one.terms = replace(TERMS, max_parallel=max_parallel)
    for (name, step), fate in fates.items():
        one.machines[name].fates[step] = fate
    outcome = asyncio.run(one.apply())
    for machine in one.machines.values():
        assert machine.waits is False or Step.WITHDRAW in machine.fates
        machine.pass_time()
        assert machine.changed is machine.confirmed
        assert not machine.staged or Step.WITHDRAW in machine.fates
        assert not machine.held or Step.WITHDRAW in machine.fates
    told = endings(outcome)
    confirmed = {machine.name for machine in one.machines.values() if machine.confirmed}
    assert {name for name in NAMES if told[name] == "changed"} <= confirmed
    assert not {name for name in NAMES if told[name] in {"rolled back", "unchanged"}} & confirmed
    assert outcome.failed is any(told[name] in {"failed", "rolled back"} for name in NAMES)
    if confirmed:
        assert one.saved


# Machines that do not answer


async def test_a_machine_that_did_not_answer_is_pending_and_left_alone() -> None:
    one = Scene(away=(NAS1,))
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "changed", "w1": "changed", "nas1": "pending"}
    assert (outcome.failed, outcome.pending) == (False, True)
    assert one.machines[NAS1].steps == []


async def test_nobody_is_proven_by_a_machine_that_did_not_answer() -> None:
    one = Scene(away=(NAS1,))
    await one.apply()
    assert not any("10.99.0.3" in line for _, script in one.scripts(Step.PROVE) for line in calls_of(script))


@pytest.mark.parametrize("fate", [Fate.DEAD, Fate.CUT], ids=lambda fate: fate.name)
@pytest.mark.parametrize("step", [Step.STAGE, Step.COMMIT], ids=lambda step: step.name)
async def test_a_machine_that_stops_answering_is_left_behind_and_the_others_go_on(
    step: Step, fate: Fate
) -> None:
    one = scene(w1={step: fate})
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "changed", "w1": "pending", "nas1": "changed"}
    assert steps_told(outcome)["w1"] == step.name.lower()
    assert (outcome.failed, outcome.pending) == (False, True)
    assert one.machines[W1].steps[-1] is Step.WITHDRAW
    assert one.said[-1] == "letting go of w1"
    assert is_as_before(one.machines[W1])


async def test_a_machine_that_can_not_be_reached_to_confirm_is_left_behind() -> None:
    one = scene(w1={Step.CONFIRM: Fate.DEAD, Step.WITHDRAW: Fate.DEAD})
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "changed", "w1": "pending", "nas1": "changed"}
    (left,) = [node for node in outcome.nodes if node.name == W1]
    assert left.step == "confirm"
    assert left.hint.startswith("what it may have of this change it takes back within 60 s")


@pytest.mark.parametrize("step", [Step.STAGE, Step.COMMIT], ids=lambda step: step.name)
async def test_nobody_is_proven_by_a_machine_that_was_left_behind(step: Step) -> None:
    one = Scene.drifted(W1, NAS1)
    one.machines[W1].fates[step] = Fate.DEAD
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "unchanged", "w1": "pending", "nas1": "changed"}
    ((_, script),) = one.scripts(Step.PROVE)
    assert [word.split(",")[0] for word in call_of(script, Step.PROVE)[3:]] == ["10.99.0.1"]


async def test_a_machine_that_nothing_was_done_on_stays_pending_when_the_others_fail() -> None:
    one = scene(w1={Step.STAGE: Fate.DEAD, Step.WITHDRAW: Fate.DEAD}, cp1={Step.COMMIT: Fate.REFUSED})
    assert endings(await one.apply()) == {"cp1": "failed", "w1": "pending", "nas1": "rolled back"}
    assert len(one.scripts(Step.WITHDRAW, W1)) == 1  # it was not there a moment ago: half a minute, each time


async def test_where_nobody_answers_any_more_all_are_pending() -> None:
    one = scene(**{name: {Step.STAGE: Fate.DEAD} for name in NAMES})
    outcome = await one.apply()
    assert set(endings(outcome).values()) == {"pending"}
    assert not {Step.COMMIT, Step.PROVE, Step.CONFIRM} & set(one.steps)
    assert one.said == ["staging on 3 nodes", "letting go of cp1, nas1, w1"]


# The way back


async def test_old_neighbours_that_answered_before_are_asked_again_after_a_roll_back() -> None:
    one = Scene.drifted(W1, NAS1)
    one.machines[NAS1].fates[Step.COMMIT] = Fate.REFUSED
    outcome = await one.apply()
    (back,) = [node for node in outcome.nodes if node.name == W1]
    assert back.ending is Ending.ROLLED_BACK
    assert back.detail == "it is as it was, and cp1 (10.99.0.1) answers over the old network"
    assert one.machines[W1].steps[-2:] == [Step.WITHDRAW, Step.PROVE]
