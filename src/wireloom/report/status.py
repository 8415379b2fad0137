"""What ``status`` shows: a row per node, as wide as the terminal, and whole where there is none."""

import sys
from collections.abc import Sequence, Set
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from wireloom.report.standing import NodeStanding
from wireloom.report.terminal import print_data

COLUMNS = ("NODE", "SITE", "ADDRESS", "STATE", "PEERS", "HANDSHAKE", "RECEIVED", "SENT", "GEN", "BY")
DISPENSABLE = ("BY", "GEN", "SENT", "RECEIVED", "SITE", "ADDRESS", "HANDSHAKE")
"""The columns that a narrow terminal can do without, what is missed least first."""

_NUMBERS = {"PEERS", "RECEIVED", "SENT"}
_AS_WIDE_AS_NEEDED = 10_000


@dataclass(frozen=True, slots=True)
class StatusView:
    """The table for a terminal of any width, drawn anew for each: what is said of a node stands below it.

    Two addresses of a node stand one below the other before a column is left out. What is left out at
    last is never a node's name or a part of it: that is folded.
    """

    standings: Sequence[NodeStanding]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """For Rich."""
        yield self._fit(console, options)
        for one in self.standings:
            if one.detail:
                yield Text.assemble((f"{one.name}: ", "bold"), one.detail)

    def _fit(self, console: Console, options: ConsoleOptions) -> Table:
        table = _draw(self.standings, frozenset())
        for missing in range(len(DISPENSABLE) + 1):
            if _width(table, console, options) <= options.max_width:
                break
            table = _draw(self.standings, frozenset(DISPENSABLE[:missing]), between="\n")
        return table


def show_status(standings: Sequence[NodeStanding]) -> None:
    """The table on stdout. In a pipe a node is a line, which nothing is cut from."""
    console = Console(file=sys.stdout, highlight=False)
    if sys.stdout.isatty():
        console.print(StatusView(standings))
        return
    table = _draw(standings, frozenset(), with_detail=True)
    console.width = _width(table, console, console.options)
    with console.capture() as padded:
        console.print(table)
    for line in padded.get().splitlines():
        print_data(line.rstrip())
    sys.stdout.flush()


def _width(table: Table, console: Console, options: ConsoleOptions) -> int:
    return Measurement.get(console, options.update(max_width=_AS_WIDE_AS_NEEDED), table).maximum


def _draw(
    standings: Sequence[NodeStanding], without: Set[str], *, between: str = ", ", with_detail: bool = False
) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [title for title in COLUMNS if title not in without]
    for title in shown:
        table.add_column(
            title,
            no_wrap=title != "NODE",
            overflow="fold",
            justify="right" if title in _NUMBERS else "left",
        )
    for one in standings:
        cells = _cells(one, between) | ({"BY": one.detail} if with_detail and one.detail else {})
        table.add_row(*(cells[title] for title in shown))
    return table


def _cells(one: NodeStanding, between: str) -> dict[str, str | Text]:
    colour = "green" if one.healthy else "yellow" if one.state == "up" else "red"
    return {
        "NODE": one.name,
        "SITE": one.site,
        "ADDRESS": between.join(map(str, one.addresses)),
        "STATE": Text(one.state, colour),
        "PEERS": f"{one.fresh_peers}/{one.peers}",
        "HANDSHAKE": "" if one.oldest_handshake is None else f"≤ {one.oldest_handshake} s ago",
        "RECEIVED": _bytes(one.received),
        "SENT": _bytes(one.sent),
        "GEN": "" if one.generation is None else str(one.generation),
        "BY": one.implementation,
    }


def _bytes(number: int) -> str:
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
