"""One name for all that a plan would do."""

import hashlib
from dataclasses import replace

from wireloom.plan.plan import Plan


def plan_digest(plan: Plan) -> str:
    """SHA-256, in hex, of everything that the plan would do.

    What undoes it and the reasons are left out: they name endpoints as they were seen, and these roam.
    """
    nodes = [
        replace(node, changes=tuple(replace(change, reason="", undo=()) for change in node.changes))
        for node in plan.nodes
    ]
    return hashlib.sha256(repr((plan.fleet, plan.generation, nodes)).encode()).hexdigest()
