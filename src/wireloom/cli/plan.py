"""``wireloom plan``: show what apply would do. Writes nothing but the file of ``-o``."""

import shlex
from pathlib import Path

import click

from wireloom.cli.settings import NamedPath, Settings, Verb, settings_of
from wireloom.cli.world import World, open_world, require_directory, run_async
from wireloom.plan.plan import Plan


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
    from wireloom.report.documents import plan_document, print_document
    from wireloom.report.terminal import say, show_diagnostics, show_plan, show_unreachable

    if output is not None:
        require_directory(output)
    world = open_world(settings)
    plan = run_async(_plan(world, yes=yes))
    if output is not None and not plan.refusals:
        from wireloom.cli.saved import save_plan

        save_plan(output, plan, plan_document(plan))
        if not settings.quiet:
            say(f"Saved: wireloom {settings.flags}apply {shlex.quote(str(output))}")
    if settings.json:
        print_document(plan_document(plan))
    elif settings.quiet:
        show_unreachable(plan.unreachable)
        show_diagnostics(plan.refusals)
    else:
        show_plan(plan, every_peer=settings.verbose)
    return exit_code(plan)


async def _plan(world: World, *, yes: bool) -> Plan:
    from wireloom.cli.survey import survey
    from wireloom.report.terminal import Progress

    with Progress(quiet=world.settings.quiet) as progress:
        async with survey(world, yes=yes, progress=progress) as found:
            return found.plan


def exit_code(plan: Plan) -> int:
    """1: refused, or nothing could be said of a node; 2: there are changes; 0: there are none."""
    if plan.refusals:
        return 1
    if not plan.empty:
        return 2
    return 1 if plan.unreachable else 0
