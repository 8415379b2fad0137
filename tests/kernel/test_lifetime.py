"""How virtual machines come and go: cut off, broken, killed; and that nothing is left of them."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.kernel.conftest import two_sites
from tests.machines.machines import Machines
from tests.machines.patience import wait_for
from tests.machines.traces import traces

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def family() -> str:
    """A name for groups of one test."""
    return f"wireloom-test-{uuid.uuid4().hex[:6]}"


def test_the_two_sites_are_a_router_apart(bare: Machines) -> None:
    assert "ttl=63" in bare["cp1"].run("ping", "-c", "1", "-W", "5", "198.51.100.1")


def test_a_machine_that_is_cut_off_answers_nobody_until_it_is_restored(bare: Machines) -> None:
    ping = ("ping", "-c", "1", "-W", "2", "198.51.100.1")
    with bare["db1"].cut_off():
        assert "0 received" in bare["cp1"].run(*ping, expect=1)
        assert "198.51.100.1/24" in bare["db1"].run("ip", "-br", "address", "show", "eth0")
    wait_for(lambda: "1 received" in bare["cp1"].run(*ping, expect=None), lambda: "still cut off")


def test_a_command_has_its_input_its_output_and_its_exit_status(bare: Machines) -> None:
    cp1 = bare["cp1"]
    assert cp1.run("cat", stdin="Grüße\n" * 2000) == "Grüße\n" * 2000
    assert cp1.shell("echo heard; exit 3", expect=3) == "heard\n"
    assert cp1.shell("kill -9 $$", expect=-9) == ""
    with pytest.raises(AssertionError, match="cp1: no-such-command: 127"):
        cp1.run("no-such-command")


def test_a_file_is_written_where_no_directory_was(bare: Machines) -> None:
    bare["cp1"].write("/run/a b/c", "x'y\n")
    assert bare["cp1"].run("cat", "/run/a b/c") == "x'y\n"


def test_an_image_that_is_none_is_told_and_nothing_is_left(image: Path, tmp_path: Path, family: str) -> None:
    before = traces(family)
    (tmp_path / "empty").mkdir()
    with (
        pytest.raises(AssertionError, match=r"(?s)cp1 ended with exit status 1.*/empty/"),
        two_sites(tmp_path / "empty", image, tmp_path, family) as group,
    ):
        group.boot()
    assert traces(family) == before


BUILDER = """
import sys
from pathlib import Path
from tests.kernel.conftest import two_sites
disk, image, directory = map(Path, sys.argv[1:4])
with two_sites(disk, image, directory, sys.argv[4]) as group:
    for machine in group:
        machine.switch_on()
    print("on", flush=True)
    sys.stdin.read()
"""


def test_a_test_run_that_is_killed_leaves_nothing(
    disk: Path, image: Path, tmp_path: Path, family: str
) -> None:
    before = traces(family)
    run = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(disk), str(image), str(tmp_path), family],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        assert run.stdout.readline() == "on\n"
        wait_for(lambda: str(traces(family)).count("qemu-system-x86_64") > 1, lambda: "no QEMU")
        run.kill()
    wait_for(lambda: traces(family) == before, lambda: f"{traces(family)}")
