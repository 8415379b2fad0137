"""``wireloom apply``: bring the machines to what the fleet file says."""

from pathlib import Path

import click

from wireloom.apply.engine import carry_out
from wireloom.apply.enrol import enrol
from wireloom.apply.outcome import Outcome
from wireloom.apply.terms import Terms
from wireloom.cli.carry import approve, conclude, note, nothing_to_do, show, yes_option
from wireloom.cli.saved import SavedPlan, read_plan
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.survey import Survey, seen_lock, survey, survey_again
from wireloom.cli.terms import make_terms, with_terms
from wireloom.cli.world import World, open_world, run_async
from wireloom.grammar import count
from wireloom.lock.file import write_lock
from wireloom.plan.fleet import keys_seen
from wireloom.report.terminal import Progress


@click.command("apply", cls=Verb)
@click.argument("saved", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@yes_option
@with_terms
@settings_of
def command(settings: Settings, saved: Path | None, yes: bool, window: int, max_parallel: int | None) -> int:
    """Bring the machines to what the fleet file says, in place and node by node proven.

    SAVED is a plan of `wireloom plan -o`: exactly it is applied, and nothing is asked, or nothing is done if
    a machine has changed since.
    A change that can't be proven is taken back everywhere, by the nodes themselves if they must.
    Exit code 2: done, but for nodes that did not answer; they catch up at the next apply.
    """
    wanted = None if saved is None else read_plan(saved)
    world = open_world(settings)
    terms = make_terms(window=window, max_parallel=max_parallel)
    return conclude(settings, run_async(_apply(world, terms, saved=wanted, yes=yes)))


async def _apply(world: World, terms: Terms, *, saved: SavedPlan | None, yes: bool) -> Outcome:
    with Progress(quiet=world.settings.quiet) as progress:
        async with survey(world, yes=yes, progress=progress) as found:
            progress.pause()
            show(found.plan, world.settings)
            if saved is not None:
                saved.require_same(found.plan)
            if found.plan.empty or yes or saved is not None:
                outcome = await _carry_out(found, terms, progress)
            else:
                approve(found.plan)
                progress("looking again")
                outcome = await _carry_out(await survey_again(found), terms, progress)
    if not found.plan.empty:
        note(world, outcome)
    return outcome


async def _carry_out(found: Survey, terms: Terms, progress: Progress) -> Outcome:
    """Apply the plan; where it is empty only what is new in the lock is written."""
    known = seen_lock(found)
    if found.plan.empty:
        # A machine's key outranks the lock's, also where an apply that failed had written another one.
        write_lock(known.lock_path, known.lock.with_keys(keys_seen(found.seen)))
        return nothing_to_do(found.plan, known.lock.generation)
    makers = sum(node.make_key for node in found.plan.nodes)
    if makers:
        progress(f"making keys on {count(makers, 'node')}")
    order = await enrol(known.fleet, known.lock, found.seen, found.plan, found.crew)
    return await carry_out(
        order, found.crew, terms, save=lambda lock: write_lock(known.lock_path, lock), progress=progress
    )
