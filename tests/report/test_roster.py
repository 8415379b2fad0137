"""The table of ``k3s status``, on terminals and in a pipe, and its document."""

import re
from ipaddress import ip_address

import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from tests.cluster.samples import away, cluster_of, machine, member, roster_of
from wireloom.cluster.roster import Roster
from wireloom.report.roster import RosterView, roster_document, show_roster

WELL = roster_of(cluster_of())
ILL = roster_of(
    cluster_of(
        {"cp3": away("cp3"), "w1": machine("w1", active="activating")},
        {
            "cp3": member(
                "cp3", ready=False, reason="NodeStatusUnknown: Kubelet stopped posting node status."
            ),
            "w1": member("w1", internal=(ip_address("203.0.113.11"),)),
            "old1": member("old1", ready=False),
        },
    )
)
LOST = roster_of(cluster_of(members={name: member(name, ready=False) for name in ("cp2", "cp3")}))
SILENT = roster_of(cluster_of({name: away(name) for name in ("cp1", "cp2", "cp3", "w1")}, told_by=None))


def draw(width: int, roster: Roster, *, quiet: bool = False) -> str:
    """What the terminal shows, without the spaces at the ends of lines."""
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(RosterView(roster, quiet))
    return re.sub(" +$", "", captured.get(), flags=re.MULTILINE)


@pytest.mark.parametrize("roster", [WELL, ILL, LOST, SILENT], ids=["well", "ill", "lost", "silent"])
def test_on_a_terminal_of_eighty_columns(roster: Roster, snapshot: SnapshotAssertion) -> None:
    assert snapshot == draw(80, roster)


@pytest.mark.parametrize("width", [20, 59])
def test_on_a_narrow_terminal(width: int, snapshot: SnapshotAssertion) -> None:
    assert snapshot == draw(width, WELL)


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_no_line_of_the_table_is_wrapped_and_no_name_is_cut(width: int) -> None:
    lines = draw(width, ILL).splitlines()
    assert max(map(len, lines)) <= width
    for row, line in zip(ILL.rows, lines[1:], strict=False):
        assert line.split()[0] == row.name
        assert row.service in line


def test_in_a_pipe_nothing_is_cut(capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion) -> None:
    show_roster(ILL, quiet=False)
    assert snapshot == capsys.readouterr().out


def test_quietly_only_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    show_roster(WELL, quiet=True)
    assert capsys.readouterr().out == ""
    show_roster(LOST, quiet=True)
    told = capsys.readouterr().out
    assert "etcd: 1 of 3 voters ready, 2 needed" in told
    assert "cp1" not in told.splitlines()[1]


@pytest.mark.parametrize("roster", [WELL, ILL, SILENT], ids=["well", "ill", "silent"])
def test_the_document(roster: Roster, snapshot: SnapshotAssertion) -> None:
    assert snapshot == roster_document(roster)
