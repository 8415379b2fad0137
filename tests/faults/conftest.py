"""A lab with two networks that its machines may have: `wide`, and `slim` with less of all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import make_world
from tests.faults.world import Mesh
from tests.marks import mark_lab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_lab(items, Path(__file__).parent)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """Both networks are known, and `wide` is in place."""
    world = make_world(tmp_path_factory.mktemp("fleet"))
    whole = world.fleet_file.read_text()
    slim = whole.replace("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1380")
    slim = "".join(line for line in slim.splitlines(keepends=True) if not line.startswith("  db1:"))
    try:
        world.run("lab", "up")
        made = Mesh(world)
        made.learn("wide", whole)
        made.learn("slim", slim)
        made.learn("wide", whole)
        yield made
    finally:
        world.run("lab", "down", expect=None)
