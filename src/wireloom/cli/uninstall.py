"""``wireloom uninstall``: the encrypted network comes off its machines."""

from collections.abc import Collection, Iterator

import click

from wireloom.apply.departure import Departure
from wireloom.apply.outcome import Ending
from wireloom.apply.teardown import tear_down
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
from wireloom.cli.survey import visit
from wireloom.cli.terms import make_terms
from wireloom.cli.world import World, nonce, open_world, run_async
from wireloom.cluster.look import look_cluster
from wireloom.cluster.removal import refuse_teardown
from wireloom.errors import Diagnostic, UserError
from wireloom.grammar import count
from wireloom.intent.fleet import Fleet
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.observe.state import NodeState, Seen, Unreachable
from wireloom.plan.teardown import Teardown, find_obstacle, plan_teardown, refuse_way, tell_key
from wireloom.render.unit import rides
from wireloom.report.terminal import Progress, say
from wireloom.transport.crew import Crew
from wireloom.values import NodeName


@click.command("uninstall", cls=Verb)
@click.argument("nodes", nargs=-1, type=NodeWord())
@with_fleet_name
@settings_of
def command(settings: Settings, *, nodes: tuple[str, ...], said: str | None, yes: bool) -> int:
    """Take the encrypted network off all machines of the fleet, or off NODES: interface, files and keys.

    It asks for the fleet's name, and is refused where k3s rides on the network, or your own way to a machine
    does. Only what wireloom has put there is touched, and nothing of another fleet's.
    Exit code 2: done, but for machines that did not answer.
    """
    world = open_world(settings)
    chosen = choose_nodes(world, nodes, "of one that has left the file: put its line back first")
    require_name(world, said)
    departures = run_async(_uninstall(world, chosen, said, yes=yes))
    code = conclude(settings, departures)
    gone = [one.name for one in departures if one.ending is Ending.CHANGED]
    if gone and world.fleet.has_underlay and not settings.quiet:
        way = f"Take {', '.join(gone)} out of {settings.fleet_path}, or the next" if nodes else "The next"
        say(f"{way} apply brings it back.")
    return code


async def _uninstall(
    world: World, chosen: Collection[NodeName], said: str | None, *, yes: bool
) -> tuple[Departure, ...]:
    """What became of each of them. Where nothing is there nothing is asked, and nothing sent."""
    network = world.network
    interface = network.interface
    with Progress(quiet=world.settings.quiet) as progress:
        async with visit(world, yes=yes, progress=progress) as (crew, seen):
            found = {name: _judge(network, world.lock, name, seen.get(name)) for name in chosen}
            teardowns = {name: one for name, one in found.items() if isinstance(one, Teardown)}
            done = {name: one for name, one in found.items() if isinstance(one, Departure)}
            refusals = list(refuse_way(network, seen, teardowns))
            refusals += await _refuse_riders(world.fleet, crew, teardowns, seen)
            if refusals:
                raise UserError(refusals)
            if teardowns:
                progress.pause()
                names = ", ".join(teardowns)
                goes = f"{interface} goes off {names}, with keys and history: it encrypts nothing any more."
                confirm(world, goes, done.values(), said)
                progress(f"taking {interface} off {count(len(teardowns), 'machine')}")
                terms = make_terms(window=0, max_parallel=None)
                with told_to_go_on():
                    done |= await tear_down(crew, terms, interface, teardowns)
            return tuple(done[name] for name in chosen)


def _judge(
    network: Network, lock: Lock, name: NodeName, state: NodeState | Unreachable | None
) -> Teardown | Departure:
    """What is taken off a machine, or why nothing is."""
    if not isinstance(state, NodeState):
        return not_asked(name, state) or Departure(name, Ending.UNCHANGED)
    if obstacle := find_obstacle(network, lock, state):
        return Departure(name, Ending.FAILED, detail=f"{obstacle.what}: not touched", hint=obstacle.hint)
    teardown = plan_teardown(network, lock, state)
    return teardown or Departure(name, Ending.UNCHANGED, detail=tell_key(network, state))


async def _refuse_riders(
    fleet: Fleet, crew: Crew, going: Collection[NodeName], seen: Seen
) -> Iterator[Diagnostic]:
    """Where k3s would lose the network."""
    riders = [name for name in going if _may_ride(fleet, name, seen)]
    return refuse_teardown(fleet, await look_cluster(crew, going, nonce()), riders)


def _may_ride(fleet: Fleet, name: NodeName, seen: Seen) -> bool:
    """Whether k3s, where it is, uses the network: by the fleet file, or by what the last apply made."""
    state = seen.get(name)
    drop_in = state.drop_in if isinstance(state, NodeState) else None
    return (fleet.has_underlay and bool(fleet.nodes[name].roles)) or rides(drop_in or "")
