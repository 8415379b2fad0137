"""What a table does with the room that it has: it leaves nothing out unsaid, and cuts nothing."""

from collections.abc import Sequence

import pytest
from rich.console import Console
from rich.text import Text

from wireloom.report.columns import Columns, Row

COLUMNS = Columns(
    titles=("NODE", "AT", "STATE", "WHY"),
    dispensable=("AT",),
    wrapped=frozenset({"WHY"}),
)


def rows(between: str = ", ") -> Sequence[Row]:
    return (
        {
            "NODE": "a-node-of-some-length",
            "AT": between.join(["10.99.0.1", "fd42::1"]),
            "STATE": Text("up"),
            "WHY": "no word yet",
        },
        {"NODE": "b", "AT": "10.99.0.2", "STATE": Text("absent"), "WHY": ""},
    )


DRAWN = {
    "all of it": (
        62,
        """
NODE                   AT                  STATE   WHY
a-node-of-some-length  10.99.0.1, fd42::1  up      no word yet
b                      10.99.0.2           absent
""",
    ),
    "two values below each other": (
        61,
        """
NODE                   AT         STATE   WHY
a-node-of-some-length  10.99.0.1  up      no word yet
                       fd42::1
b                      10.99.0.2  absent
""",
    ),
    "a column left out": (
        48,
        """
NODE                   STATE   WHY
a-node-of-some-length  up      no word yet
b                      absent
No room for AT: a wider terminal has it, or
--json.
""",
    ),
    "names folded, and words wrapped": (
        28,
        """
NODE            STATE   WHY
a-node-of-some  up      no
-length                 word
                        yet
b               absent
No room for AT: a wider
terminal has it, or --json.
""",
    ),
    "no room for a table": (
        27,
        """
a-node-of-some-length
  AT: 10.99.0.1, fd42::1
  STATE: up
  WHY: no word yet
b
  AT: 10.99.0.2
  STATE: absent
""",
    ),
}


@pytest.mark.parametrize(("width", "expected"), DRAWN.values(), ids=DRAWN)
def test_a_table_in_so_many_columns(width: int, expected: str) -> None:
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as drawn:
        for part in COLUMNS.fit(rows, width):
            console.print(part)
    assert expected.strip() == "\n".join(line.rstrip() for line in drawn.get().splitlines())


def test_without_a_terminal_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    COLUMNS.print_whole(rows())
    assert capsys.readouterr().out == DRAWN["all of it"][1].lstrip()
