"""Plans on disk: what was shown, and a digest of all that it would do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wireloom.cli.world import unwritable
from wireloom.disk import put_file
from wireloom.errors import UserError


def save_plan(path: Path, digest: str, document: Mapping[str, Any]) -> None:
    """Write the plan as it is shown by ``--json``, with its digest. Raises UserError."""
    text = json.dumps({"version": 1, "digest": digest, **document}, indent=2) + "\n"
    try:
        put_file(path, text.encode(), mode=0o644)
    except OSError as error:
        raise unwritable(path, error) from None


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan on disk: where it is, and the digest of all that it does."""

    path: Path
    digest: str

    def require_same(self, digest: str) -> None:
        """Raise UserError unless ``digest`` names what the machines need now, and it is the same."""
        if self.digest != digest:
            raise UserError.one(
                "the machines, the fleet file or the lock have changed since this plan was made",
                where=str(self.path),
                hint="nothing was changed: plan again",
            )


def read_plan(path: Path) -> SavedPlan:
    """Read what ``save_plan`` wrote. Raises UserError."""
    try:
        return SavedPlan(path, str(json.loads(path.read_text(encoding="utf-8"))["digest"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        hint = "a fleet file is named with -f"
        raise UserError.one("not a plan of `wireloom plan -o`", where=str(path), hint=hint) from None
