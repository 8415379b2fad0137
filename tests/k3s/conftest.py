"""Machines that Kubernetes runs on: only where ``WIRELOOM_K3S`` names a k3s, or the stand-in for it."""

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.k3s.machine import VARIABLE, Node, find_k3s, find_k3s_recipe
from tests.machines.machine import Wire
from tests.machines.machines import NETWORK, Machines, group_of_machines
from tests.machines.suite import add_consoles, mark, provide

SKIP = "WIRELOOM_SKIP_SYSTEMD"
HERE = Path(__file__).parent

Grow = Callable[..., AbstractContextManager[Machines]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items, HERE, marker="k3s", skip=SKIP, obstacle=find_obstacle())


def find_obstacle() -> str:
    """Why there is no Kubernetes here, or nothing."""
    program = find_k3s()
    if program is None:
        return f"{VARIABLE} is not set: it names a k3s, or what scripts/k3s-standin prints"
    return "" if program.is_file() else f"{VARIABLE}: {program} is no file"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    add_consoles(item, report)
    return report


@pytest.fixture(scope="session")
def k3s() -> Path:
    """The program."""
    program = find_k3s()
    assert program is not None
    return program


@pytest.fixture(scope="session")
def k3s_image() -> Path:
    """The root file system of machines that are nodes."""
    return provide(find_k3s_recipe(), skip=SKIP, beside="k3s")


@contextmanager
def node_machines(names: tuple[str, ...], image: Path, directory: Path) -> Iterator[Machines]:
    """Booted machines on one wire, 203.0.113.1 and on, fit for k3s and without it; gone afterwards."""
    with group_of_machines([Wire("br0", NETWORK)], directory=directory) as group:
        for name in names:
            group.add(Node, name, image=image, wire=Wire("br0", NETWORK))
        group.boot()
        yield group
