"""``wireloom k3s status``: the cluster's nodes, as wanted and as they are."""

import click

from wireloom.cli.cluster.ground import open_cluster, visit_cluster
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.world import World, run_async
from wireloom.cluster.roster import Roster, take_roster
from wireloom.intent.fleet import Kubernetes
from wireloom.report.documents import print_document
from wireloom.report.roster import roster_document, show_roster
from wireloom.report.terminal import Progress


@click.command("status", cls=Verb)
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; accepts host keys at first contact.")
@settings_of
def command(settings: Settings, yes: bool) -> int:
    """Show every node of the cluster: k3s on the machine, and what a server tells of it.

    Below the table is what is not as the fleet file says, who votes in etcd, and what encrypts.
    With -q only what is wrong. Exit code 1: a machine could not be looked at, or no server could tell.
    """
    roster = run_async(_look(*open_cluster(settings), yes=yes))
    if settings.json:
        print_document(roster_document(roster))
    else:
        show_roster(roster, quiet=settings.quiet)
    return 0 if roster.whole else 1


async def _look(world: World, cluster: Kubernetes, *, yes: bool) -> Roster:
    with Progress(quiet=world.settings.quiet) as progress:
        async with visit_cluster(world, yes=yes, progress=progress) as (_, seen):
            return take_roster(world.fleet, cluster, world.network, seen)
