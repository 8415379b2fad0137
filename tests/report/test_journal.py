"""The journal of applies."""

import getpass
import json
from datetime import datetime
from pathlib import Path

import pytest

from tests.report.samples import OUTCOME
from wireloom.report.journal import write_journal


def entries(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]


def test_an_apply_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    write_journal(tmp_path / ".wireloom", OUTCOME)
    (entry,) = entries(tmp_path / ".wireloom")
    assert datetime.fromisoformat(str(entry.pop("time"))).tzinfo is not None
    assert entry == {
        "user": "ada",
        "generation": 5,
        "nodes": {"cp1": "rolled back", "w1": "failed", "nas1": "pending", "db1": "unchanged"},
    }


def test_the_next_one_is_added(tmp_path: Path) -> None:
    write_journal(tmp_path, OUTCOME)
    write_journal(tmp_path, OUTCOME)
    assert len(entries(tmp_path)) == 2


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("no name")])
def test_an_account_without_a_name_is_told_by_its_number(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nameless)
    write_journal(tmp_path, OUTCOME)
    assert str(entries(tmp_path)[0]["user"]).isdigit()
