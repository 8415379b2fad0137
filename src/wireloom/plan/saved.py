"""A plan on disk: what was shown, and a digest of all that it would do."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wireloom.errors import UserError
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


def save_plan(path: Path, plan: Plan, document: Mapping[str, Any]) -> None:
    """Write the plan as it is shown by ``--json``, with its digest. Raises UserError."""
    try:
        path.write_text(json.dumps({"version": 1, "digest": plan_digest(plan), **document}, indent=2) + "\n")
    except OSError as error:
        raise UserError.one(f"can't be written: {error.strerror}", where=str(path)) from None


def require_same(path: Path, plan: Plan) -> None:
    """Raise UserError unless the saved plan is the one that the machines need now."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        digest = saved["digest"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UserError.one("not a plan of `wireloom plan -o`", where=str(path)) from None
    if digest != plan_digest(plan):
        raise UserError.one(
            "the machines, the fleet file or the lock have changed since this plan was made",
            where=str(path),
            hint="nothing was changed: plan again",
        )
