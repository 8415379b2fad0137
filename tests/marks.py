"""The marks of tests that work in a lab."""

import os
from pathlib import Path

import pytest


def mark_lab(items: list[pytest.Item], here: Path) -> None:
    """Mark every test below ``here``; without root they are skipped, and say why."""
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="a lab needs root"))
