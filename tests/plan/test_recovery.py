"""A lock that was lost: the machines know enough to make it anew."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from tests.network.test_topology import fleets
from tests.plan.world import World, away, settled, three
from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.observe.state import NodeState, Seen
from wireloom.plan.recovery import recover_lock
from wireloom.values import NodeName

A, B, N = map(NodeName, "abn")


def recover(world: World, seen: Seen | None = None) -> Lock:
    """As the command writes it; where all stand is learnt at the next plan."""
    lock = allot(world.fleet, recover_lock("shop", world.seen() if seen is None else seen))
    return replace(lock, footing=world.lock.footing)


@given(fleets())
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_it_is_the_one_that_was_lost(fleet: Fleet) -> None:
    world = World(fleet)
    world.walk()
    if world.lock.generation:
        assert recover(world) == world.lock


def half_moved() -> World:
    world = settled()
    world.change(three(ipv4="10.77.0.0/16", ipv6=None, port=51999))
    world.apply()
    return world


def left() -> World:
    world = settled()
    fleet = three()
    world.change(replace(fleet, nodes={name: node for name, node in fleet.nodes.items() if name != B}))
    world.apply()
    return world


@pytest.mark.parametrize("make", [settled, half_moved, left], ids=lambda make: make.__name__)
def test_nothing_is_left_to_do_but_what_was_before(make: Callable[[], World]) -> None:
    world = make()
    before = world.plan()
    world.lock = replace(recover(world), footing=None)
    after = world.plan()
    assert (after.refusals, list(after.changes()), after.steps) == ((), list(before.changes()), before.steps)


def test_of_one_that_does_not_answer_the_others_tell() -> None:
    world = settled()
    assert recover(world, {**world.seen(), **away(N)}) == world.lock


def test_of_a_file_that_was_changed_by_hand_the_others_tell() -> None:
    world = settled()
    config = world.machines[A].config
    world.machines[A].config = replace(config, keyless=config.keyless.replace("10.99.0.1", "10.99.7.7"))
    assert recover(world) == world.lock


def test_the_machines_key_outranks_what_others_have() -> None:
    world = settled()
    state = world.seen()[A]
    assert isinstance(state, NodeState)
    new = world.machines[B].key
    assert recover(world, {**world.seen(), A: replace(state, public_key=new)}).nodes[A].public_key == new


def test_the_newest_generation_counts() -> None:
    world = settled()
    world.away = away(N)
    world.change(three(mtu=1300))
    world.apply()
    world.away = {}
    assert recover(world) == world.lock


def of_another_fleet(world: World) -> None:
    for machine in world.machines.values():
        assert machine.stamp
        machine.stamp = replace(machine.stamp, fleet="store")


def of_two_checkouts(world: World) -> None:
    stamp = world.machines[B].stamp
    assert stamp
    world.machines[B].stamp = replace(stamp, network="beef")


REFUSED = {
    "nothing was applied": (
        lambda world: world.machines.clear(),
        "no machine that answered has a generation of",
    ),
    "all of another fleet": (
        of_another_fleet,
        "no machine that answered has a generation of the fleet `shop`",
    ),
    "two of one number": (of_two_checkouts, "generation 1 is one thing on n, and another on b"),
}


@pytest.mark.parametrize(("spoil", "what"), REFUSED.values(), ids=REFUSED)
def test_refused(spoil: Callable[[World], None], what: str) -> None:
    world = settled()
    spoil(world)
    seen = {name: machine.seen() for name, machine in world.machines.items()}
    with pytest.raises(UserError) as refused:
        recover_lock("shop", seen)
    (told,) = refused.value.diagnostics
    assert what in told.what
    assert told.hint
