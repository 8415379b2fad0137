"""``wireloom rollback``: bring the machines back to a generation that they keep."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TypeVar

import click

from wireloom.apply.engine import carry_out
from wireloom.apply.order import Order
from wireloom.apply.outcome import Outcome
from wireloom.apply.terms import IN_ROTATION, Terms
from wireloom.cli.carry import (
    TAKEN_BACK,
    approve,
    conclude,
    heard_out,
    note,
    nothing_to_do,
    show_one,
    yes_option,
)
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.survey import Survey, seen_lock, survey
from wireloom.cli.terms import Count, with_terms
from wireloom.cli.world import World, open_world, require_underlay, run_async
from wireloom.errors import Diagnostic, UserError
from wireloom.lock.file import write_lock
from wireloom.network.topology import wanted_stance
from wireloom.observe.history import read_histories, read_stored
from wireloom.observe.state import Generation, NodeState
from wireloom.plan.fleet import keys_seen, pending
from wireloom.plan.footing import expect
from wireloom.plan.rollback import plan_rollback
from wireloom.report.terminal import Progress, say
from wireloom.transport.port import TransportError
from wireloom.values import NodeName

T = TypeVar("T")
Histories = dict[NodeName, list[Generation]]


@click.command("rollback", cls=Verb)
@click.argument("generation", required=False, type=Count())
@yes_option
@with_terms
@settings_of
def command(settings: Settings, generation: int | None, yes: bool, new_terms: Callable[[], Terms]) -> int:
    """Bring the machines back to GENERATION, one of `wireloom history`; without it, to the one before.

    Every node gets what it had then, with the keys of today; nodes that have left the fleet stay out. It is a
    new generation, carried out as carefully as an apply. The fleet file is not changed: the next apply brings
    the machines to what it says.
    Exit code 2: done, but for nodes that did not answer. Once they do, `wireloom rollback GENERATION` brings
    them back, too.
    """
    world = open_world(settings)
    require_underlay(world, "what an earlier one left is left alone, and k3s does not go back")
    outcome = run_async(_roll_back(world, new_terms(), generation, yes=yes))
    code = conclude(settings, outcome)
    if code != 1 and not settings.quiet:
        say("The fleet file is as it was: the next apply brings the machines to what it says.")
    return code


async def _roll_back(world: World, terms: Terms, generation: int | None, *, yes: bool) -> Outcome:
    with Progress(quiet=world.settings.quiet) as progress:
        async with survey(world, yes=yes, progress=progress) as found:
            if found.plan.refusals:
                raise UserError(found.plan.refusals)
            progress("reading the history")
            histories = await _read_histories(found)
            target = _choose(histories, _present(found), generation)
            order = await _prepare(found, histories, target)
            progress.pause()
            show_one(order.plan, world.settings, source=f"generation {target}")
            if order.plan.empty:
                return nothing_to_do(order.plan, found.world.lock.generation)
            if not yes:
                approve(len(pending(order.plan)), f"Go back to generation {target} on")
            path = found.world.lock_path
            with heard_out(progress, TAKEN_BACK):
                outcome = await carry_out(
                    order, found.crew, terms, save=lambda lock: write_lock(path, lock), progress=progress
                )
    note(world, outcome)
    return outcome


async def _read_histories(found: Survey) -> Histories:
    reached = [name for name, state in found.seen.items() if isinstance(state, NodeState)]
    return _answered(await read_histories(found.crew, reached, found.network.interface))


def _present(found: Survey) -> int:
    """The newest generation that a node is at; 0: none."""
    stamps = [state.stamp for state in found.seen.values() if isinstance(state, NodeState)]
    return max((stamp.generation for stamp in stamps if stamp), default=0)


def _choose(histories: Histories, present: int, generation: int | None) -> int:
    """The generation that is meant. Raises UserError where no node keeps it."""
    every = [one for history in histories.values() for one in history]
    kept = sorted({one.number for one in every})
    amid = {one.number for one in every if one.what == IN_ROTATION}
    if generation in amid:
        hint = "name the one before or after that; see: wireloom history"
        raise UserError.one(f"generation {generation} is from the middle of a rotation of keys", hint=hint)
    if generation is None:
        before = [number for number in kept if number < present and number not in amid]
        if not before:
            raise UserError.one("there is no generation to go back to", hint="see: wireloom history")
        return before[-1]
    if generation not in kept:
        numbers = ", ".join(map(str, kept[-8:])) or "none"
        hint = f"the nodes keep {'… ' if len(kept) > 8 else ''}{numbers}; see: wireloom history"
        raise UserError.one(f"no node keeps generation {generation}", hint=hint)
    return generation


async def _prepare(found: Survey, histories: Histories, target: int) -> Order:
    """Read what the nodes had then, and plan the way back."""
    known = seen_lock(found)
    interface = found.network.interface
    wanted = {name: number for name, kept in histories.items() if (number := _at(kept, target)) is not None}
    lock = known.lock.with_keys(keys_seen(found.seen))
    plan, desired = plan_rollback(
        target,
        _answered(await read_stored(found.crew, wanted, interface)),
        fleet=known.fleet,
        today=found.plan,
        lock=lock,
        network=found.network,
        seen=found.seen,
    )
    ahead = expect(lock, desired.values(), wanted_stance(known.fleet))
    texts = "".join(f"{name}\n{want.config.keyless}" for name, want in sorted(desired.items()))
    return Order(
        plan=plan,
        lock=replace(ahead, generation=plan.generation, network=sha256(texts.encode()).hexdigest()),
        seen=found.seen,
        desired=desired,
        interface=interface,
        nat=known.fleet.behind_nat,
        back_to=target,
    )


def _at(kept: list[Generation], target: int) -> int | None:
    """What a node had at that time: its newest generation up to it. None: it keeps nothing from then."""
    return max((one.number for one in kept if one.number <= target), default=None)


def _answered(answers: Mapping[NodeName, T | TransportError]) -> dict[NodeName, T]:
    """All of them. Raises UserError where nodes gave no answer: half a fleet can't be rolled back."""
    broken = [
        Diagnostic(one.what, where=name, hint=one.hint or "nothing was changed")
        for name, one in answers.items()
        if isinstance(one, TransportError)
    ]
    if broken:
        raise UserError(broken)
    return {name: one for name, one in answers.items() if not isinstance(one, TransportError)}
