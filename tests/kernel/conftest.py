"""Two virtual machines with kernel WireGuard in two subnets, a third machine, and the mesh on them."""

import os
import platform
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from tests.kernel.image import find_kernel_recipe
from tests.kernel.virtual import QEMU, VirtualMachine
from tests.machines.container import Container
from tests.machines.image import find_recipe
from tests.machines.machine import Wire
from tests.machines.machines import COMMANDS, FAMILY, Machines, group_of_machines
from tests.machines.suite import add_consoles, mark, provide

SKIP = "WIRELOOM_SKIP_KERNEL"
HERE = Path(__file__).parent

NORTH = Wire("br0", IPv4Network("203.0.113.0/24"), routed=True)
SOUTH = Wire("br1", IPv4Network("198.51.100.0/24"), routed=True)

FLEET = """\
fleet: kernel
underlay: { ipv4: 10.99.0.0/16 }
sites: { north: {}, south: {} }
nodes:
  cp1: { site: north, ssh: root@203.0.113.1, public: [203.0.113.1] }
  db1: { site: south, ssh: root@198.51.100.1, public: [198.51.100.1] }
  w1: { site: north, ssh: root@203.0.113.2, public: [203.0.113.2] }
"""
VIRTUAL = ("cp1", "db1")
"""The nodes that are virtual machines. w1 is a container, on wireguard-go where this computer's kernel has no
WireGuard, so that a peer can come and go between two others who stay."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items, HERE, marker="kernel", skip=SKIP, obstacle=find_obstacle())


def find_obstacle() -> str:
    """Why no virtual machine can be run here, or nothing. In continuous integration QEMU has to be there."""
    if platform.machine() != "x86_64":
        return f"virtual machines run x86-64, this computer is {platform.machine()}"
    if shutil.which(QEMU) is None and not os.environ.get("CI"):
        return f"{QEMU} is missing: `scripts/setup --tests` installs it where there is a package of it"
    return ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    add_consoles(item, report)
    return report


@pytest.fixture(scope="session")
def disk() -> Path:
    """What virtual machines start from."""
    commands = (*COMMANDS, "mke2fs", QEMU)
    return provide(find_kernel_recipe(), skip=SKIP, variable="WIRELOOM_TEST_KERNEL_IMAGE", commands=commands)


@pytest.fixture(scope="session")
def image() -> Path:
    """What containers start from."""
    return provide(find_recipe(), skip=SKIP)


@contextmanager
def two_sites(disk: Path, image: Path, directory: Path, family: str = FAMILY) -> Iterator[Machines]:
    """The machines with nothing on them, switched off, and an operator whose fleet file names them."""
    with group_of_machines([NORTH, SOUTH], directory=directory, family=family) as group:
        group.add(VirtualMachine, "cp1", image=disk, wire=NORTH)
        group.add(VirtualMachine, "db1", image=disk, wire=SOUTH)
        group.add(Container, "w1", image=image, wire=NORTH)
        group.operator.fleet_file.write_text(FLEET)
        yield group


@dataclass(frozen=True, slots=True)
class FirstApply:
    """What the operator was told on the way from bare machines to the mesh."""

    planned: list[tuple[str, str, str]]
    endings: dict[str, str]
    verified: Any
    left: list[tuple[str, str, str]]


@pytest.fixture(scope="package")
def bare(disk: Path, image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """The machines, booted once for all tests here, and gone before the tests of other directories."""
    with two_sites(disk, image, tmp_path_factory.mktemp("kernel")) as group:
        group.boot()
        yield group


@pytest.fixture(scope="package")
def first_apply(bare: Machines) -> FirstApply:
    """The way from bare machines to the mesh, gone once."""
    operator = bare.operator
    planned = operator.changes("--yes")
    applied = operator.json("apply", "--yes")
    endings = {one["node"]: one["ending"] for one in applied["nodes"]}
    return FirstApply(planned, endings, operator.json("verify", expect=None), operator.changes())


@pytest.fixture(scope="package")
def mesh(bare: Machines, first_apply: FirstApply) -> Machines:
    """The machines with the mesh up, for tests that leave them as they were."""
    return bare


@pytest.fixture
def mended(mesh: Machines) -> Iterator[Machines]:
    """The mesh as the original file wants it, before and after a test that spoils it."""
    yield mesh
    for machine in mesh:
        machine.restore()
    mesh.operator.fleet_file.write_text(FLEET)
    mesh.operator.run("apply", "--yes")
