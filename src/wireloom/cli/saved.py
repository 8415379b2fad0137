"""Plans on disk: what was shown, and a digest of all that it would do."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wireloom.cli.world import unwritable
from wireloom.disk import put_file
from wireloom.errors import UserError
from wireloom.plan.digest import plan_digest
from wireloom.plan.plan import Plan


def save_plan(path: Path, plan: Plan, document: Mapping[str, Any]) -> None:
    """Write the plan as it is shown by ``--json``, with its digest. Raises UserError."""
    text = json.dumps({"version": 1, "digest": plan_digest(plan), **document}, indent=2) + "\n"
    try:
        put_file(path, text.encode(), mode=0o644)
    except OSError as error:
        raise unwritable(path, error) from None


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
