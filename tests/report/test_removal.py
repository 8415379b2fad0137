"""What is told of machines that something was taken off."""

import pytest

from wireloom.apply.departure import Departure, read_departure
from wireloom.apply.outcome import Ending
from wireloom.report.removal import departures_document, show_departures
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

A = NodeName("a")
DID = "did=interface wg0\ndid=its key and files\n"

# what a machine answered, to which step; what is told
TOLD: dict[str, tuple[Completed | TransportError, str, str]] = {
    "all went": (Completed(0, DID, ""), "take off", "a: gone: interface wg0, its key and files\n"),
    "nothing was there": (Completed(0, "", ""), "take off", "a: nothing there\n"),
    "it stopped half way": (
        Completed(1, "did=interface wg0\n", "wireloom: not deleted: it is read-only\n"),
        "take off",
        "a: failed (take off): not deleted: it is read-only\n"
        "    gone: interface wg0\n"
        "    what is done stays done: run this again\n",
    ),
    "it could not be had": (
        Completed(1, "", "wireloom: held by ben@shed\n"),
        "hold",
        "a: failed (hold): held by ben@shed\n    nothing was changed there: run this again\n",
    ),
    "it does not answer": (
        TransportError("no answer", unreachable=True),
        "hold",
        "a: pending (hold): no answer\n    once it answers: run this again\n",
    ),
}


@pytest.mark.parametrize(("answer", "step", "told"), TOLD.values(), ids=TOLD)
def test_what_is_told(
    answer: Completed | TransportError, step: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_departures([read_departure(A, answer, step)])
    assert capsys.readouterr().out == told


def test_the_document() -> None:
    one = Departure(A, Ending.FAILED, ("interface wg0",), "not deleted", "run `wireloom status`", "take off")
    assert departures_document([one]) == {
        "failed": True,
        "nodes": [
            {
                "node": "a",
                "ending": "failed",
                "did": ["interface wg0"],
                "step": "take off",
                "detail": "not deleted",
                "hint": "run `wireloom status`",
            }
        ],
    }
