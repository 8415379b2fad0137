"""What came back over one channel, as the machine sent it."""

from dataclasses import dataclass

EXCERPT = 300
"""Characters of a machine's own words that an error quotes."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An exit status (None: the machine named none) and the two outputs."""

    status: int | None
    stdout: str
    stderr: str


def read_mark(said: bytes | bytearray, mark: bytes, start: int = 0) -> bytes | None:
    """What follows ``mark`` on its line; None as long as the line is not there, or not whole.

    Marks are random words: a pattern for each would be compiled for each, which costs as much as a script.
    """
    begin = said.find(mark, start)
    end = said.find(b"\n", begin)
    return None if begin < 0 or end < 0 else bytes(said[begin + len(mark) : end])


def quote(said: str) -> str:
    """The machine's last words, on one line, safe for a terminal and short: ``: "…"``, or nothing."""
    words = " ".join("".join(sign if sign.isprintable() else " " for sign in said).split())
    if not words:
        return ""
    return f': "{words}"' if len(words) <= EXCERPT else f': "…{words[-EXCERPT:]}"'
