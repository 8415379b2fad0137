"""One apply of the network after the other, as long as there is a next one."""

from collections.abc import Callable

from wireloom.apply.engine import carry_out
from wireloom.apply.enrol import enrol
from wireloom.apply.outcome import Outcome
from wireloom.apply.terms import Terms
from wireloom.cli.carry import TAKEN_BACK, heard_out, note, nothing_to_do, show_one
from wireloom.cli.survey import Survey, seen_lock, survey_next
from wireloom.cli.world import World, with_lock
from wireloom.grammar import count
from wireloom.lock.file import write_lock
from wireloom.lock.footing import Footing
from wireloom.lock.lock import Lock
from wireloom.plan.fleet import keys_seen
from wireloom.report.terminal import Progress

MOST_STEPS = 10
"""Another port takes three, and one more where a peer was last heard from the old one."""


async def walk(
    found: Survey, new_terms: Callable[[], Terms], progress: Progress, *, interrupted: str = TAKEN_BACK
) -> tuple[Outcome, World]:
    """Apply the plan, and the steps that follow on it, as long as every node has taken the one before.

    ``interrupted``: what is said to who interrupts it.
    """
    outcome, world = await _carry_out(found, new_terms(), progress, interrupted)
    for _ in range(MOST_STEPS):
        if outcome.failed or outcome.pending or not outcome.steps_left:
            break
        progress("looking again")
        following = await survey_next(found, world)
        progress.pause()
        show_one(following.plan, world.settings)
        outcome, world = await _carry_out(following, new_terms(), progress, interrupted)
    return outcome, world


async def let_pods_through(
    found: Survey, before: Outcome, new_terms: Callable[[], Terms], progress: Progress
) -> Outcome:
    """Under host-gw tunnels carry pods by their own addresses, whose ranges the cluster has just given out.

    The outcome of that apply; ``before``, where there is nothing of it to do.
    """
    cluster = found.world.fleet.k3s
    if cluster is None or not cluster.routes_pods:
        return before
    progress("looking for the ranges of pods")
    following = await survey_next(found, found.world)
    if following.plan.empty or following.plan.refusals:
        return before
    progress.pause()
    show_one(following.plan, found.world.settings)
    outcome, _ = await walk(following, new_terms, progress)
    return outcome


async def _carry_out(
    found: Survey, terms: Terms, progress: Progress, interrupted: str
) -> tuple[Outcome, World]:
    """Apply the plan; where it is empty only what is new in the lock is written. Then, the lock as it is."""
    known = seen_lock(found)
    if not found.world.fleet.has_underlay:
        return nothing_to_do(found.plan, known.lock.generation), _write(known, known.lock)
    if found.plan.empty:
        # A machine's key outranks the lock's, also where an apply that failed had written another one.
        outcome = nothing_to_do(found.plan, known.lock.generation)
        return outcome, _write(known, known.lock.with_keys(keys_seen(found.seen)))
    makers = sum(node.make_key for node in found.plan.nodes)
    if makers:
        progress(f"making keys on {count(makers, 'node')}")
    order = await enrol(known.fleet, known.lock, found.seen, found.plan, found.crew)
    with heard_out(progress, interrupted):
        outcome = await carry_out(
            order, found.crew, terms, save=lambda lock: _write(known, lock), progress=progress
        )
    note(known, outcome)
    if outcome.failed or outcome.pending or outcome.steps_left:
        return outcome, with_lock(known, order.lock)
    return outcome, _write(known, order.lock.on(Footing.of(found.network.stance)))


def _write(world: World, lock: Lock) -> World:
    write_lock(world.lock_path, lock)
    return with_lock(world, lock)
