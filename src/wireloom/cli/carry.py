"""What ``apply`` and ``rollback`` share: the plan is shown and approved, and its outcome told and noted."""

import asyncio
import contextlib
from collections.abc import Iterator

import click

from wireloom.apply.outcome import Ending, NodeOutcome, Outcome, left_out
from wireloom.cli.settings import Settings
from wireloom.cli.survey import Survey
from wireloom.cli.world import World, ask, hidden_directory
from wireloom.errors import Diagnostic, Severity, UserError
from wireloom.grammar import count
from wireloom.plan.plan import Plan
from wireloom.report.clusters import show_cluster_plan
from wireloom.report.documents import outcome_document, print_document
from wireloom.report.journal import write_journal
from wireloom.report.terminal import Progress, say, show_diagnostics, show_outcome, show_plan


def show(found: Survey, settings: Settings) -> None:
    """Show plans that may be carried out. Raises UserError for others."""
    if found.refusals:
        raise UserError(found.refusals)
    show_one(found.plan, settings, alone=found.k3s is None)
    if found.k3s and not (settings.json or settings.quiet):
        show_cluster_plan(found.cluster)


def show_one(plan: Plan, settings: Settings, *, source: str = "the fleet file", alone: bool = True) -> None:
    """Show a plan that may be carried out, and was made from ``source``. Raises UserError for another.

    Not ``alone``: that for k3s follows.
    """
    if plan.refusals:
        raise UserError(plan.refusals)
    if not (settings.json or settings.quiet):
        show_plan(plan, every_peer=settings.verbose, source=source, alone=alone)


def approve(nodes: int, what: str = "Apply this to") -> None:
    """Ask for it. Raises UserError unless the user says yes."""
    ask(f"{what} {count(nodes, 'node')}?", yes=False)


def nothing_to_do(plan: Plan, generation: int) -> Outcome:
    """Every node as it was, those that did not answer pending."""
    unchanged = [NodeOutcome(node.name, Ending.UNCHANGED) for node in plan.nodes]
    return Outcome(generation, (*unchanged, *left_out(plan)), plan.steps[1:])


def conclude(settings: Settings, outcome: Outcome) -> int:
    """Tell how it ended. 1: it failed; 2: nodes that did not answer, or steps, are left; 0: done."""
    if settings.json:
        print_document(outcome_document(outcome))
    elif not settings.quiet or outcome.failed or outcome.pending or outcome.steps_left:
        show_outcome(outcome)
    if outcome.failed:
        return 1
    return 2 if outcome.pending or outcome.steps_left else 0


@contextlib.contextmanager
def heard_out(progress: Progress, end: str) -> Iterator[None]:
    """Who interrupts what is inside is told how it ended: it has seen to that before it ends."""
    try:
        yield
    except asyncio.CancelledError:
        progress.pause()
        say(end)
        raise


TAKEN_BACK = "What was not confirmed is taken back; `wireloom plan` shows what is left to do."


def note(world: World, outcome: Outcome) -> None:
    """Put it in the journal; that this fails must not hide what became of the machines."""
    directory = hidden_directory(world.fleet)
    try:
        write_journal(directory, outcome)
    except OSError as error:
        what = f"this apply is not in the journal: {error.strerror}"
        show_diagnostics([Diagnostic(what, where=str(directory), severity=Severity.WARNING)])


yes_option = click.option(
    "-y", "--yes", is_flag=True, help="Ask nothing; accepts host keys at first contact, too."
)
