"""Fixtures of real systemd machines: four of them, each let in another way, and the mesh on them."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machines.image import find_recipe
from tests.machines.machines import Machines, machines
from tests.machines.people import settle
from tests.machines.suite import add_consoles, mark, provide
from tests.machines.trial import NAMES, Trial

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
    mark(items, HERE, marker="systemd", skip=SKIP)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    add_consoles(item, report)
    return report


@pytest.fixture(scope="session")
def image() -> Path:
    """The root file system of all machines."""
    return provide(find_recipe(), skip=SKIP)


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


@pytest.fixture(scope="session")
def tried(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """Machines for all tests that do them harm on the way from one network to another."""
    with machines(NAMES, image=image, directory=tmp_path_factory.mktemp("trial")) as group:
        yield Trial(group)


@pytest.fixture
def trial(tried: Trial, request: pytest.FixtureRequest) -> Iterator[Trial]:
    """The machines with one network, the fleet file with the other; also after a test that failed."""
    failures = request.session.testsfailed
    yield tried
    if request.session.testsfailed > failures:
        tried.start_again()
