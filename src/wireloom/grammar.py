"""Numbers and names in sentences."""

from collections.abc import Sequence


def count(number: int, noun: str) -> str:
    """``1 node``, ``3 nodes``, ``1,024 nodes``: the noun is one that takes an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def some(names: Sequence[str]) -> str:
    """``a, b``: those that there is room for, and whether there are more: ``a, b, c, d …``."""
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
