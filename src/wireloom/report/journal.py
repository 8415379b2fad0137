"""The journal of applies, beside the fleet file: one JSON object a line."""

import getpass
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from wireloom.apply.outcome import Outcome


def write_journal(directory: Path, outcome: Outcome) -> None:
    """Append how an apply ended to ``journal.jsonl``. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "user": user_name(),
        "generation": outcome.generation,
        "nodes": {one.name: str(one.ending) for one in outcome.nodes},
    }
    with (directory / "journal.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def user_name() -> str:
    """Who runs this; the number of an account without a name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
