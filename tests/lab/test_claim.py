import os
import subprocess
import sys

import pytest

from wireloom.errors import UserError
from wireloom.lab import claim
from wireloom.lab.claim import claimed


@pytest.fixture
def labs(monkeypatch, tmp_path):
    directory = tmp_path / "wireloom" / "lab"
    monkeypatch.setattr(claim, "LABS", directory)
    return directory


def test_the_second_is_told_who_was_first(labs):
    with (
        claimed("shop"),
        pytest.raises(UserError, match=rf"built or taken down by another wireloom \(process {os.getpid()}\)"),
        claimed("shop"),
    ):
        pass


def test_two_names_do_not_meet(labs):
    with claimed("shop"), claimed("stage"):
        assert sorted(one.name for one in labs.iterdir()) == ["shop.lock", "stage.lock"]


def test_nothing_is_left(labs):
    with claimed("shop"):
        pass
    assert not labs.parent.exists()


DEATHS = {
    "alone": "os.kill(os.getpid(), signal.SIGKILL)",
    # The child has what the parent held until it ends, or becomes another program.
    "while it forked": "os.fork() or (time.sleep(0.3), os._exit(0)); os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_a_holder_that_was_killed_holds_nothing(labs, death):
    holder = (
        "import os, signal, time; from pathlib import Path; from wireloom.lab import claim;"
        f"claim.LABS = Path({str(labs)!r}); held = claim.claimed('shop'); held.__enter__();{death}"
    )
    subprocess.run([sys.executable, "-c", holder], check=False)
    with claimed("shop"):
        assert (labs / "shop.lock").exists()
