"""Look at the machines and plan: what ``plan``, ``apply`` and ``status`` begin with."""

import contextlib
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace

from wireloom.cli.world import World, ask, nonce, open_crew, with_lock
from wireloom.cluster.digest import digest_plans
from wireloom.cluster.findings import inspect_cluster
from wireloom.cluster.fleet import learn_pods, make_cluster_plan
from wireloom.cluster.look import look_cluster
from wireloom.cluster.plan import ClusterPlan
from wireloom.cluster.seen import ClusterSeen
from wireloom.cluster.standing import cluster_nodes
from wireloom.errors import Diagnostic, UserError
from wireloom.grammar import count
from wireloom.network.network import Network
from wireloom.network.topology import wanted_stance, weave
from wireloom.observe.look import look
from wireloom.observe.state import NodeState, Seen, Stranger, Unreachable
from wireloom.plan.fleet import keys_seen, leave_alone, make_plan
from wireloom.plan.footing import learn_footing
from wireloom.plan.plan import Plan
from wireloom.report.terminal import Progress, say
from wireloom.transport.crew import Crew
from wireloom.values import NodeName

INTRODUCTIONS = 3
"""Rounds of first contact: a jump host first, then who is behind it."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen, the network that follows from it, and the plan that leads there.

    ``k3s`` is what was seen of it, and ``cluster`` the plan for it: None, and empty, where wireloom makes no
    cluster.
    """

    world: World
    crew: Crew
    seen: Seen
    network: Network
    plan: Plan
    k3s: ClusterSeen | None = None
    cluster: ClusterPlan = field(default_factory=ClusterPlan)

    @property
    def empty(self) -> bool:
        """Nothing to do, on any machine that could be looked at."""
        return self.plan.empty and self.cluster.empty

    @property
    def changing(self) -> frozenset[NodeName]:
        """The nodes that have something to do, in the network or in the cluster."""
        network = {one.name for one in self.plan.nodes if one.changes}
        return frozenset(network | {one.name for one in self.cluster.nodes if one.changes})

    @property
    def refusals(self) -> tuple[Diagnostic, ...]:
        """Reasons not to begin at all."""
        return (*self.plan.refusals, *self.cluster.refusals)

    @property
    def digest(self) -> str:
        """One name for all that would be done."""
        return digest_plans(self.plan, self.cluster)


@contextlib.asynccontextmanager
async def survey(world: World, *, yes: bool, progress: Progress) -> AsyncIterator[Survey]:
    """Look at every machine and plan; the connections stay open inside of the ``async with``."""
    async with visit(world, yes=yes, progress=progress) as (crew, seen):
        yield await plan_from(world, crew, seen)


async def survey_again(before: Survey) -> Survey:
    """Look again over the open connections. Raises UserError unless the plan is what it was."""
    now = await survey_next(before, before.world)
    if now.refusals:
        raise UserError(now.refusals)
    if now.digest != before.digest:
        hint = "nothing was changed: plan again"
        raise UserError.one("the machines have changed while you were asked", hint=hint)
    return now


async def survey_next(before: Survey, world: World) -> Survey:
    """Look again, and plan what follows on an apply. ``world`` has the lock that it has left."""
    return await survey_over(before.crew, world)


async def survey_over(crew: Crew, world: World) -> Survey:
    """Look, over connections that are open, and plan."""
    return await plan_from(world, crew, await look_around(world, crew))


async def plan_from(world: World, crew: Crew, seen: Seen) -> Survey:
    """Plan by what was seen of the machines; k3s is looked at, too."""
    k3s = await look_at_cluster(world, crew, seen)
    lock = learn_footing(world.lock, seen, wanted_stance(world.fleet))
    world = with_lock(world, learn_pods(world.fleet, lock, k3s) if k3s else lock)
    network = weave(world.fleet, world.lock.with_keys(keys_seen(seen)))
    built = world.fleet.has_underlay
    plan = (
        make_plan(world.fleet, world.lock, network, seen)
        if built
        else leave_alone(world.fleet, world.lock, seen)
    )
    found = Survey(world, crew, seen, network, plan, k3s)
    return replace(found, cluster=plan_cluster(found)) if k3s else found


async def look_at_cluster(world: World, crew: Crew, seen: Seen) -> ClusterSeen | None:
    """Look at k3s on the machines that have a role and answered; None where wireloom makes no cluster."""
    if world.fleet.k3s is None:
        return None
    roles = cluster_nodes(world.fleet)
    reached = [name for name in roles if isinstance(seen.get(name), NodeState)]
    found = await look_cluster(crew, reached, nonce())
    away = {name: one for name in roles if isinstance(one := seen.get(name), Unreachable)}
    return replace(found, nodes={**found.nodes, **away})


def plan_cluster(found: Survey) -> ClusterPlan:
    """What k3s needs, by what was seen of it."""
    assert found.k3s is not None  # noqa: S101  # the caller asks where it is
    fleet, network = found.world.fleet, found.network
    devices = {
        name: {one.address.ip: one.device for one in state.ground.addresses}
        for name, state in found.seen.items()
        if isinstance(state, NodeState)
    }
    findings = inspect_cluster(fleet, network, found.k3s)
    return make_cluster_plan(fleet, network, found.k3s, findings, devices)


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
        with progress.interrupted():
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
