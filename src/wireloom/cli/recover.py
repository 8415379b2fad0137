"""``wireloom recover``: a lock that was lost, made anew."""

import click

from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.survey import visit
from wireloom.cli.world import World, open_world, require_underlay, run_async
from wireloom.errors import Diagnostic, Severity, UserError
from wireloom.grammar import count
from wireloom.lock.allot import allot
from wireloom.lock.file import check_lock, write_lock
from wireloom.lock.lock import Lock, LockedNode
from wireloom.network.topology import wanted_stance
from wireloom.observe.state import NodeState, Seen
from wireloom.plan.footing import learn_footing
from wireloom.plan.recovery import recover_lock
from wireloom.report.documents import print_document, recovery_document
from wireloom.report.terminal import Progress, say, show_diagnostics
from wireloom.values import NodeName


@click.command("recover", cls=Verb)
@click.option("-y", "--yes", is_flag=True, help="Accept host keys at first contact.")
@settings_of
def command(settings: Settings, yes: bool) -> int:
    """Make fleet.lock anew where it is lost, from what the machines have. Nothing on them is changed.

    Of a node that does not answer the files of the others tell. What only the lock knew is gone: the host
    keys of these, what was fetched as k3s, and addresses kept for nodes that have left.
    """
    world = open_world(settings)
    require_underlay(world, "what the lock has of such a fleet comes back by itself")
    if world.lock_path.exists():
        hint = "this is for one that is lost: move it away first, if it is to be made anew"
        raise UserError.one("it is there", where=str(world.lock_path), hint=hint)
    lock, seen = run_async(_recover(world, yes=yes))
    check_lock(lock, world.lock_path)
    write_lock(world.lock_path, lock)
    unseen = {name: node for name, node in lock.members.items() if not isinstance(seen.get(name), NodeState)}
    unknown = [name for name, node in unseen.items() if node.public_key is None]
    if settings.json:
        print_document(recovery_document(lock, unseen, unknown))
    elif not settings.quiet:
        known = count(len(lock.members) - len(unknown), "node")
        say(f"{world.lock_path} has generation {lock.generation} and {known} again. Next: wireloom plan")
    show_diagnostics(_tell(name, node) for name, node in unseen.items())
    return 0


async def _recover(world: World, *, yes: bool) -> tuple[Lock, Seen]:
    with Progress(quiet=world.settings.quiet) as progress:
        async with visit(world, yes=yes, progress=progress) as (crew, seen):
            lock = allot(world.fleet, recover_lock(world.fleet.name, seen))
            lock = learn_footing(lock, seen, wanted_stance(world.fleet))
            return lock.with_host_keys(crew.host_keys), seen


def _tell(name: NodeName, node: LockedNode) -> Diagnostic:
    if node.public_key is None:
        what = "it was not seen, and nobody knows it: it gets addresses as a new node does"
        hint = "where it has others, move the lock away, and run this again once it answers"
    else:
        addresses = ", ".join(map(str, node.addresses))
        what = f"it was not seen: {addresses} and its key are what others have of it"
        hint = ""
    return Diagnostic(what, where=name, hint=hint, severity=Severity.WARNING)
