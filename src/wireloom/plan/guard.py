"""The guard's table, wanted against seen."""

from collections.abc import Iterator

from wireloom.observe.state import GuardKind, NodeState
from wireloom.plan.plan import Action, Change
from wireloom.render.desired import NodeDesired
from wireloom.render.guard import REMOVE, TABLE

GUARD = f"table {TABLE}"
"""What the guard is called in a plan."""


def plan_guard(desired: NodeDesired, state: NodeState, filed: str) -> Iterator[Change]:
    """Load the guard, load it again, or take it away. ``filed``: what the node's present file loads.

    An interface that is not there yet loads the one of its file when it starts. A table that somebody has
    changed by hand is not brought back when the change is undone: the file's is.
    """
    wanted = desired.guard
    loads = state.link is None and filed != ""
    there = GuardKind.AS_FILED if loads else state.guard
    load, restore = (("nft", wanted or REMOVE),), (("nft", filed or REMOVE),)
    if not wanted and there is not GuardKind.ABSENT:
        yield Change(Action.DELETE, GUARD, "`guard: false`", do=load, undo=restore)
    elif wanted and there is GuardKind.ABSENT:
        reason = f"packets of the fleet could come and go beside {desired.interface}"
        yield Change(Action.CREATE, GUARD, reason, do=load, undo=(("nft", REMOVE),))
    elif wanted and (there is GuardKind.OTHER or filed != wanted):
        reason = "not the rules of its file" if filed == wanted else "other ranges or interfaces"
        yield Change(Action.UPDATE, GUARD, reason, do=load, undo=restore)
    elif wanted and state.guard is GuardKind.ABSENT:
        yield Change(Action.CREATE, GUARD, f"loaded when {desired.interface} starts")
