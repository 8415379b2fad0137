"""What ``status`` shows: a row per node, as wide as the terminal, and whole where there is none."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from wireloom.report.columns import Columns
from wireloom.report.standing import NodeStanding

COLUMNS = Columns(
    titles=("NODE", "SITE", "ADDRESS", "STATE", "PEERS", "HANDSHAKE", "RECEIVED", "SENT", "GEN", "BY"),
    dispensable=("BY", "GEN", "SENT", "RECEIVED", "SITE", "ADDRESS", "HANDSHAKE"),
    numbers=frozenset({"PEERS", "RECEIVED", "SENT"}),
)


@dataclass(frozen=True, slots=True)
class StatusView:
    """The table for a terminal of any width, drawn anew for each: what is said of a node stands below it."""

    standings: Sequence[NodeStanding]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """For Rich."""
        yield from COLUMNS.fit(
            lambda between: [_cells(one, between) for one in self.standings], options.max_width
        )
        for one in self.standings:
            if one.detail:
                yield Text.assemble((f"{one.name}: ", "bold"), one.detail)


def show_status(standings: Sequence[NodeStanding]) -> None:
    """The table on stdout. In a pipe a node is a line, which nothing is cut from."""
    if sys.stdout.isatty():
        Console(file=sys.stdout, highlight=False).print(StatusView(standings))
        return
    COLUMNS.print_whole([_cells(one, ", ") | ({"BY": one.detail} if one.detail else {}) for one in standings])


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
