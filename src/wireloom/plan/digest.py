"""One name for all that a plan would do."""

import hashlib
from dataclasses import replace

from wireloom.plan.plan import Change, Command, Plan


def plan_digest(plan: Plan) -> str:
    """SHA-256, in hex, of everything that the plan would do.

    What undoes it counts, for it tells what was seen; but not the endpoints in it, for these roam.
    """
    nodes = [replace(node, changes=tuple(map(_without_roaming, node.changes))) for node in plan.nodes]
    return hashlib.sha256(repr((plan.fleet, plan.generation, nodes)).encode()).hexdigest()


def _without_roaming(change: Change) -> Change:
    """Without the reason, which is for people, and the endpoints that would be put back."""
    return replace(change, reason="", undo=tuple(map(_without_endpoints, change.undo)))


def _without_endpoints(command: Command) -> Command:
    return tuple(
        word
        for before, word in zip(("", *command), command, strict=False)
        if "endpoint" not in {before, word}
    )
