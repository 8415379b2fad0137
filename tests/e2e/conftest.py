"""Labs for the end-to-end tests: taken down whatever happens."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import World, make_world
from tests.faults.world import Mesh
from tests.marks import mark_lab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_lab(items, Path(__file__).parent)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A lab of five machines, nothing applied yet."""
    made = make_world(tmp_path_factory.mktemp("fleet"))
    try:
        made.run("lab", "up")
        yield made
    finally:
        made.run("lab", "down", expect=None)


@pytest.fixture(scope="module")
def applied(world: World) -> World:
    """The same with the mesh up."""
    world.run("apply", "--yes")
    return world


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """The same as what is done to a mesh from outside sees it."""
    world = make_world(tmp_path_factory.mktemp("fleet"))
    try:
        world.run("lab", "up")
        world.run("apply", "--yes")
        yield Mesh(world)
    finally:
        world.run("lab", "down", expect=None)


@pytest.fixture
def mended(applied: World) -> Iterator[World]:
    """The mesh as the original file wants it, before and after a test that spoils it."""
    original = applied.fleet_file.read_text()
    yield applied
    applied.fleet_file.write_text(original)
    applied.run("apply", "--yes")
    applied.run("plan")
