"""``wireloom coverage``: what encrypts each class of traffic, by which source, and what was proven."""

import click

from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.world import open_world


@click.command("coverage", cls=Verb)
@click.option(
    "--all", "every_column", is_flag=True, help="Show every way to run WireGuard, not only this fleet's."
)
@settings_of
def command(settings: Settings, every_column: bool) -> None:
    """Show what encrypts which traffic of this fleet, with sources, and what was proven here.

    From the fleet file and the verdicts of the last `verify`, without touching a machine.
    """
    from wireloom.cli.proofs import cover_fleet
    from wireloom.report.coverage import coverage_document, show_coverage
    from wireloom.report.documents import print_document

    world = open_world(settings, ahead=True)
    coverage = cover_fleet(world, every_column=every_column)
    if settings.json:
        print_document(coverage_document(world.fleet.name, coverage))
    elif not settings.quiet:
        show_coverage(coverage)
