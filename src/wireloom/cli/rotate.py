"""``wireloom rotate``: new keys, and no packet lost."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import click

from wireloom.apply.holding import holding
from wireloom.apply.rotation import find_obstacles
from wireloom.apply.script import Hand
from wireloom.apply.step import diagnose
from wireloom.apply.terms import Terms
from wireloom.cli.carry import heard_out, yes_option
from wireloom.cli.farewell import choose_nodes
from wireloom.cli.node_word import NodeWord
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.survey import plan_from, visit
from wireloom.cli.terms import with_terms
from wireloom.cli.turning import GO_ON, Turn
from wireloom.cli.world import World, ask, open_world, require_underlay, run_async
from wireloom.errors import Diagnostic, UserError
from wireloom.grammar import count
from wireloom.lock.footing import Footing
from wireloom.lock.lock import Lock
from wireloom.network.stand_in import relieved, stand_in_fleet, stand_in_name
from wireloom.network.topology import wanted_stance
from wireloom.observe.state import NodeState, Seen
from wireloom.report.documents import print_document, rotation_document
from wireloom.report.terminal import Progress, say
from wireloom.transport.crew import Crew
from wireloom.values import VXLAN_PORT, NodeName

LAST_PORT = 65535


@click.command("rotate", cls=Verb)
@click.argument("nodes", nargs=-1, type=NodeWord())
@click.option(
    "--port",
    type=click.IntRange(1, LAST_PORT),
    default=None,
    help="UDP port of the interface that stands in.  [default: the one after `port:`]",
)
@yes_option
@with_terms
@settings_of
def command(
    settings: Settings,
    *,
    nodes: tuple[str, ...],
    port: int | None,
    yes: bool,
    new_terms: Callable[[], Terms],
) -> int:
    """Give all nodes of the fleet new keys, or NODES, without a lost packet.

    While the keys are changed a second interface carries everything. It has keys of its own and another UDP
    port, which has to be open between the machines as the first one is; every pair of nodes must meet over it
    before anything takes it. All machines have to answer. What fails is taken back, and what was cut off goes
    on where it was: run this again.
    """
    world = open_world(settings)
    require_underlay(world, "the network plugin keeps keys of its own, and changes them by itself")
    chosen = choose_nodes(world, nodes, "only nodes of the fleet file can be given new keys")
    port = port or _next_port(world.fleet.underlay.port)
    taken = {
        world.fleet.underlay.port: f"{world.fleet.underlay.interface} itself",
        VXLAN_PORT: "VXLAN, which the guard drops",
    }
    if port in taken:
        raise UserError.one(f"{port} is the port of {taken[port]}", where="--port")
    lock, names = run_async(_rotate(world, chosen, port, new_terms, yes=yes))
    if settings.json:
        print_document(rotation_document(lock, names))
    elif not settings.quiet:
        keys = count(len(names), "node")
        say(f"Generation {lock.generation}: {keys} with new keys, by which every pair has met.")
    return 0


def _next_port(port: int) -> int:
    return port + 1 if port < LAST_PORT else port - 1


async def _rotate(
    world: World, chosen: Sequence[NodeName], port: int, new_terms: Callable[[], Terms], *, yes: bool
) -> tuple[Lock, list[NodeName]]:
    """The lock that is left, and who has new keys. Raises UserError for what was taken back, or is left."""
    with Progress(quiet=world.settings.quiet) as progress:
        async with visit(world, yes=yes, progress=progress) as (crew, seen):
            under_way = _is_under_way(world, seen)
            await _require_ready(world, crew, seen, under_way=under_way)
            turn = Turn(world, crew, port, new_terms, progress, set(chosen))
            await turn.recall()
            if not under_way:
                await turn.require_room()
            progress.pause()
            names = [name for name in world.fleet.nodes if name in turn.names | turn.left]
            _announce(turn, names, under_way=under_way)
            ask(f"Give {count(len(names), 'node')} new keys?", yes=yes)
            async with _alone(world, crew, new_terms()):
                with heard_out(progress, f"The rotation is not over: {GO_ON}."):
                    if not under_way:
                        await turn.forget()
                    await _turn(turn)
            return turn.world.lock, names


async def _turn(turn: Turn) -> None:
    """All steps. Before there are new keys, whatever fails is taken back."""
    if turn.left and not turn.led:  # every pair has met by those already: what is left is to tidy up
        with _told_to_go_on():
            await turn.stand_down()
        turn.names -= turn.left
        turn.left = set()
    if not turn.names:
        return
    try:
        await turn.stand_up()
        await turn.lead(over=True)
        await turn.rekey()
    except UserError as error:
        raise await _retreat(turn, error) from None
    with _told_to_go_on():
        await turn.lead(over=False)
        await turn.stand_down()


@contextmanager
def _told_to_go_on() -> Iterator[None]:
    try:
        yield
    except UserError as error:
        raise UserError([*error.diagnostics, Diagnostic("the rotation is not over", hint=GO_ON)]) from None


async def _retreat(turn: Turn, error: UserError) -> UserError:
    """Take a stand-in away again that failed to do its work; what is to be told of it."""
    stays = stand_in_name(turn.interface)
    if turn.changed:
        what = f"some nodes may have new keys: packets go on taking {stays}, by which all are in touch"
        return UserError([*error.diagnostics, Diagnostic(what, hint=GO_ON)])
    hint = f"{stays} is gone again, and no node has a new key"
    if not turn.led:
        hint = f"is UDP port {turn.port} open between the machines? {hint}"
    try:
        if turn.led:
            await turn.lead(over=False)
        await turn.stand_down()
    except UserError as second:
        what = f"{stays} could not be taken away again"
        return UserError([*error.diagnostics, *second.diagnostics, Diagnostic(what, hint=GO_ON)])
    return UserError(replace(one, hint=one.hint or hint) for one in error.diagnostics)


def _is_under_way(world: World, seen: Seen) -> bool:
    """Whether there is a stand-in on some machine, of a rotation that was cut off."""
    name, fleet = stand_in_name(world.fleet.underlay.interface), stand_in_fleet(world.fleet.name)
    reached = [state for state in seen.values() if isinstance(state, NodeState)]
    return any(name in state.others_of(fleet) for state in reached)


async def _require_ready(world: World, crew: Crew, seen: Seen, *, under_way: bool) -> None:
    """Raise UserError unless all machines answer, are as the fleet file says, and let a stand-in pass."""
    missing = [
        Diagnostic("no `ssh`: it can't be told of new keys", where=name, hint="give it one, or take it out")
        for name in world.fleet.nodes
        if name not in seen
    ]
    missing += [
        Diagnostic(state.what, where=name, hint=state.hint or "every node has to hear of new keys")
        for name, state in seen.items()
        if not isinstance(state, NodeState)
    ]
    if missing:
        raise UserError(missing)
    if under_way:
        footing = world.lock.footing
        if footing and footing != Footing.of(wanted_stance(world.fleet)):
            hint = "put the old `port` and ranges back until it is over: then apply changes them in steps"
            raise UserError.one("the fleet file has changed in the middle of a rotation", hint=hint)
        return
    found = await plan_from(world, crew, seen)
    if found.plan.refusals:
        raise UserError(found.plan.refusals)
    if not found.plan.empty and not await _has_begun(world, crew, seen):
        hint = "see `wireloom plan`; once `wireloom apply` has nothing left to do, run this again"
        raise UserError.one("the machines are not as the fleet file says", hint=hint)
    hand = Hand(world.fleet.underlay.interface, "", "", "")
    if obstacles := await find_obstacles(crew, hand, world.dialled, stand_in_name(hand.interface)):
        raise UserError(obstacles)


async def _has_begun(world: World, crew: Crew, seen: Seen) -> bool:
    """Whether all that the machines lack is what a rotation has changed before it was cut off."""
    return (await plan_from(replace(world, fleet=relieved(world.fleet)), crew, seen)).plan.empty


def _announce(turn: Turn, names: Sequence[NodeName], *, under_way: bool) -> None:
    if turn.world.settings.quiet:
        return
    if under_way:
        say("A rotation is under way on these machines: this goes on with it.")
    other, port = stand_in_name(turn.interface), turn.world.fleet.underlay.port
    say(
        f"While the keys of {', '.join(names)} change, packets take {other}, a second tunnel on UDP port"
        f" {turn.port}: it has to be open between the machines as {port} is."
    )


@asynccontextmanager
async def _alone(world: World, crew: Crew, terms: Terms) -> AsyncIterator[None]:
    """One rotation at a time: between its steps, too, when no apply holds the machines."""
    hand = Hand(f"{world.fleet.underlay.interface}.rotation", terms.id, terms.who, terms.when)
    async with holding(crew, hand, world.dialled) as answers:
        if troubles := diagnose(answers, "hold"):
            raise UserError(troubles)
        yield
