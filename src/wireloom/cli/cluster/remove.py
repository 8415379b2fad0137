"""``wireloom k3s remove``: take one node out of the cluster."""

import click

from wireloom.apply.departure import Departure
from wireloom.apply.outcome import Ending
from wireloom.apply.removal import Way, leaving, remove_node
from wireloom.apply.terms import Terms
from wireloom.cli.carry import yes_option
from wireloom.cli.cluster.ground import look_again, open_cluster, visit_cluster
from wireloom.cli.farewell import conclude
from wireloom.cli.node_word import NodeWord
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.terms import Seconds, make_terms
from wireloom.cli.world import World, ask, run_async
from wireloom.cluster.removal import Removal, plan_removal
from wireloom.cluster.seen import ClusterSeen, K3sSeen
from wireloom.errors import UserError
from wireloom.report.terminal import Progress, say, show_diagnostics
from wireloom.values import NodeName


@click.command("remove", cls=Verb)
@click.argument("node", type=NodeWord())
@yes_option
@click.option(
    "--drain-within",
    "seconds",
    type=Seconds(),
    default="2m",
    show_default=True,
    help="How long its pods may take to go elsewhere; 5s to 60m.",
)
@click.option(
    "--force",
    is_flag=True,
    help="End also pods that nothing makes anew; take out a Ready node even if nobody can reach it.",
)
@click.option("--keep", is_flag=True, help="Only end k3s on its machine: its files and data stay.")
@settings_of
def command(settings: Settings, *, node: str, yes: bool, seconds: int, force: bool, keep: bool) -> int:
    """Take NODE out of the cluster: its pods go elsewhere, the cluster forgets it, its machine is cleaned.

    A server leaves etcd as well, and only if those that are left have a majority; the last one never leaves.
    A machine that does not answer is no hindrance: that is when one removes it. Each step can be taken
    again: after a failure, or Ctrl-C, the next run goes on from there.
    Exit code 2: done, but for its machine, which does not answer any more.
    """
    world, _ = open_cluster(settings)
    way = Way(seconds, force, keep)
    terms = make_terms(window=0, max_parallel=None)
    done = run_async(_remove(world, NodeName(node), way, terms, yes=yes))
    code = conclude(settings, [done])
    if code != 1 and node in world.fleet.nodes and not settings.quiet:
        say(f"Take {node} out of {settings.fleet_path}, or the next apply brings it back.")
    return code


async def _remove(world: World, name: NodeName, way: Way, terms: Terms, *, yes: bool) -> Departure:
    with Progress(quiet=world.settings.quiet) as progress:
        async with visit_cluster(world, yes=yes, progress=progress) as (crew, seen):
            removal = plan_removal(world.fleet, seen, name, force=way.force)
            progress.pause()
            _show(removal, way, world.settings)
            if removal.empty:
                return Departure(name, Ending.UNCHANGED, detail="it is not in the cluster")
            ask(f"Remove {name}?", yes=yes)
            machines = _machines(seen)
            interface = world.network.interface
            async with leaving(crew, terms, interface, world.fleet.name, machines) as (leave, missing):
                progress("looking again")
                now = plan_removal(world.fleet, await look_again(world, crew), name, force=way.force)
                if not now.same_as(removal):
                    hint = "nothing was changed: run this again"
                    raise UserError.one("the cluster has changed meanwhile", hint=hint)
                return await remove_node(leave, missing, now, way, progress)


def _machines(seen: ClusterSeen) -> list[NodeName]:
    """All that answered: nobody else shall change the cluster meanwhile, as by adding a server to it."""
    return [name for name, one in seen.nodes.items() if isinstance(one, K3sSeen)]


def _show(removal: Removal, way: Way, settings: Settings) -> None:
    if settings.quiet:
        return
    steps = [
        (removal.drain, f"its pods go elsewhere, within {way.seconds} s"),
        (removal.via, f"{removal.via} lets it go{', and etcd with it' if removal.voter else ''}"),
        (removal.machine, f"k3s on its machine is {'ended' if way.keep else 'taken away, with its data'}"),
    ]
    if not removal.empty:
        say(f"{removal.name} leaves the cluster: {'; '.join(words for due, words in steps if due)}.")
    show_diagnostics(removal.notes)
