"""Numbers in sentences."""

import pytest

from wireloom.grammar import count


@pytest.mark.parametrize(
    ("expected", "number"), [("0 nodes", 0), ("1 node", 1), ("2 nodes", 2), ("1,024 nodes", 1024)]
)
def test_one_of_a_thing_has_no_s(expected: str, number: int) -> None:
    assert count(number, "node") == expected
