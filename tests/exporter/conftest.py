"""promtool, which says what Prometheus would."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Promtool = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """``promtool WORDS``, with ``stdin``. In continuous integration it has to be there."""
    beside = Path(sys.executable).with_name("promtool")
    found = str(beside) if beside.exists() else shutil.which("promtool")
    if found is None:
        missing = "promtool is missing: `scripts/setup --tests` fetches it where there is a package of it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)

    def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [found, *words], input=stdin.decode(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done

    return run
