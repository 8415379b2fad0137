"""A few random histories; CONTRIBUTING.md has the command for many."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.histories import History, open_mesh
from tests.faults.world import Mesh

SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def wide_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A lab of four machines and the networks that they may have."""
    directory: Path = tmp_path_factory.mktemp("histories")
    with open_mesh(directory) as mesh:
        yield mesh


@pytest.mark.parametrize("seed", SEEDS)
def test_a_history(wide_mesh: Mesh, seed: int) -> None:
    History(wide_mesh, seed).run(3)
