"""The table of the guard, and of another port that is heard, wanted against seen."""

from collections.abc import Iterator

from wireloom.observe.state import GuardKind, NodeState
from wireloom.plan.plan import Action, Change
from wireloom.render.desired import NodeDesired
from wireloom.render.guard import REMOVE, TABLE
from wireloom.render.hearing import find_other_port

GUARD = f"table {TABLE}"
"""What the guard is called in a plan."""


def plan_guard(desired: NodeDesired, state: NodeState, filed: str) -> Iterator[Change]:
    """Load the guard, load it again, or take it away. ``filed``: what the node's present file loads.

    An interface that is not there yet loads the one of its file when it starts. A table that somebody has
    changed by hand is not brought back when the change is undone: the file's is. Where the machine is in
    another fleet, too, it may be that one's.
    """
    wanted = desired.guard
    if not wanted and not filed and any(other.guarded for other in state.others.values()):
        return
    loads = state.link is None and filed != ""
    there = GuardKind.AS_FILED if loads else state.guard
    load, restore = (("nft", wanted or REMOVE),), (("nft", filed or REMOVE),)
    if not wanted and there is not GuardKind.ABSENT:
        other = find_other_port(filed)
        reason = f"port {other} is heard no more" if other else "`guard: false`"
        yield Change(Action.DELETE, GUARD, reason, do=load, undo=restore)
    elif wanted and there is GuardKind.ABSENT:
        reason = f"packets of the fleet could come and go beside {desired.interface}"
        reason = f"port {desired.also} is heard as well" if desired.also else reason
        yield Change(Action.CREATE, GUARD, reason, do=load, undo=(("nft", REMOVE),))
    elif wanted and (there is GuardKind.OTHER or filed != wanted):
        reason = "not the rules of its file" if filed == wanted else _compare(desired, find_other_port(filed))
        yield Change(Action.UPDATE, GUARD, reason, do=load, undo=restore)
    elif wanted and state.guard is GuardKind.ABSENT:
        yield Change(Action.CREATE, GUARD, f"loaded when {desired.interface} starts")


def _compare(desired: NodeDesired, heard: int | None) -> str:
    if desired.also == heard:
        return "other ranges, interfaces or ports"
    return f"port {desired.also} is heard as well" if desired.also else f"port {heard} is heard no more"
