"""``wireloom rollback``: bring the machines back to a generation that they keep."""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TypeVar

import click

from wireloom.apply.engine import carry_out
from wireloom.apply.order import Order
from wireloom.apply.outcome import Outcome
from wireloom.apply.terms import Terms
from wireloom.cli.carry import approve, conclude, note, nothing_to_do, show, yes_option
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.survey import Survey, seen_lock, survey
from wireloom.cli.terms import make_terms, with_terms
from wireloom.cli.world import World, open_world, run_async
from wireloom.errors import UserError
from wireloom.lock.file import write_lock
from wireloom.observe.history import Generation, Stored, read_histories, read_stored
from wireloom.observe.state import NodeState
from wireloom.plan.fleet import keys_seen
from wireloom.plan.rollback import plan_rollback
from wireloom.report.terminal import Progress, say
from wireloom.transport.port import TransportError
from wireloom.values import NodeName

T = TypeVar("T")
Histories = dict[NodeName, list[Generation]]


@click.command("rollback", cls=Verb)
@click.argument("generation", required=False, type=click.IntRange(min=1))
@yes_option
@with_terms
@settings_of
def command(
    settings: Settings, generation: int | None, yes: bool, window: int, max_parallel: int | None
) -> int:
    """Bring the machines back to GENERATION, one of `wireloom history`; without it, to the one before.

    Every node gets what it had then, with the keys of today; nodes that have left the fleet stay out. It is a
    new generation, carried out as carefully as an apply. The fleet file is not changed: the next apply brings
    the machines to what it says.
    """
    world = open_world(settings)
    terms = make_terms(window=window, max_parallel=max_parallel)
    outcome = run_async(_roll_back(world, terms, generation, yes=yes))
    code = conclude(settings, outcome)
    if code != 1 and not settings.quiet:
        say("The fleet file is as it was: the next apply brings the machines to what it says.")
    return code


async def _roll_back(world: World, terms: Terms, generation: int | None, *, yes: bool) -> Outcome:
    with Progress(quiet=world.settings.quiet) as progress:
        async with survey(world, yes=yes, progress=progress) as found:
            order = await _prepare(found, generation, progress)
            progress.pause()
            show(order.plan, world.settings)
            if order.plan.empty:
                return nothing_to_do(order.plan, order.lock.generation - 1)
            if not yes:
                approve(order.plan)
            path = found.world.lock_path
            outcome = await carry_out(
                order, found.crew, terms, save=lambda lock: write_lock(path, lock), progress=progress
            )
    note(world, outcome)
    return outcome


async def _prepare(found: Survey, generation: int | None, progress: Progress) -> Order:
    """Read what the nodes keep, and plan the way back. Raises UserError where there is none."""
    progress("reading the history")
    known = seen_lock(found)
    interface = known.fleet.underlay.interface
    reached = [name for name, state in found.seen.items() if isinstance(state, NodeState)]
    histories = _answered(await read_histories(found.crew, reached, interface))
    target = _choose(histories, generation)
    wanted = {name: number for name, kept in histories.items() if (number := _at(kept, target))}
    stored: dict[NodeName, Stored] = _answered(await read_stored(found.crew, wanted, interface))
    lock = known.lock.with_keys(keys_seen(found.seen))
    plan, desired = plan_rollback(
        found.plan, lock, found.network, found.seen, {name: one.keyless for name, one in stored.items()}
    )
    texts = "".join(f"{name}\n{want.config.keyless}" for name, want in sorted(desired.items()))
    return Order(
        plan=plan,
        lock=replace(lock, generation=plan.generation, network=sha256(texts.encode()).hexdigest()),
        seen=found.seen,
        desired=desired,
        interface=interface,
        nat=frozenset(name for name, node in known.fleet.nodes.items() if node.nat),
    )


def _answered(answers: Mapping[NodeName, T | TransportError]) -> dict[NodeName, T]:
    """All of them. Raises UserError where a node gave no answer: half a fleet can't be rolled back."""
    broken = {name: one for name, one in answers.items() if isinstance(one, TransportError)}
    for name, error in broken.items():
        raise UserError.one(error.what, where=str(name), hint=error.hint or "nothing was changed")
    return {name: one for name, one in answers.items() if not isinstance(one, TransportError)}


def _choose(histories: Histories, generation: int | None) -> int:
    """The generation that is meant. Raises UserError where no node keeps it."""
    kept = sorted({one.number for history in histories.values() for one in history})
    present = max((one.number for history in histories.values() for one in history if one.present), default=0)
    if generation is None:
        before = [number for number in kept if number < present]
        if not before:
            raise UserError.one("there is no generation to go back to", hint="see: wireloom history")
        return before[-1]
    if generation not in kept:
        numbers = ", ".join(map(str, kept[-8:])) or "none"
        hint = f"the nodes keep {numbers}; see: wireloom history"
        raise UserError.one(f"no node keeps generation {generation}", hint=hint)
    return generation


def _at(kept: list[Generation], target: int) -> int | None:
    """What a node had at that time: its newest generation up to it. None: it was not there yet."""
    return max((one.number for one in kept if one.number <= target), default=None)
