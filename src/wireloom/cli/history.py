"""``wireloom history``: the generations that the nodes keep."""

import click

from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.survey import visit
from wireloom.cli.world import World, open_world, run_async
from wireloom.errors import Diagnostic, Severity
from wireloom.observe.history import read_histories
from wireloom.observe.state import Generation, NodeState
from wireloom.report.documents import history_document, print_document
from wireloom.report.terminal import Progress, show_diagnostics, show_history
from wireloom.transport.port import TransportError
from wireloom.values import NodeName

Histories = dict[NodeName, list[Generation]]


@click.command("history", cls=Verb)
@click.option("-y", "--yes", is_flag=True, help="Accept host keys at first contact.")
@settings_of
def command(settings: Settings, yes: bool) -> int:
    """Show the last 50 generations that the nodes keep: who made them, when, and what changed.

    With -v what changed on each node, also where it was not the same on all. `wireloom rollback N` goes back
    to one of them.
    Exit code 1: some node could not be asked.
    """
    world = open_world(settings)
    histories, silent = run_async(_read(world, yes=yes))
    if settings.json:
        print_document(history_document(histories, silent))
    elif not settings.quiet:
        show_history(histories, every_node=settings.verbose)
    show_diagnostics(silent)
    return 1 if silent else 0


async def _read(world: World, *, yes: bool) -> tuple[Histories, list[Diagnostic]]:
    with Progress(quiet=world.settings.quiet) as progress:
        async with visit(world, yes=yes, progress=progress) as (crew, seen):
            reached = [name for name, state in seen.items() if isinstance(state, NodeState)]
            answers = await read_histories(crew, reached, world.fleet.underlay.interface)
    silent = [
        Diagnostic(state.what, where=str(name), hint=state.hint, severity=Severity.WARNING)
        for name, state in (*seen.items(), *answers.items())
        if not isinstance(state, NodeState | list)
    ]
    return {name: one for name, one in answers.items() if not isinstance(one, TransportError)}, silent
