"""A table that is as wide as the terminal, and whole where there is none. It leaves nothing out unsaid."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from wireloom.report.terminal import print_data

Cell = str | Text
Row = Mapping[str, Cell]
"""A cell for every title."""

LEAST = 14
"""Narrower than this the first column is hard to read."""

_AS_WIDE_AS_NEEDED = 10_000


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table, of which the first has names: those are folded, and never cut.

    ``dispensable``: what a narrow terminal can do without, what is missed least first. ``numbers`` stand to
    the right. ``wrapped``: besides the first, those whose cells are words that may stand below each other.
    """

    titles: tuple[str, ...]
    dispensable: tuple[str, ...] = ()
    numbers: frozenset[str] = frozenset()
    wrapped: frozenset[str] = frozenset()

    def fit(self, rows: Callable[[str], Sequence[Row]], width: int | None) -> Iterator[RenderableType]:
        """The table in so many columns of a terminal, None: in as many as it takes.

        ``rows`` takes what parts two values in one cell: they stand one below the other before a column is
        left out. What is left out is told below. Where the rest has no room either, a row is a block of
        lines, with all of its values.
        """
        whole = rows(", ")
        widths = self._measure(whole, self.titles)
        if width is None or _total(widths) <= width:
            yield self._draw(whole, widths)
            return
        stacked = rows("\n")
        missing: tuple[str, ...] = ()
        for number in range(len(self.dispensable) + 1):
            missing = self.dispensable[:number]
            widths = self._measure(stacked, [title for title in self.titles if title not in missing])
            if _total(widths) <= width:
                break
        widths = self._squeeze(stacked, widths, width)
        if _total(widths) > width:
            yield from self._draw_blocks(whole)
            return
        yield self._draw(stacked, widths)
        if missing:
            them = "it" if len(missing) == 1 else "them"
            yield Text(f"No room for {', '.join(missing)}: a wider terminal has {them}, or --json.", "dim")

    def print_whole(self, rows: Sequence[Row]) -> None:
        """The table on a stdout that is no terminal: a row is a line, which nothing is cut from."""
        print_whole(self.fit(lambda _: rows, None))

    def _measure(self, rows: Sequence[Row], titles: Iterable[str]) -> dict[str, int]:
        """How wide each of these columns is when nothing is folded."""
        return {title: max(map(_width, _cells(rows, title))) for title in titles}

    def _squeeze(self, rows: Sequence[Row], widths: Mapping[str, int], most: int) -> dict[str, int]:
        """Fold what may be folded until it fits, the widest first; never narrower than the longest word."""
        squeezed = dict(widths)
        least = {
            title: min(width, LEAST) if title == self.titles[0] else _longest_word(_cells(rows, title))
            for title, width in widths.items()
            if title == self.titles[0] or title in self.wrapped
        }
        while _total(squeezed) > most:
            loose = [title for title in least if squeezed[title] > least[title]]
            if not loose:
                break
            squeezed[max(loose, key=squeezed.__getitem__)] -= 1
        return squeezed

    def _draw(self, rows: Sequence[Row], widths: Mapping[str, int]) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title, width in widths.items():
            right = title in self.numbers
            table.add_column(title, width=width, overflow="fold", justify="right" if right else "left")
        for row in rows:
            table.add_row(*(row[title] for title in widths))
        return table

    def _draw_blocks(self, rows: Sequence[Row]) -> Iterator[Text]:
        name, *others = self.titles
        for row in rows:
            yield Text(str(row[name]), "bold")
            yield from (Text.assemble(f"  {title}: ", row[title]) for title in others if str(row[title]))


def print_whole(parts: Iterable[RenderableType]) -> None:
    """What has been drawn for any width, on a stdout that is no terminal: no line is wrapped, or padded."""
    console = Console(file=sys.stdout, highlight=False, width=_AS_WIDE_AS_NEEDED)
    for part in parts:
        with console.capture() as padded:
            console.print(part)
        for line in padded.get().splitlines():
            print_data(line.rstrip())
    sys.stdout.flush()


def _cells(rows: Sequence[Row], title: str) -> Iterator[Cell]:
    yield title
    yield from (row[title] for row in rows)


def _width(cell: Cell) -> int:
    return max(map(cell_len, str(cell).splitlines()), default=0)


def _longest_word(cells: Iterable[Cell]) -> int:
    return max(cell_len(word) for cell in cells for word in str(cell).split())


def _total(widths: Mapping[str, int]) -> int:
    """Of all columns, and of what parts them."""
    return sum(widths.values()) + 2 * (len(widths) - 1)
