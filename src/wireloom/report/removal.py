"""What is told of nodes that left the cluster, and of machines that something was taken off."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from wireloom.apply.departure import Departure
from wireloom.apply.outcome import Ending
from wireloom.report.hint import complete
from wireloom.report.terminal import ENDING_COLOURS, hint_line, out


def show_departures(departures: Sequence[Departure]) -> None:
    """A line for each node: how it ended, and what was taken away; below it what to do.

    Where something went wrong that is on the line, and below it what was taken away before.
    """
    console = out()
    for one in departures:
        words = {Ending.CHANGED: "gone", Ending.UNCHANGED: "nothing there"}.get(one.ending, str(one.ending))
        place = f" ({one.step})" if one.step else ""
        did = ", ".join(one.did)
        said = one.detail or did
        console.print(
            Text.assemble(
                (one.name, "bold"),
                ": ",
                (f"{words}{place}", ENDING_COLOURS[one.ending]),
                f": {said}" if said else "",
            )
        )
        if one.detail and did:
            console.print(hint_line(f"gone: {did}"))
        if one.hint:
            console.print(hint_line(one.hint))


def departures_document(departures: Sequence[Departure]) -> dict[str, Any]:
    """How it ended, node by node."""
    return {
        "failed": any(one.ending is Ending.FAILED for one in departures),
        "nodes": [
            {
                "node": one.name,
                "ending": str(one.ending),
                "did": list(one.did),
                "step": one.step,
                "detail": one.detail,
                "hint": complete(one.hint),
            }
            for one in departures
        ],
    }
