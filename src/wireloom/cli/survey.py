"""Look at the machines and plan: what ``plan``, ``apply`` and ``status`` begin with."""

import contextlib
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from wireloom.cli.world import World, ask, nonce, open_crew, with_lock
from wireloom.errors import UserError
from wireloom.grammar import count
from wireloom.network.network import Network
from wireloom.network.topology import wanted_stance, weave
from wireloom.observe.look import look
from wireloom.observe.state import Seen, Stranger
from wireloom.plan.digest import plan_digest
from wireloom.plan.fleet import keys_seen, make_plan
from wireloom.plan.footing import learn_footing
from wireloom.plan.plan import Plan
from wireloom.report.terminal import Progress, say
from wireloom.transport.crew import Crew
from wireloom.values import NodeName

INTRODUCTIONS = 3
"""Rounds of first contact: a jump host first, then who is behind it."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen, the network that follows from it, and the plan that leads there."""

    world: World
    crew: Crew
    seen: Seen
    network: Network
    plan: Plan


@contextlib.asynccontextmanager
async def survey(world: World, *, yes: bool, progress: Progress) -> AsyncIterator[Survey]:
    """Look at every machine and plan; the connections stay open inside of the ``async with``."""
    async with visit(world, yes=yes, progress=progress) as (crew, seen):
        yield _plan(world, crew, seen)


async def survey_again(before: Survey) -> Survey:
    """Look again over the open connections. Raises UserError unless the plan is what it was."""
    now = _plan(before.world, before.crew, await look_around(before.world, before.crew))
    if now.plan.refusals:
        raise UserError(now.plan.refusals)
    if plan_digest(now.plan) != plan_digest(before.plan):
        hint = "nothing was changed: plan again"
        raise UserError.one("the machines have changed while you were asked", hint=hint)
    return now


async def survey_next(before: Survey, world: World) -> Survey:
    """Look again, and plan what follows on an apply. ``world`` has the lock that it has left."""
    return _plan(world, before.crew, await look_around(world, before.crew))


def _plan(world: World, crew: Crew, seen: Seen) -> Survey:
    world = with_lock(world, learn_footing(world.lock, seen, wanted_stance(world.fleet)))
    network = weave(world.fleet, world.lock.with_keys(keys_seen(seen)))
    return Survey(world, crew, seen, network, make_plan(world.fleet, world.lock, network, seen))


async def look_around(world: World, crew: Crew, *, only: Iterable[NodeName] | None = None) -> Seen:
    """Look at every machine, or at these only, over the connections that are open; dials where none is."""
    underlay = world.fleet.underlay
    nodes = world.dialled if only is None else only
    return await look(crew, nodes, underlay.interface, nonce(), port=underlay.port)


@contextlib.asynccontextmanager
async def visit(world: World, *, yes: bool, progress: Progress) -> AsyncIterator[tuple[Crew, Seen]]:
    """Dial every machine and look at it; host keys at first contact are shown and asked about."""
    progress(f"looking at {count(len(world.dialled), 'machine')}")
    vouched: dict[NodeName, str] = {}
    for _ in range(INTRODUCTIONS):
        async with open_crew(world, yes=yes, progress=progress, vouched=vouched) as crew:
            seen = await look_around(world, crew)
            strangers = {one.shown_by: one for one in seen.values() if isinstance(one, Stranger)}
            if not strangers or not sys.stdin.isatty():
                yield crew, seen
                return
        progress.pause()
        _introduce(list(strangers.values()))
        vouched |= {name: one.host_key for name, one in strangers.items()}
    async with open_crew(world, yes=False, progress=progress, vouched=vouched) as crew:
        yield crew, await look_around(world, crew)


def _introduce(strangers: list[Stranger]) -> None:
    say("First contact: nobody has vouched for these machines' host keys yet.")
    for one in strangers:
        say(f"  {one.shown_by}  {one.host_key.split()[0]}  {one.fingerprint}")
    ask("Are these keys theirs?", yes=False)


def seen_lock(found: Survey) -> World:
    """The world whose lock has the host keys of the machines that were dialled."""
    return with_lock(found.world, found.world.lock.with_host_keys(found.crew.host_keys))
