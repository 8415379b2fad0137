"""A machine for each test."""

from collections.abc import Iterator

import pytest

from tests.apply.sandbox import Sandbox, sandbox


@pytest.fixture
def machine() -> Iterator[Sandbox]:
    """Empty, without a key, alone."""
    with sandbox() as made:
        yield made
