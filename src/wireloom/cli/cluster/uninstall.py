"""``wireloom k3s uninstall``: take k3s off the machines, and all that it left."""

from collections.abc import Collection

import click

from wireloom.apply.departure import Departure
from wireloom.apply.outcome import Ending
from wireloom.apply.removal import leaving, uninstall
from wireloom.apply.terms import Terms
from wireloom.cli.cluster.ground import visit_cluster
from wireloom.cli.farewell import (
    choose_nodes,
    conclude,
    confirm,
    not_asked,
    require_name,
    told_to_go_on,
    with_fleet_name,
)
from wireloom.cli.node_word import NodeWord
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.terms import make_terms
from wireloom.cli.world import World, open_world, run_async
from wireloom.cluster.removal import is_ours, refuse_uninstall, whose_else
from wireloom.cluster.seen import ClusterSeen, K3sSeen
from wireloom.errors import UserError
from wireloom.grammar import count
from wireloom.intent.fleet import Fleet
from wireloom.report.terminal import Progress, say
from wireloom.values import NodeName


@click.command("uninstall", cls=Verb)
@click.argument("nodes", nargs=-1, type=NodeWord())
@with_fleet_name
@settings_of
def command(settings: Settings, *, nodes: tuple[str, ...], said: str | None, yes: bool) -> int:
    """Take k3s off all machines of the fleet, or off NODES: pods, volumes, settings and tokens with it.

    It asks for the fleet's name, and is refused where the fleet file says `protected: true`. Only what
    wireloom has installed is touched; the underlay stays. A node of a cluster that goes on is taken out by
    `remove`.
    Exit code 2: done, but for machines that did not answer.
    """
    world = open_world(settings)
    chosen = choose_nodes(world, nodes, "see: wireloom k3s status")
    if refusals := refuse_uninstall(world.fleet, chosen):
        raise UserError(refusals)
    require_name(world, said)
    terms = make_terms(window=0, max_parallel=None)
    departures = run_async(_uninstall(world, chosen, terms, said, yes=yes))
    code = conclude(settings, departures)
    gone = any(one.ending is Ending.CHANGED for one in departures)
    if gone and code != 1 and world.fleet.k3s and not settings.quiet:
        say(f"Take `version` out of {settings.fleet_path}, or the next apply brings k3s back.")
    return code


async def _uninstall(
    world: World, chosen: Collection[NodeName], terms: Terms, said: str | None, *, yes: bool
) -> tuple[Departure, ...]:
    """What became of each of them. Where there is nothing to take away nothing is asked, and nothing sent."""
    with Progress(quiet=world.settings.quiet) as progress:
        async with visit_cluster(world, yes=yes, progress=progress, also=chosen) as (crew, seen):
            if refusals := refuse_uninstall(world.fleet, chosen, seen):
                raise UserError(refusals)
            machines = [name for name in chosen if is_ours(world.fleet, seen.machine(name))]
            done = {name: _left_alone(world.fleet, name, seen) for name in chosen if name not in machines}
            if machines:
                progress.pause()
                names = ", ".join(machines)
                goes = f"k3s goes off {names}: pods, what the cluster knows, and what local volumes hold."
                stays = " The encrypted network stays." if world.fleet.has_underlay else ""
                confirm(world, goes, done.values(), said, stays=stays)
                progress(f"taking k3s off {count(len(machines), 'machine')}")
                held = leaving(crew, terms, world.network.interface, world.fleet.name, machines)
                with told_to_go_on():
                    async with held as (leave, missing):
                        gone = await uninstall(leave, missing, machines)
                done |= {one.name: one for one in gone}
            return tuple(done[name] for name in chosen)


def _left_alone(fleet: Fleet, name: NodeName, seen: ClusterSeen) -> Departure:
    """Why nothing is taken away from a machine."""
    state = seen.nodes.get(name)
    if not isinstance(state, K3sSeen):
        return not_asked(name, state) or Departure(name, Ending.UNCHANGED)
    if whose := whose_else(fleet, state):
        return Departure(name, Ending.FAILED, detail=f"its k3s is {whose}: not touched")
    return Departure(name, Ending.UNCHANGED)
