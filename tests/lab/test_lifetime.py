"""How labs come and go: side by side, interrupted, killed; and that nothing is left of them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab.fleets import fleet, lab_name, node, quiet, site
from wireloom.errors import UserError
from wireloom.lab import processes
from wireloom.lab.claim import LABS
from wireloom.lab.dial import LabDialer
from wireloom.lab.machine import down, find, running, up
from wireloom.transport.port import TransportError

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).parents[2]


def _small(name: str):
    return fleet(
        node("a", "x", "203.0.113.1", "10.0.0.2"),
        node("b", "y", "10.0.0.2", nat=True),
        sites=(site("x", "10.0.0.0/24"), site("y", "10.0.0.0/24", nat=True)),
        name=name,
    )


@pytest.fixture
def gone():
    """A name for a lab, which is gone after the test."""
    name = lab_name("once")
    yield name
    down(name)


def _host() -> dict[str, object]:
    """What a lab must not change on this computer."""
    links = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "links": links,
        "namespaces": spaces,
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "own": Path("/proc/self/ns/net").readlink(),
    }


def _processes_of(name: str) -> list[str]:
    """Every process that has the lab's name among its arguments."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            argv = (directory / "cmdline").read_bytes().decode().split("\0")
            if name in argv:
                found.append(" ".join(argv))
    return found


def test_two_labs_at_once(gone):
    first = up(_small(f"{gone}-first"), quiet)
    try:
        second = up(_small(gone), quiet)
        found = (find(first.name), find(gone), {first.name, gone} <= {one.name for one in running()})
    finally:
        down(first.name)
    assert found == (first, second, True)


def test_nothing_of_this_computer_changes(gone):
    before = _host()
    up(_small(gone), quiet)
    during = _host()
    down(gone)
    assert (during, _host(), _processes_of(gone), (LABS / gone).exists()) == (before, before, [], False)


def test_the_operators_environment_stays_outside(gone, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "swordfish")
    lab = up(_small(gone), quiet)
    seen = [Path(f"/proc/{pid}/environ").read_bytes() for pid in (lab.init, *lab.machines.values())]
    assert [one for one in seen if b"swordfish" in one] == []


def test_down_twice(gone):
    up(_small(gone), quiet)
    assert (down(gone), down(gone), find(gone)) == (True, False, None)


def test_dialling_a_lab_that_is_down_says_so(gone):
    one = _small(gone)
    lab = up(one, quiet)
    down(gone)
    with pytest.raises(TransportError, match="is not up"):
        LabDialer(lab, one).open_socket("a")


@pytest.mark.parametrize("name", ["../../etc", "", ".", "..", "a/b"])
def test_down_of_a_name_that_is_a_path_does_nothing(name):
    assert down(name) is False


def test_the_second_builder_is_told(gone):
    def build_again(_):
        up(_small(gone), quiet)

    with pytest.raises(UserError, match="is being built or taken down by another wireloom"):
        up(_small(gone), build_again)


@pytest.mark.parametrize("moment", ["lab", "routers", "1 of 2"])
def test_an_interrupted_up_leaves_nothing(gone, moment):
    def interrupt(step):
        if moment in step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        up(_small(gone), interrupt)
    assert (_processes_of(gone), (LABS / gone).exists()) == ([], False)


def test_a_machine_that_does_not_come_up_is_an_error_with_the_reason_and_leaves_nothing(gone):
    broken = fleet(node("a", "x", "203.0.113.1", port=70000), sites=(site("x"),), name=gone)
    with pytest.raises(
        UserError, match=r"machine a failed\n    the log ends:(.|\n)*Badly formatted port number"
    ):
        up(broken, quiet)
    assert (_processes_of(gone), (LABS / gone).exists()) == ([], False)


BUILDER = """
import sys
from tests.lab.test_lifetime import _small
from wireloom.lab.machine import up
up(_small(sys.argv[1]), lambda step: print(step, flush=True))
"""


def _builder(name: str) -> subprocess.Popen[str]:
    """Another process that builds the lab of that name and prints each step."""
    argv = [sys.executable, "-c", BUILDER, name]
    return subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def _kill(builder: subprocess.Popen[str]) -> None:
    builder.kill()
    builder.wait()
    assert builder.stdout is not None
    builder.stdout.close()


def _first_process(name: str) -> None:
    while not [one for one in processes.scan() if one.lab == name]:
        time.sleep(0.001)


@pytest.mark.parametrize("moment", ["keys", "first process", "routers", "1 of 2"])
def test_a_killed_up_is_taken_down_completely(gone, moment):
    before = _host()
    builder = _builder(gone)
    if moment == "first process":
        _first_process(gone)
    else:
        for step in builder.stdout:
            if moment in step or moment == "keys":
                break
    _kill(builder)
    down(gone)
    assert (_host(), _processes_of(gone), (LABS / gone).exists()) == (before, [], False)


def test_a_lab_whose_builder_was_killed_ends_by_itself(gone):
    builder = _builder(gone)
    for step in builder.stdout:
        if "routers" in step:
            break
    _kill(builder)
    deadline = time.monotonic() + 10
    while (
        processes.scan() and any(one.lab == gone for one in processes.scan()) and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    assert [one for one in processes.scan() if one.lab == gone] == []


def test_a_half_built_lab_is_listed_not_found_and_built_anew(gone):
    builder = _builder(gone)
    _first_process(gone)
    os.kill(builder.pid, signal.SIGSTOP)
    while not (half := [one for one in running() if one.name == gone]):
        time.sleep(0.005)
    state = (half[0].complete, find(gone))
    _kill(builder)
    assert (state, up(_small(gone), quiet).complete) == ((False, None), True)
