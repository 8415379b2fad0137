"""Fixtures of real systemd machines: four of them, each let in another way, and the mesh on them."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machines.image import ImageError, find_place, find_recipe, provide_image
from tests.machines.machines import Machines, find_obstacles, machines
from tests.machines.people import settle

SKIP = "WIRELOOM_SKIP_SYSTEMD"
HERE = Path(__file__).parent

FLEET = """\
fleet: real
underlay: { ipv4: 10.99.0.0/16 }
sites: { fsn: {}, ams: {} }
nodes:
  cp1: { site: fsn, ssh: root@203.0.113.1, public: [203.0.113.1] }
  w1: { site: fsn, ssh: { host: 203.0.113.2, user: deploy, sudo: true }, public: [203.0.113.2] }
  db1: { site: ams, ssh: { host: 203.0.113.3, jump: cp1 }, public: [203.0.113.3] }
  far1: { site: ams, ssh: { host: edge-of-town }, public: [203.0.113.4] }
"""
HOSTS = {"cp1": "alpha", "w1": "beta", "db1": "gamma", "far1": "delta"}
"""Node → the machine's own name for itself, which is another."""

SSH_CONFIG = """\
Host edge-of-town
    HostName 203.0.113.4
    Port 2222
    User root
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.lab)
        item.add_marker(pytest.mark.systemd)
        if os.environ.get(SKIP):
            item.add_marker(pytest.mark.skip(reason=f"{SKIP} is set"))
        elif os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="machines need root"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the consoles of the machines of a test that failed."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Machines):
                report.sections += [
                    (f"console of {name}", console[-3000:]) for name, console in value.consoles().items()
                ]
                break
    return report


@pytest.fixture(scope="session")
def image() -> Path:
    """The root file system of all machines. That there is none is a failure, not a reason to skip."""
    obstacles = find_obstacles()
    if obstacles:
        pytest.fail(
            f"no systemd machines here: {', '.join(obstacles)}\n"
            f"`scripts/setup --tests` installs the commands; {SKIP}=1 skips these tests",
            pytrace=False,
        )
    recipe = find_recipe()
    try:
        return provide_image(recipe, find_place(recipe))
    except ImageError as error:
        pytest.fail(f"no image for systemd machines: {error}\n{SKIP}=1 skips these tests", pytrace=False)


@contextmanager
def bare_fleet(image: Path, directory: Path) -> Iterator[Machines]:
    """Four machines with nothing on them, and an operator whose fleet file names them."""
    with machines(HOSTS.values(), image=image, directory=directory, ports={"delta": 2222}) as group:
        group["beta"].add_user("deploy")
        group.detour("gamma")
        group.operator.configure_ssh(SSH_CONFIG)
        group.operator.fleet_file.write_text(FLEET)
        yield group


@pytest.fixture(scope="module")
def fleet(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Machines of one file of tests, nothing applied yet."""
    with bare_fleet(image, tmp_path_factory.mktemp("fleet")) as group:
        yield group


@pytest.fixture(scope="session")
def mesh(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Machines with the mesh up, for all tests that leave them as they were."""
    with bare_fleet(image, tmp_path_factory.mktemp("mesh")) as group:
        group.operator.run("apply", "--yes")
        yield group


@pytest.fixture
def mended(mesh: Machines) -> Iterator[Machines]:
    """The mesh as the original file wants it, before and after a test that spoils it."""
    yield mesh
    mesh.operator.fleet_file.write_text(FLEET)
    mesh.operator.run("apply", "--yes")


@pytest.fixture
def people(mended: Machines) -> Iterator[Machines]:
    """The mesh as it is, its machines reached as users of whom two must give a password."""
    settle(mended)
    yield mended
    mended.operator.exported.clear()
