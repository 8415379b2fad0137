"""Numbers and names in sentences."""

import pytest

from wireloom.grammar import count, some


@pytest.mark.parametrize(
    ("expected", "number"), [("0 nodes", 0), ("1 node", 1), ("2 nodes", 2), ("1,024 nodes", 1024)]
)
def test_one_of_a_thing_has_no_s(expected: str, number: int) -> None:
    assert count(number, "node") == expected


@pytest.mark.parametrize(
    ("expected", "names"), [("", ""), ("a", "a"), ("a, b, c, d", "abcd"), ("a, b, c, d …", "abcde")]
)
def test_of_many_names_the_first_are_told(expected: str, names: str) -> None:
    assert expected == some(list(names))
