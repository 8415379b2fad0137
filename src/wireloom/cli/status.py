"""``wireloom status``: every node's interface and peers, once or again and again."""

import time

import click

from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.survey import visit
from wireloom.cli.world import World, open_world, run_async
from wireloom.report.documents import print_document, status_document
from wireloom.report.standing import NodeStanding, take_standing
from wireloom.report.status import StatusView, show_status
from wireloom.report.terminal import Progress, can_redraw, say

PAUSE = 2.0
"""Seconds between two looks of ``--watch``."""


@click.command("status", cls=Verb)
@click.option("-w", "--watch", is_flag=True, help="Look again every two seconds, until Ctrl-C.")
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; accepts host keys at first contact.")
@settings_of
def command(settings: Settings, watch: bool, yes: bool) -> int:
    """Show every node: interface, peers with a live session, traffic, generation.

    With -q only the nodes that something is wrong with. Exit code 1: some node could not be looked at.
    """
    world = open_world(settings)
    if watch:
        return _watch(world, yes=yes)
    standings = run_async(_look(world, yes=yes))
    _show(world, standings)
    return _exit_code(standings)


async def _look(world: World, *, yes: bool, quiet: bool = False) -> list[NodeStanding]:
    with Progress(quiet=world.settings.quiet or quiet) as progress:
        async with visit(world, yes=yes, progress=progress) as (_, seen):
            return list(take_standing(world.network, seen))


def _show(world: World, standings: list[NodeStanding]) -> None:
    if world.settings.json:
        print_document(status_document(standings))
        return
    chosen = _chosen(world, standings)
    if chosen or not world.settings.quiet:
        show_status(chosen)
    if not (world.fleet.has_underlay or world.settings.quiet):
        shown = ": `wireloom k3s status` shows the cluster" if world.fleet.k3s else ""
        say(f"No underlay is wanted (`encrypt: cni`){shown}.")


def _chosen(world: World, standings: list[NodeStanding]) -> list[NodeStanding]:
    """With -q those that something is wrong with; where no underlay is wanted, none is missed."""
    if not world.settings.quiet:
        return standings
    if not world.fleet.has_underlay:
        return [one for one in standings if one.state == "unreachable"]
    return [one for one in standings if one.went_wrong]


def _watch(world: World, *, yes: bool) -> int:
    """A table that renews itself on a terminal; elsewhere one table, or document, after the other."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    standings = run_async(_look(world, yes=yes))
    if world.settings.json or not can_redraw(console):
        while True:
            _show(world, standings)
            time.sleep(PAUSE)
            standings = run_async(_look(world, yes=yes, quiet=True))
    with Live(StatusView(_chosen(world, standings)), console=console, auto_refresh=False) as live:
        while True:
            live.update(StatusView(_chosen(world, standings)), refresh=True)
            time.sleep(PAUSE)
            standings = run_async(_look(world, yes=yes, quiet=True))


def _exit_code(standings: list[NodeStanding]) -> int:
    return 1 if any(one.state == "unreachable" for one in standings) else 0
