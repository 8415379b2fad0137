"""The first apply on fresh machines: what is in its way, and what it is when its operator dies half-way."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.machines import spoils
from tests.machines.machine import Machine
from tests.machines.machines import machines
from tests.machines.trial import FLEET, Trial

NAMES = ("cp1", "w1")
SMALL = "".join(
    line for line in FLEET.splitlines(keepends=True) if not line.startswith(("  db1:", "  far1:"))
)


class Fresh(Trial):
    """Machines without a network."""

    def __init__(self, group: object) -> None:
        self.group = group
        self.world = group.operator
        self.networks = {}
        self.names = NAMES
        self.world.fleet_file.write_text(SMALL)

    def __repr__(self) -> str:
        return "fresh"


@pytest.fixture(scope="module")
def fresh(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    with machines(NAMES, image=image, directory=tmp_path_factory.mktemp("fresh")) as group:
        yield Fresh(group)


@contextmanager
def another_wg0(machine: Machine) -> Iterator[None]:
    """The name is taken by an interface of another kind; VXLAN is in every kernel."""
    machine.run("ip", "link", "add", "wg0", "type", "vxlan", "id", "7", "dstport", "4789", "dev", "host0")
    try:
        yield
    finally:
        machine.run("ip", "link", "delete", "wg0")


@contextmanager
def foreign_file(machine: Machine) -> Iterator[None]:
    """Somebody has a WireGuard network of that name already."""
    machine.write("/etc/wireguard/wg0.conf", "[Interface]\nAddress = 10.7.0.1/24\n")
    try:
        yield
    finally:
        assert machine.run("cat", "/etc/wireguard/wg0.conf").startswith("[Interface]\nAddress = 10.7.0.1/24")
        machine.run("rm", "/etc/wireguard/wg0.conf")


@contextmanager
def no_wireguard(machine: Machine) -> Iterator[None]:
    if machine.shell("if test -d /sys/module/wireguard || modprobe -n wireguard; then echo yes; fi"):
        pytest.skip("this kernel has WireGuard, and needs no wireguard-go")
    with spoils.hidden(machine, machine.shell("command -v wireguard-go").strip()):
        yield


OBSTACLES: dict[str, tuple[Callable[[Machine], AbstractContextManager[None]], str]] = {
    "no WireGuard": (no_wireguard, "no WireGuard"),
    "another kind of wg0": (another_wg0, "wg0"),
    "a foreign file": (foreign_file, "/etc/wireguard/wg0.conf"),
    "the port is taken": (spoils.taken_port, "UDP port 51820 is taken by perl"),
}


@pytest.mark.parametrize(("spoil", "what"), OBSTACLES.values(), ids=OBSTACLES)
def test_what_is_in_the_way_is_told_and_no_machine_is_touched(
    fresh: Fresh, spoil: Callable[[Machine], AbstractContextManager[None]], what: str
) -> None:
    with spoil(fresh["w1"]):
        refused = fresh.apply()
        assert refused.code == 1, refused.text
        assert what in refused.text
        assert '"where": "w1"' in refused.text
        written = fresh["w1"].shell("ls -A /etc/wireguard /var/lib/wireloom 2>/dev/null; :")
    assert set(written.split()) <= {"/etc/wireguard:", "wg0.conf"}
    assert fresh["cp1"].run("ls", "-A", "/etc/wireguard") == ""


@pytest.mark.parametrize(
    ("step", "when"),
    [
        ("make_key", "after"),
        ("stage", "after"),
        ("commit", "before"),
        ("commit", "after"),
        ("prove", "after"),
    ],
)
def test_an_operator_who_dies_leaves_what_the_next_apply_goes_on_from(
    fresh: Fresh, step: str, when: str
) -> None:
    fresh.killed(step, "w1", when)
    fresh.settle()
    # An interface without peers is as far as it may have come: generation 0.
    assert {fresh[name].shell("wg show wg0 peers 2>/dev/null; :") for name in NAMES} == {""}
    assert {fresh[name].shell("grep -c Peer /etc/wireguard/wg0.conf; :") for name in NAMES} <= {"", "0\n"}
    fresh.age_leases()
    assert {node for node, _, _ in fresh.world.changes("--yes")} == set(NAMES)


def test_the_next_apply_makes_the_network(fresh: Fresh) -> None:
    fresh.world.run("apply", "--yes")
    assert fresh.world.changes() == []
    assert fresh.world.settles("holds")
    assert {one.left for one in fresh.look().values()} == {()}
