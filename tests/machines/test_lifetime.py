"""How groups of machines come and go: side by side, broken, killed; and that nothing is left of them."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machines.machines import Machines, machines
from tests.machines.patience import wait_for
from tests.machines.traces import traces

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def family() -> str:
    """A name for groups of one test."""
    return f"wireloom-test-{uuid.uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def two(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with machines(["one", "two"], image=image, directory=tmp_path_factory.mktemp("two")) as group:
        yield group


@pytest.mark.parametrize(
    "look",
    [
        "cat /etc/machine-id",
        "cat /etc/ssh/ssh_host_ed25519_key.pub",
        "cat /proc/sys/kernel/random/boot_id",
        "hostname",
        "cat /sys/class/net/host0/address",
    ],
)
def test_no_two_machines_have_the_same(two: Machines, look: str) -> None:
    assert len({machine.shell(look) for machine in two}) == 2


def test_a_machine_that_is_cut_off_answers_nobody_until_it_is_restored(two: Machines) -> None:
    ping = ("ping", "-c", "1", "-W", "1", str(two["two"].address.ip))
    with two["two"].cut_off():
        assert "0 received" in two["one"].run(*ping, expect=1)
        assert "203.0.113.2/24" in two["two"].run("ip", "-br", "address", "show", "host0")
    wait_for(lambda: "1 received" in two["one"].run(*ping, expect=None), lambda: "still cut off")


def test_what_a_machine_wrote_is_there_after_a_reboot_and_what_ran_is_not(two: Machines) -> None:
    two["one"].shell("echo kept >/root/note; echo lost >/run/note")
    two["one"].restart()
    assert two["one"].shell("cat /root/note; ls /run/note", expect=2) == "kept\n"


def test_stopping_a_service_is_quick_because_cgroups_are_not_shared(two: Machines) -> None:
    """Machines in one cgroup tree wait 90 s here; ``run`` gives up after 60."""
    two["one"].shell("systemd-run --quiet --unit=nap sleep 1000; systemctl stop nap")


def test_two_groups_with_the_same_addresses(two: Machines, image: Path, tmp_path: Path) -> None:
    with machines(["one"], image=image, directory=tmp_path) as other:
        assert other["one"].address == two["one"].address
        assert other["one"].run("cat", "/etc/machine-id") != two["one"].run("cat", "/etc/machine-id")


def test_six_machines_boot_side_by_side_and_nothing_is_left(image: Path, tmp_path: Path, family: str) -> None:
    before = traces(family)
    with machines(
        [f"m{number}" for number in range(6)], image=image, directory=tmp_path, family=family
    ) as group:
        during = traces(family)
        answers = group.space.run("ping", "-c", "1", "-W", "2", str(group["m5"].address.ip))
    assert "1 received" in answers
    assert len(during["processes"]) > 60
    assert len(during["cgroups"]) == 1
    assert {**during, "cgroups": [], "processes": []} == before
    assert traces(family) == before


def test_an_image_that_does_not_boot_is_told_and_nothing_is_left(tmp_path: Path, family: str) -> None:
    before = traces(family)
    (tmp_path / "empty" / "usr").mkdir(parents=True)
    with (
        pytest.raises(AssertionError, match="one ended with exit status 1"),
        machines(["one"], image=tmp_path / "empty", directory=tmp_path, family=family),
    ):
        pass
    assert traces(family) == before


BUILDER = """
import sys
from pathlib import Path
from tests.machines.machines import machines
with machines(["one", "two"], image=Path(sys.argv[1]), directory=Path(sys.argv[2]), family=sys.argv[3]):
    print("up", flush=True)
    sys.stdin.read()
"""


def test_a_test_run_that_is_killed_leaves_nothing(image: Path, tmp_path: Path, family: str) -> None:
    before = traces(family)
    run = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(image), str(tmp_path), family],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        run.kill()
    wait_for(lambda: traces(family) == before, lambda: f"{traces(family)}")
