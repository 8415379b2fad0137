"""Sentences for a terminal of any width, and for a pipe, where nothing is wrapped."""

import re
import textwrap
from collections.abc import Iterator, Sequence

from wireloom.advise.source import Source

NARROWEST = 24

_COMMAND = re.compile(r"`wireloom [^`]*`")


def hang(text: str, width: int | None, *, indent: int = 0, under: int = 2) -> Iterator[str]:
    """A paragraph, its further lines ``under`` columns deeper than the first. ``width`` None: one line.

    No word is broken, and no command: an address, or what to type next, can be copied.
    """
    first = " " * indent
    if width is None:
        yield first + text
        return
    for line in textwrap.wrap(
        _COMMAND.sub(lambda command: command[0].replace(" ", "\xa0"), text),
        max(width, NARROWEST),
        initial_indent=first,
        subsequent_indent=" " * (indent + under),
        break_long_words=False,
        break_on_hyphens=False,
    ):
        yield line.replace("\xa0", " ")


def number(sources: Sequence[Source], among: Sequence[Source]) -> str:
    """``[1,4]``: the sources by their places in a list."""
    return f"[{','.join(str(place) for place, one in enumerate(among, 1) if one in sources)}]"


def list_sources(sources: Sequence[Source], width: int | None) -> Iterator[str]:
    """The list, by number: name and address."""
    for place, one in enumerate(sources, 1):
        yield from hang(f"[{place}] {one.name}: {one.url}", width, indent=2, under=4)
