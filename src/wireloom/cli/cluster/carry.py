"""What ``apply`` and ``k3s up`` share: k3s is brought to what the fleet file says."""

from dataclasses import replace

from wireloom.apply.gate import Gate
from wireloom.apply.gated import carry_out_cluster
from wireloom.apply.k3s import K3sHand
from wireloom.apply.outcome import Ending, NodeOutcome
from wireloom.apply.terms import Terms
from wireloom.cli.carry import heard_out
from wireloom.cli.supply import Supply, gather_goods
from wireloom.cli.survey import Survey, look_at_cluster, plan_cluster
from wireloom.cli.world import with_lock
from wireloom.lock.file import write_lock
from wireloom.observe.state import Unreachable
from wireloom.report.terminal import Progress
from wireloom.values import NodeName


def vouch(found: Survey, supply: Supply) -> Survey:
    """The same survey with the digests in its lock of all that is to be fetched. Raises UserError.

    It is asked for before anything is begun: what can't be had is told while everything is as it was.
    """
    cluster = found.world.fleet.k3s
    if cluster is None or found.k3s is None:
        return found
    _, lock = gather_goods(supply, cluster, found.cluster, found.k3s, found.world.lock)
    return replace(found, world=with_lock(found.world, lock))


async def raise_cluster(
    found: Survey, terms: Terms, supply: Supply, progress: Progress
) -> tuple[NodeOutcome, ...]:
    """Bring k3s to every machine that answered, over the network as it is. Raises UserError.

    The plan is made again: what comes before it in an apply takes its time.
    """
    world, cluster = found.world, found.world.fleet.k3s
    if cluster is None or found.k3s is None:
        return ()
    away = tuple(
        NodeOutcome(name, Ending.PENDING, one.what, one.hint)
        for name, one in found.k3s.nodes.items()
        if isinstance(one, Unreachable)
    )
    if found.cluster.empty:
        return (*(NodeOutcome(one.name, Ending.UNCHANGED) for one in found.cluster.nodes), *away)
    progress("looking at k3s again")
    seen = await look_at_cluster(world, found.crew, found.seen)
    assert seen is not None  # noqa: S101  # it was there
    plan = plan_cluster(replace(found, k3s=seen))
    if plan.refusals:
        # By now the network is applied: what became of that is told beside this.
        refused = (
            NodeOutcome(NodeName(one.where), Ending.FAILED, one.what, one.hint) for one in plan.refusals
        )
        return (*refused, *away)
    goods, lock = gather_goods(supply, cluster, plan, seen, world.lock)
    write_lock(world.lock_path, lock)
    embedded = cluster.datastore == "embedded"
    with heard_out(progress, "Nothing of k3s is taken back: the next apply goes on from where it stands."):
        done = await carry_out_cluster(
            plan,
            found.crew,
            terms,
            goods,
            interface=found.network.interface,
            gate=Gate(found.crew, K3sHand(), supply.ready_within, embedded=embedded),
            progress=progress,
        )
    return (*done, *away)
