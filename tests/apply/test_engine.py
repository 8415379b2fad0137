"""Apply as a whole, on machines that are not there: the order of things, and what stops it early."""

import asyncio
from dataclasses import replace
from itertools import combinations

import pytest

from tests.apply.machines import (
    CP1,
    FLEET,
    NAMES,
    NAS1,
    STEPS,
    TERMS,
    W1,
    Fate,
    Scene,
    Step,
    StuckTransport,
    call_of,
    calls_of,
    endings,
    is_as_before,
    key_of,
    scene,
)
from wireloom.errors import UserError
from wireloom.network.topology import weave
from wireloom.render.desired import network_digest
from wireloom.transport.fake import FakeConnection
from wireloom.values import NodeName

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
    assert not any(machine.held or machine.waits for machine in one.machines.values())


async def test_machines_that_only_dial_are_changed_after_those_that_are_dialled() -> None:
    one = Scene()
    await one.apply()
    assert [name for name, _ in one.scripts(Step.COMMIT)] == [CP1, W1, NAS1]


async def test_the_proof_is_over_another_connection_and_waits_for_no_old_one_to_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Scene()

    async def close(connection: FakeConnection) -> None:
        closed.append((connection.node, Step.PROVE in one.steps))
        connection.closed = True
        await asyncio.sleep(0.1)
        closed.append((connection.node, Step.PROVE in one.steps))

    closed: list[tuple[NodeName, bool]] = []
    monkeypatch.setattr(FakeConnection, "close", close)
    await one.apply()
    assert closed[:6] == [*((name, False) for name in NAMES), *((name, True) for name in NAMES)]
    assert [connection.node for connection in one.transport.connections] == [*NAMES, *NAMES]


async def test_the_lock_is_saved_once_after_all_is_staged_and_before_anything_is_committed() -> None:
    one = Scene()
    await one.apply()
    ((_, steps_before),) = one.saved
    assert steps_before == [step for step in (Step.MAKE_KEY, Step.STAGE) for _ in NAMES]


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


async def test_each_pair_of_machines_is_proven_with_the_new_key_of_the_one_that_is_asked() -> None:
    one = Scene()
    await one.apply()
    addresses = {f"10.99.0.{number}": name for number, name in enumerate(NAMES, 1)}
    proven = []
    for name, script in one.scripts(Step.PROVE):
        words = call_of(script, Step.PROVE)
        assert words[:3] == ["prove", "20", "1700000000"]
        for address, _, key in (word.partition(",") for word in words[3:]):
            assert key == str(key_of(addresses[address]))
            proven.append(frozenset({name, addresses[address]}))
    assert sorted(proven, key=sorted) == sorted(map(frozenset, combinations(NAMES, 2)), key=sorted)


async def test_the_proof_ends_before_the_change_undoes_itself() -> None:
    one = Scene(terms=replace(TERMS, window=10))
    await one.apply()
    assert {call_of(script, Step.PROVE)[1] for _, script in one.scripts(Step.PROVE)} == {"7"}
    assert {call_of(script, Step.COMMIT)[2] for _, script in one.scripts(Step.COMMIT)} == {"10"}


async def test_every_step_is_in_the_name_of_this_apply() -> None:
    one = Scene()
    await one.apply()
    for step in (Step.HOLD, Step.COMMIT, Step.CONFIRM):
        for name in NAMES:
            words = [
                call.split()[1]
                for script in one.transport.scripts_of(name)
                for call in calls_of(script)
                if call.split()[0] == step
            ]
            assert words == [TERMS.id]


async def test_a_machine_with_nothing_to_do_is_held_meanwhile_and_let_go() -> None:
    one = Scene.settled()
    one.machines[W1].looks_like = replace(one.machines[W1].state(), stamp=None)
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "unchanged", "w1": "changed", "nas1": "unchanged"}
    assert one.machines[CP1].steps == one.machines[NAS1].steps == [Step.HOLD, Step.WITHDRAW]
    assert one.machines[W1].steps == list(STEPS)


async def test_a_settled_fleet_needs_nothing() -> None:
    assert Scene.settled().plan().empty


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


async def test_a_lock_that_can_not_be_written_stops_it_before_anything_is_committed() -> None:
    one = Scene.drifted(W1, NAS1)
    one.disk_full = True
    with pytest.raises(UserError, match="No space left"):
        await one.apply()
    assert set(one.steps) == {Step.HOLD, Step.STAGE, Step.WITHDRAW}
    assert not any(machine.staged or machine.held for machine in one.machines.values())


@pytest.mark.parametrize("fate", [Fate.REFUSED, Fate.HALF, Fate.MUTE], ids=lambda fate: fate.name)
async def test_a_lock_is_not_written_where_staging_fails(fate: Fate) -> None:
    one = scene(w1={Step.STAGE: fate})
    await one.apply()
    assert one.saved == []
    assert Step.COMMIT not in one.steps


async def test_a_machine_that_somebody_else_holds_stops_it_even_if_it_has_nothing_to_do() -> None:
    one = Scene.drifted(W1, NAS1)
    one.machines[CP1].fates[Step.HOLD] = Fate.REFUSED
    outcome = await one.apply()
    assert endings(outcome) == {"cp1": "failed", "w1": "rolled back", "nas1": "rolled back"}
    assert [(node.detail, node.step) for node in outcome.nodes if node.name == CP1] == [
        ("hold does not work here", "stage")
    ]
    assert (one.saved, set(one.steps)) == ([], {Step.HOLD, Step.STAGE, Step.WITHDRAW})


# Ctrl-C


@pytest.mark.parametrize("step", [Step.STAGE, Step.COMMIT, Step.PROVE], ids=lambda step: step.name)
async def test_an_interruption_rolls_back_and_lets_go(step: Step) -> None:
    one = Scene.drifted(W1, NAS1)
    stuck = one.transport = StuckTransport(one, step)
    task = asyncio.create_task(one.apply())
    await stuck.reached.wait()
    task.cancel()
    stuck.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(map(is_as_before, one.machines.values()))


async def test_an_interruption_while_machines_confirm_waits_for_them() -> None:
    one = Scene()
    stuck = one.transport = StuckTransport(one, Step.CONFIRM)
    task = asyncio.create_task(one.apply())
    await stuck.reached.wait()
    task.cancel()
    stuck.go_on.set()
    await asyncio.wait([task])
    assert all(machine.confirmed for machine in one.machines.values())


async def test_an_interruption_while_keys_are_made_changes_nothing() -> None:
    one = Scene()
    stuck = one.transport = StuckTransport(one, Step.MAKE_KEY)
    task = asyncio.create_task(one.apply())
    await stuck.reached.wait()
    task.cancel()
    stuck.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert one.saved == []
    assert set(one.steps) == {Step.MAKE_KEY}
