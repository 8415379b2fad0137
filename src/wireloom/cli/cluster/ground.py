"""What the verbs of ``wireloom k3s`` begin with: a fleet with a cluster, and a look at it."""

import contextlib
from collections.abc import AsyncIterator, Collection

from wireloom.cli.settings import Settings
from wireloom.cli.world import World, nonce, open_crew, open_world
from wireloom.cluster.look import look_cluster
from wireloom.cluster.seen import ClusterSeen
from wireloom.errors import UserError
from wireloom.grammar import count
from wireloom.intent.fleet import Kubernetes
from wireloom.report.terminal import Progress
from wireloom.transport.crew import Crew
from wireloom.values import NodeName


def open_cluster(settings: Settings) -> tuple[World, Kubernetes]:
    """The world of a fleet, and the cluster that wireloom makes of it. Raises UserError for another."""
    world = open_world(settings)
    return world, require_cluster(world)


def require_cluster(world: World) -> Kubernetes:
    """The cluster that wireloom makes of the fleet. Raises UserError where it makes none."""
    cluster = world.fleet.k3s
    if cluster is None:
        where = str(world.settings.fleet_path)
        hint = "`kubernetes: { version: v1.34.2+k3s1 }`, and `roles` on its nodes, make wireloom do it"
        raise UserError.one("wireloom makes no cluster of this fleet", where=where, hint=hint)
    return cluster


@contextlib.asynccontextmanager
async def visit_cluster(
    world: World, *, yes: bool, progress: Progress, also: Collection[NodeName] = ()
) -> AsyncIterator[tuple[Crew, ClusterSeen]]:
    """Look at k3s on every machine that can be dialled and has a role, or is among ``also``.

    The connections stay open inside.
    """
    if machines := _machines(world, also):
        progress(f"looking at k3s on {count(len(machines), 'machine')}")
    async with open_crew(world, yes=yes, progress=progress) as crew:
        yield crew, await look_cluster(crew, machines, nonce())


async def look_again(world: World, crew: Crew) -> ClusterSeen:
    """The same look at those with a role, over the connections that are open."""
    return await look_cluster(crew, _machines(world), nonce())


def _machines(world: World, also: Collection[NodeName] = ()) -> list[NodeName]:
    return [name for name in world.dialled if world.fleet.nodes[name].roles or name in also]
