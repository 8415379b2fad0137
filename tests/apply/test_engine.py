"""Apply as a whole, on machines that are not there: the order of things, and what becomes of each mishap."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.apply.machines import (
    CP1,
    FLEET,
    NAMES,
    NAS1,
    STEPS,
    W1,
    Fate,
    Machine,
    Scene,
    Step,
    StuckTransport,
    key_of,
)
from wireloom.apply.outcome import Ending, Outcome
from wireloom.errors import UserError
from wireloom.network.topology import weave
from wireloom.render.desired import network_digest
from wireloom.transport.port import Completed
from wireloom.values import NodeName


def endings(outcome: Outcome) -> dict[str, str]:
    return {one.name: str(one.ending) for one in outcome.nodes}


def scene(**fates: dict[Step, Fate]) -> Scene:
    """Machines of which some do not do all that they are told."""
    return Scene({name: Machine(name, fates.get(name, {})) for name in NAMES})


# When all goes well


async def test_every_machine_is_changed_and_confirmed() -> None:
    one = Scene()
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "changed", "w1": "changed", "nas1": "changed"}
    assert (outcome.failed, outcome.pending) == (False, False)
    assert all(machine.confirmed and machine.changed for machine in one.machines.values())


async def test_a_step_begins_when_the_one_before_is_done_everywhere() -> None:
    one = Scene()
    await one.apply()
    assert one.steps == [step for step in (Step.MAKE_KEY, *STEPS) for _ in NAMES]


async def test_machines_that_only_dial_are_changed_after_those_that_are_dialled() -> None:
    one = Scene()
    await one.apply()
    assert [name for name, script in one.transport.scripts if "echo since" in script] == [CP1, W1, NAS1]


async def test_the_lock_is_saved_once_after_the_keys_and_before_all_else() -> None:
    one = Scene()
    await one.apply()
    ((_, steps_before),) = one.saved
    assert steps_before == [Step.MAKE_KEY] * 3


async def test_the_saved_lock_is_the_one_of_the_next_generation() -> None:
    one = Scene()
    outcome = await one.apply()
    ((lock, _),) = one.saved
    assert (lock.generation, outcome.generation) == (5, 5)
    assert {name: lock.nodes[name].public_key for name in NAMES} == {name: key_of(name) for name in NAMES}
    assert lock.network == network_digest(weave(FLEET, lock))
    assert all(lock.nodes[name].ssh_host_key for name in NAMES)


async def test_proof_and_confirmation_go_over_connections_made_after_the_commit() -> None:
    one = Scene()
    await one.apply()
    assert [len([made for made in one.transport.connections if made.node == name]) for name in NAMES] == [
        2
    ] * 3


async def test_each_machine_is_proven_with_its_neighbours_and_their_new_keys() -> None:
    one = Scene()
    await one.apply()
    (call,) = [
        line
        for script in one.transport.scripts_of(CP1)
        for line in script.splitlines()
        if line.startswith("prove ")
    ]
    words = call.split()
    assert words[:3] == ["prove", "20", "1700000000"]
    assert sorted(words[3:]) == [f"10.99.0.2,{key_of(W1)}", f"10.99.0.3,{key_of(NAS1)}"]


async def test_a_machine_with_nothing_to_do_is_not_touched() -> None:
    one = Scene.settled()
    without_note = replace(one.machines[W1].state(), stamp=None)
    one.machines[W1].looks_like = without_note
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "unchanged", "w1": "changed", "nas1": "unchanged"}
    assert {name for name, _ in one.transport.scripts} == {W1}


async def test_a_settled_fleet_needs_nothing() -> None:
    assert Scene.settled().plan().empty


# When it does not


@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.HALF, Fate.DEAD, Fate.MUTE], ids=lambda fate: fate.name)
@pytest.mark.parametrize("step", STEPS[:3], ids=lambda step: step.name)
async def test_what_goes_wrong_on_one_machine_is_rolled_back_on_all(step: Step, fate: Fate) -> None:
    one = scene(w1={step: fate})
    outcome = await one.apply()
    assert outcome.failed
    assert endings(outcome) == {"cp1": "rolled back", "w1": "failed", "nas1": "rolled back"}
    assert not any(machine.changed or machine.staged for machine in one.machines.values())


@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.DEAD], ids=lambda fate: fate.name)
async def test_a_machine_that_does_not_confirm_is_rolled_back(fate: Fate) -> None:
    one = scene(w1={Step.CONFIRM: fate})
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "changed", "w1": "failed", "nas1": "changed"}
    assert not one.machines[W1].changed


async def test_a_machine_that_confirmed_unheard_keeps_what_it_has() -> None:
    one = scene(w1={Step.CONFIRM: Fate.MUTE})
    outcome = await one.apply()
    assert outcome.failed
    assert one.machines[W1].changed
    assert one.machines[W1].confirmed


async def test_a_machine_that_was_not_committed_yet_has_only_its_staged_file_taken_away() -> None:
    one = scene(cp1={Step.COMMIT: Fate.REFUSED})
    await one.apply()
    assert one.machines[NAS1].steps[-1] is Step.UNSTAGE
    assert one.machines[W1].steps[-1] is Step.UNDO


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
        "taken back, but for its key and an interface without peers",
        "taken back, but for its key and an interface without peers",
    ]  # fmt: skip
    assert not any(machine.changed for machine in one.machines.values())


async def test_a_machine_that_can_not_be_rolled_back_is_told_so() -> None:
    one = scene(cp1={Step.UNDO: Fate.DEAD}, w1={Step.PROVE: Fate.DEAD})
    (failed,) = [node for node in (await one.apply()).nodes if node.name == CP1]
    assert (failed.ending, failed.detail) == (Ending.FAILED, "cp1 is gone")
    assert failed.hint.startswith("its running state may be new")


async def test_a_machine_that_failed_and_can_not_be_rolled_back_keeps_its_reason() -> None:
    one = scene(w1={Step.PROVE: Fate.REFUSED, Step.UNDO: Fate.DEAD})
    (failed,) = [node for node in (await one.apply()).nodes if node.name == W1]
    assert failed.detail == "prove does not work here"
    assert failed.hint.startswith("its running state may be new")


FATES = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(STEPS)), st.sampled_from(list(Fate)), max_size=4
)


@settings(max_examples=200, deadline=None)
@given(FATES)
def test_no_machine_is_left_half_changed(fates: dict[tuple[NodeName, Step], Fate]) -> None:
    """Whatever goes wrong, and how often: the old network or the new one, and the outcome tells."""
    one = scene(
        **{name: {step: fate for (who, step), fate in fates.items() if who == name} for name in NAMES}
    )
    outcome = asyncio.run(one.apply())
    for machine in one.machines.values():
        assert machine.changed is machine.confirmed
        assert not machine.staged
    changed = {one.name for one in outcome.nodes if one.ending is Ending.CHANGED}
    assert changed <= {machine.name for machine in one.machines.values() if machine.confirmed}
    assert outcome.failed is any(endings(outcome)[name] != "changed" for name in NAMES)


# Before anything is changed


async def test_a_machine_that_can_make_no_key_stops_it_before_the_lock_is_written() -> None:
    one = scene(w1={Step.MAKE_KEY: Fate.REFUSED}, nas1={Step.MAKE_KEY: Fate.DEAD})
    with pytest.raises(UserError) as raised:
        await one.apply()
    assert [(one.where, one.what) for one in raised.value.diagnostics] == [
        ("w1", "make_key does not work here"),
        ("nas1", "nas1 is gone"),
    ]
    assert one.saved == []
    assert set(one.steps) == {Step.MAKE_KEY}


async def test_a_plan_of_another_world_is_refused() -> None:
    one = Scene()
    shown = one.plan()
    fewer = replace(shown, nodes=tuple(replace(node, changes=node.changes[:1]) for node in shown.nodes))
    with pytest.raises(UserError, match="the machines have changed while the plan was looked at"):
        await one.apply(fewer)
    assert one.saved == []
    assert set(one.steps) <= {Step.MAKE_KEY}


async def test_a_lock_that_can_not_be_written_stops_it_before_anything_is_staged() -> None:
    one = Scene(disk_full=True)
    with pytest.raises(UserError, match="No space left"):
        await one.apply()
    assert set(one.steps) == {Step.MAKE_KEY}


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
    assert not any(
        "10.99.0.3" in line
        for _, script in one.transport.scripts
        for line in script.splitlines()
        if line.startswith("prove ")
    )


# Ctrl-C


@pytest.mark.parametrize("step", [Step.STAGE, Step.COMMIT, Step.PROVE], ids=lambda step: step.name)
async def test_an_interruption_rolls_back(step: Step) -> None:
    one = Scene()
    stuck = one.transport = StuckTransport(one, step)
    task = asyncio.create_task(one.apply())
    await stuck.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(machine.changed or machine.staged for machine in one.machines.values())


async def test_an_interruption_while_keys_are_made_changes_nothing() -> None:
    one = Scene()
    stuck = one.transport = StuckTransport(one, Step.MAKE_KEY)
    task = asyncio.create_task(one.apply())
    await stuck.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert one.saved == []
    assert set(one.steps) == {Step.MAKE_KEY}
