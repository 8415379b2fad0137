"""A table that is as wide as the terminal, and whole where there is none."""

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from wireloom.report.terminal import print_data

Row = Mapping[str, str | Text]
"""A cell for every title."""

_AS_WIDE_AS_NEEDED = 10_000


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table, of which the first has names: those are folded, and never cut.

    ``dispensable``: what a narrow terminal can do without, what is missed least first. ``numbers`` stand to
    the right.
    """

    titles: tuple[str, ...]
    dispensable: tuple[str, ...]
    numbers: frozenset[str] = frozenset()

    def fit(self, rows: Callable[[str], Sequence[Row]], console: Console, options: ConsoleOptions) -> Table:
        """The table for this width; ``rows`` takes what parts two values in one cell.

        They stand one below the other before a column is left out.
        """
        table = self.draw(rows(", "))
        for missing in range(len(self.dispensable) + 1):
            if _width(table, console, options) <= options.max_width:
                break
            table = self.draw(rows("\n"), frozenset(self.dispensable[:missing]))
        return table

    def draw(self, rows: Sequence[Row], without: Set[str] = frozenset()) -> Table:
        """The table without these columns, of any width."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        shown = [title for title in self.titles if title not in without]
        for title in shown:
            table.add_column(
                title,
                no_wrap=title != self.titles[0],
                overflow="fold",
                justify="right" if title in self.numbers else "left",
            )
        for row in rows:
            table.add_row(*(row[title] for title in shown))
        return table

    def print_whole(self, rows: Sequence[Row]) -> None:
        """The table on a stdout that is no terminal: a row is a line, which nothing is cut from."""
        console = Console(file=sys.stdout, highlight=False)
        table = self.draw(rows)
        console.width = _width(table, console, console.options)
        with console.capture() as padded:
            console.print(table)
        for line in padded.get().splitlines():
            print_data(line.rstrip())
        sys.stdout.flush()


def _width(table: Table, console: Console, options: ConsoleOptions) -> int:
    return Measurement.get(console, options.update(max_width=_AS_WIDE_AS_NEEDED), table).maximum
