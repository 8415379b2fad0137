"""Numbers in sentences."""


def count(number: int, noun: str) -> str:
    """``1 node``, ``3 nodes``, ``1,024 nodes``: the noun is one that takes an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
