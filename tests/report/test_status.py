"""The table of ``status`` on terminals of several widths. What it is in a pipe: test_terminal.py."""

import io
import re
import sys
from dataclasses import replace

import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from tests.report.test_terminal import STANDINGS
from wireloom.report.status import StatusView, show_status
from wireloom.values import NodeName

LONG = replace(STANDINGS[0], name=NodeName("a-node-with-a-name-as-long-as-a-host-may-have-in-a-fleet-file"))


def draw(width: int, *standings: object) -> str:
    """What the terminal shows, without the spaces at the ends of lines."""
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(StatusView(standings))  # type: ignore[arg-type]
    return re.sub(" +$", "", captured.get(), flags=re.MULTILINE)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_on_a_terminal(width: int, snapshot: SnapshotAssertion) -> None:
    assert snapshot == draw(width, *STANDINGS)


@pytest.mark.parametrize("width", [30, 40, 60, 70, 80, 90, 100, 120, 200])
def test_every_name_and_state_is_whole_and_no_line_is_wrapped(width: int) -> None:
    drawn = draw(width, *STANDINGS[:3])
    lines = drawn.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in drawn
    for one in STANDINGS[:3]:
        assert any(line.split()[0] == one.name and one.state in line for line in lines)


def test_wide_enough_nothing_is_left_out() -> None:
    heads = ["NODE", "SITE", "ADDRESS", "STATE", "PEERS", "HANDSHAKE", "RECEIVED", "SENT", "GEN", "BY"]
    assert draw(98, *STANDINGS).splitlines()[0].split() == heads


@pytest.mark.parametrize("width", [24, 40, 60])
def test_a_name_that_is_too_long_is_folded_and_not_cut(width: int) -> None:
    assert LONG.name in "".join(line.split(" ")[0] for line in draw(width, LONG).splitlines())


def test_a_pipe_has_the_table_as_soon_as_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(pipe), encoding="utf-8"))  # type: ignore[arg-type]
    show_status(STANDINGS)
    assert pipe.getvalue().count(b"\n") == 1 + len(STANDINGS)


def test_two_addresses_stand_below_each_other_before_a_column_goes() -> None:
    one = draw(90, STANDINGS[1]).splitlines()
    assert "userspace" in one[1]
    assert one[2].strip() == "fd42:99::2"
