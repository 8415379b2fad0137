"""A directory with a fleet file in it."""

from pathlib import Path

import pytest

from tests.cli.command import FLEET


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, and the tests stand in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path


@pytest.fixture
def fleet(here: Path) -> Path:
    """The same with a ``fleet.yaml`` of three nodes, one of which has `ssh` and never answers."""
    path = here / "fleet.yaml"
    path.write_text(FLEET)
    return path
