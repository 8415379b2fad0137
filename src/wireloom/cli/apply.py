"""``wireloom apply``: bring the machines to what the fleet file says."""

from pathlib import Path

import click

from wireloom.apply.engine import apply
from wireloom.apply.outcome import Ending, NodeOutcome, Outcome
from wireloom.cli.saved import SavedPlan, read_plan
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.survey import Survey, seen_lock, survey, survey_again
from wireloom.cli.world import World, ask, hidden_directory, open_world, run_async
from wireloom.errors import Diagnostic, Severity, UserError
from wireloom.grammar import count
from wireloom.lock.file import write_lock
from wireloom.plan.fleet import keys_seen
from wireloom.report.documents import outcome_document, print_document
from wireloom.report.journal import write_journal
from wireloom.report.terminal import Progress, show_diagnostics, show_outcome, show_plan


@click.command("apply", cls=Verb)
@click.argument("saved", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; accepts host keys at first contact, too.")
@settings_of
def command(settings: Settings, saved: Path | None, yes: bool) -> int:
    """Bring the machines to what the fleet file says, in place and node by node proven.

    SAVED is a plan of `wireloom plan -o`: exactly it is applied, and nothing is asked, or nothing is done if
    a machine has changed since.
    Exit code 2: done, but for nodes that did not answer; they catch up at the next apply.
    """
    wanted = None if saved is None else read_plan(saved)
    world = open_world(settings)
    outcome = run_async(_apply(world, saved=wanted, yes=yes))
    if settings.json:
        print_document(outcome_document(outcome))
    elif not settings.quiet or outcome.failed or outcome.pending:
        show_outcome(outcome)
    if outcome.failed:
        return 1
    return 2 if outcome.pending else 0


async def _apply(world: World, *, saved: SavedPlan | None, yes: bool) -> Outcome:
    with Progress(quiet=world.settings.quiet) as progress:
        async with survey(world, yes=yes, progress=progress) as found:
            progress.pause()
            if _approve(found, saved=saved, yes=yes):
                progress("looking again")
                outcome = await _carry_out(await survey_again(found), progress)
            else:
                outcome = await _carry_out(found, progress)
    if not found.plan.empty:
        _note(world, outcome)
    return outcome


async def _carry_out(found: Survey, progress: Progress) -> Outcome:
    """Apply the plan; where it is empty only what is new in the lock is written."""
    known = seen_lock(found)
    if found.plan.empty:
        # A machine's key outranks the lock's, also where an apply that failed had written another one.
        write_lock(known.lock_path, known.lock.with_keys(keys_seen(found.seen)))
        return _nothing_to_do(found)
    return await apply(
        known.fleet,
        known.lock,
        found.seen,
        found.plan,
        found.crew,
        save=lambda lock: write_lock(known.lock_path, lock),
        progress=progress,
    )


def _note(world: World, outcome: Outcome) -> None:
    """Put it in the journal; that this fails must not hide what became of the machines."""
    directory = hidden_directory(world.fleet)
    try:
        write_journal(directory, outcome)
    except OSError as error:
        what = f"this apply is not in the journal: {error.strerror}"
        show_diagnostics([Diagnostic(what, where=str(directory), severity=Severity.WARNING)])


def _approve(found: Survey, *, saved: SavedPlan | None, yes: bool) -> bool:
    """Show the plan and ask for it; raise UserError unless it may be applied. Whether somebody was asked."""
    plan, settings = found.plan, found.world.settings
    if plan.refusals:
        raise UserError(plan.refusals)
    if not (settings.json or settings.quiet):
        show_plan(plan, every_peer=settings.verbose)
    if saved is not None:
        saved.require_same(plan)
    if plan.empty or yes or saved is not None:
        return False
    ask(f"Apply this to {count(sum(1 for node in plan.nodes if node.changes), 'node')}?", yes=False)
    return True


def _nothing_to_do(found: Survey) -> Outcome:
    unchanged = [NodeOutcome(node.name, Ending.UNCHANGED) for node in found.plan.nodes]
    waiting = [NodeOutcome(one.name, Ending.PENDING, one.what, one.hint) for one in found.plan.unreachable]
    return Outcome(found.world.lock.generation, tuple(unchanged + waiting))
