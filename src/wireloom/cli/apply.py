"""``wireloom apply``: bring the machines to what the fleet file says."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from wireloom.apply.engine import carry_out
from wireloom.apply.enrol import enrol
from wireloom.apply.outcome import Outcome
from wireloom.apply.terms import Terms
from wireloom.cli.carry import approve, conclude, note, nothing_to_do, show, show_one, yes_option
from wireloom.cli.cluster.carry import raise_cluster, vouch
from wireloom.cli.saved import SavedPlan, read_plan
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.supply import Supply, with_supply
from wireloom.cli.survey import Survey, seen_lock, survey, survey_again, survey_next
from wireloom.cli.terms import make_terms, with_terms
from wireloom.cli.world import World, open_world, run_async, with_lock
from wireloom.grammar import count
from wireloom.lock.file import write_lock
from wireloom.lock.footing import Footing
from wireloom.lock.lock import Lock
from wireloom.plan.fleet import keys_seen
from wireloom.report.terminal import Progress

MOST_STEPS = 10
"""Another port takes three, and one more where a peer was last heard from the old one."""


@click.command("apply", cls=Verb)
@click.argument("saved", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@yes_option
@with_terms
@with_supply
@settings_of
def command(
    settings: Settings,
    *,
    saved: Path | None,
    yes: bool,
    window: int,
    max_parallel: int | None,
    k3s_binary: tuple[Path, ...],
    k3s_images: tuple[Path, ...],
    ready_within: int,
) -> int:
    """Bring the machines to what the fleet file says, in place and node by node proven.

    SAVED is a plan of `wireloom plan -o`: exactly it is applied, and nothing is asked, or nothing is done if
    a machine has changed since.
    A change that can't be proven is taken back everywhere, by the nodes themselves if they must.
    Another port or range takes several steps, which the plan names. Each is carried out like this, once all
    nodes have taken the one before.
    Where the fleet file wants k3s, it comes after the network, server by server, and is not taken back.
    Exit code 2: done, but for nodes that did not answer, or steps that wait for them; the next apply goes on.
    """
    wanted = None if saved is None else read_plan(saved)
    world = open_world(settings)
    supply = Supply(k3s_binary, k3s_images, ready_within)
    new_terms = partial(make_terms, window=window, max_parallel=max_parallel)
    return conclude(settings, run_async(_apply(world, new_terms, supply, saved=wanted, yes=yes)))


async def _apply(
    world: World, new_terms: Callable[[], Terms], supply: Supply, *, saved: SavedPlan | None, yes: bool
) -> Outcome:
    with Progress(quiet=world.settings.quiet) as progress:
        async with survey(world, yes=yes, progress=progress) as found:
            progress.pause()
            show(found, world.settings)
            agreed = vouch(found, supply)
            if saved is not None:
                saved.require_same(found.digest)
            elif not (found.empty or yes):
                approve(len(found.changing))
                progress("looking again")
                agreed = vouch(await survey_again(found), supply)
            outcome, world = await _walk(agreed, new_terms, progress)
            if outcome.failed or outcome.steps_left:
                return outcome
            done = await raise_cluster(replace(agreed, world=world), new_terms(), supply, progress)
            return replace(outcome, cluster=done)


async def _walk(found: Survey, new_terms: Callable[[], Terms], progress: Progress) -> tuple[Outcome, World]:
    """Apply the plan, and the steps that follow on it, as long as every node has taken the one before."""
    outcome, world = await _carry_out(found, new_terms(), progress)
    for _ in range(MOST_STEPS):
        if outcome.failed or outcome.pending or not outcome.steps_left:
            break
        progress("looking again")
        following = await survey_next(found, world)
        progress.pause()
        show_one(following.plan, world.settings)
        outcome, world = await _carry_out(following, new_terms(), progress)
    return outcome, world


async def _carry_out(found: Survey, terms: Terms, progress: Progress) -> tuple[Outcome, World]:
    """Apply the plan; where it is empty only what is new in the lock is written. Then, the lock as it is."""
    known = seen_lock(found)
    if not found.world.fleet.has_underlay:
        return nothing_to_do(found.plan, known.lock.generation), _write(known, known.lock)
    if found.plan.empty:
        # A machine's key outranks the lock's, also where an apply that failed had written another one.
        outcome = nothing_to_do(found.plan, known.lock.generation)
        return outcome, _write(known, known.lock.with_keys(keys_seen(found.seen)))
    makers = sum(node.make_key for node in found.plan.nodes)
    if makers:
        progress(f"making keys on {count(makers, 'node')}")
    order = await enrol(known.fleet, known.lock, found.seen, found.plan, found.crew)
    outcome = await carry_out(
        order, found.crew, terms, save=lambda lock: _write(known, lock), progress=progress
    )
    note(known, outcome)
    if outcome.failed or outcome.pending or outcome.steps_left:
        return outcome, with_lock(known, order.lock)
    return outcome, _write(known, order.lock.on(Footing.of(found.network.stance)))


def _write(world: World, lock: Lock) -> World:
    write_lock(world.lock_path, lock)
    return with_lock(world, lock)
