"""``wireloom plan``: show what apply would do. Writes nothing but the file of ``-o``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wireloom.cli.settings import NamedPath, Settings, Verb, settings_of
from wireloom.cli.world import World, open_world, require_directory, run_async

if TYPE_CHECKING:
    from wireloom.cli.survey import Survey


@click.command("plan", cls=Verb)
@click.option(
    "-o", "--output", type=NamedPath(path_type=Path, dir_okay=False), help="Save the plan for apply."
)
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; accepts host keys at first contact.")
@settings_of
def command(settings: Settings, output: Path | None, yes: bool) -> int:
    """Show what apply would do: every file, peer, route and unit, and why.

    A node that does not answer stays as it is, and its peers keep it. Exit code 2: there are changes;
    1: there are none as far as can be seen, but some node did not answer. With -q the exit code is the
    answer, and only what went wrong is told.
    """
    from wireloom.report.clusters import show_cluster_plan
    from wireloom.report.documents import plan_document, print_document
    from wireloom.report.terminal import say, show_diagnostics, show_plan, show_unreachable

    if output is not None:
        require_directory(output)
    world = open_world(settings)
    found = run_async(_look(world, yes=yes))
    document = plan_document(found.plan, found.cluster if found.k3s else None)
    if output is not None and not found.refusals:
        from wireloom.cli.saved import save_plan

        save_plan(output, found.digest, document)
        if not settings.quiet:
            say(f"Saved: wireloom apply {shlex.quote(str(output))}")
    if settings.json:
        print_document(document)
    elif settings.quiet:
        show_unreachable(found.plan.unreachable)
        show_diagnostics(found.refusals)
    else:
        show_plan(found.plan, every_peer=settings.verbose, alone=found.k3s is None)
        if found.k3s:
            show_cluster_plan(found.cluster)
    return exit_code(found)


async def _look(world: World, *, yes: bool) -> "Survey":
    from wireloom.cli.survey import survey
    from wireloom.report.terminal import Progress

    with Progress(quiet=world.settings.quiet) as progress:
        async with survey(world, yes=yes, progress=progress) as found:
            return found


def exit_code(found: "Survey") -> int:
    """1: refused, or nothing could be said of a node; 2: there are changes; 0: there are none."""
    if found.refusals:
        return 1
    if not found.empty:
        return 2
    return 1 if found.plan.unreachable else 0
