"""What a person reads. The tests' stdout is no terminal: no colour, and no line is wrapped."""

import io
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_address
from itertools import groupby

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.report.samples import CP1, DB1, EVIDENCE, FINDINGS, HISTORY, NAS1, OUTCOME, PLAN, SILENT, W1
from wireloom.apply.outcome import Ending, NodeOutcome, Outcome
from wireloom.apply.retreat import Return
from wireloom.errors import Diagnostic, Severity
from wireloom.plan.plan import Action, Change, NodePlan, Plan, Risk
from wireloom.preflight.finding import Check, Finding
from wireloom.report.standing import NodeStanding
from wireloom.report.status import show_status
from wireloom.report.terminal import (
    Progress,
    print_data,
    say,
    show_diagnostics,
    show_evidence,
    show_findings,
    show_history,
    show_outcome,
    show_plan,
)
from wireloom.values import NodeName
from wireloom.verify.claim import Evidence, Verdict

AGAIN = ", and cp1 (10.99.0.1) answers over the old network"
NEW_PORT = Change(Action.UPDATE, "listen port of wg0", "51820 → 4500", Risk.DISRUPTIVE, together=True)
TOGETHER = Plan("shop", 2, (NodePlan(CP1, (NEW_PORT,)), NodePlan(W1, (NEW_PORT,))))
STEPS = ("hear port 4500 as well", "change to port 4500, and hear port 51820 still", "hear no port but 4500")
FIRST = Plan(
    "shop", 2, (NodePlan(CP1, (Change(Action.UPDATE, "table inet wireloom", STEPS[0]),)),), steps=STEPS
)
PEERS = Plan(
    "shop",
    2,
    (
        NodePlan(
            CP1,
            (
                *(Change(Action.CREATE, f"peer n{n}", f"10.99.0.{n}/32, dialled") for n in range(4)),
                Change(Action.DELETE, "peer old", "nobody's"),
                Change(Action.UPDATE, "peer a", "keepalive 0 → 25", Risk.BRIEF),
                Change(Action.UPDATE, "listen port of wg0", "1 → 2", Risk.DISRUPTIVE),
                Change(Action.RESTART, "unit x", "changed", Risk.LOCKOUT),
                Change(Action.ENABLE, "unit y", "not started at boot"),
            ),
        ),
        NodePlan(W1),
    ),
)
STANDINGS = (
    NodeStanding(CP1, "fsn", (ip_address("10.99.0.1"),), "up", 3, "kernel", 7, 3, 31, 1536, 5 * 1024**3),
    NodeStanding(
        W1, "fsn", (ip_address("10.99.0.2"), ip_address("fd42:99::2")), "up", 3, "userspace", 6, 2, 170, 12, 0
    ),
    NodeStanding(DB1, "ams", (ip_address("10.99.0.3"),), "absent", 3, detail="no sense in: link, routes4"),
    NodeStanding(
        NAS1, "office", (ip_address("10.99.0.4"),), "unreachable", 3, detail="no answer" + 150 * "."
    ),
)

Shown = tuple[str, str]
Shower = Callable[[], object]

SHOWN: dict[str, Shower] = {
    "plan": lambda: show_plan(PLAN, every_peer=False),
    "plan, peers gathered": lambda: show_plan(PEERS, every_peer=False),
    "plan, every peer": lambda: show_plan(PEERS, every_peer=True),
    "plan of nothing": lambda: show_plan(Plan("shop", 2, (NodePlan(CP1), NodePlan(W1))), every_peer=False),
    "plan of nothing before one for k3s": lambda: show_plan(
        Plan("shop", 2, (NodePlan(CP1), NodePlan(W1))), every_peer=False, alone=False
    ),
    "plan of nothing on one node": lambda: show_plan(Plan("shop", 2, (NodePlan(CP1),)), every_peer=False),
    "plan of nothing, one away": lambda: show_plan(replace(PLAN, nodes=(NodePlan(CP1),)), every_peer=False),
    "plan of nobody who could be looked at": lambda: show_plan(replace(PLAN, nodes=()), every_peer=False),
    "plan of what can't be done one by one": lambda: show_plan(TOGETHER, every_peer=False),
    "plan of the first of three steps": lambda: show_plan(FIRST, every_peer=False),
    "plan of the first of three steps, one away": lambda: show_plan(
        replace(FIRST, unreachable=PLAN.unreachable), every_peer=False
    ),
    "plan of the last step": lambda: show_plan(replace(FIRST, steps=STEPS[2:]), every_peer=False),
    "plan of a step that one is away for": lambda: show_plan(
        Plan("shop", 2, (NodePlan(CP1),), unreachable=PLAN.unreachable, steps=STEPS[2:]), every_peer=False
    ),
    "outcome, steps left": lambda: show_outcome(
        Outcome(
            7, (NodeOutcome(CP1, Ending.CHANGED), NodeOutcome(NAS1, Ending.PENDING, "no answer")), STEPS[1:]
        )
    ),
    "rollback to what is there": lambda: show_plan(
        Plan("shop", 2, (NodePlan(CP1), NodePlan(W1))), every_peer=False, source="generation 1"
    ),
    "history": lambda: show_history(HISTORY, every_node=False),
    "history, every node": lambda: show_history(HISTORY, every_node=True),
    "no history": lambda: show_history({CP1: [], DB1: []}, every_node=True),
    "plan, one note on three nodes": lambda: show_plan(
        Plan("shop", 2, (), notes=tuple(one.diagnostic for one in FINDINGS if not one.is_error)),
        every_peer=False,
    ),
    "findings": lambda: show_findings(FINDINGS),
    "outcome": lambda: show_outcome(OUTCOME),
    "outcome, rolled back": lambda: show_outcome(
        Outcome(
            5,
            (
                NodeOutcome(CP1, Ending.ROLLED_BACK, Return("untouched", "").standing(is_new=False)),
                NodeOutcome(W1, Ending.ROLLED_BACK, Return("undone", AGAIN).standing(is_new=False)),
                NodeOutcome(DB1, Ending.ROLLED_BACK, Return("undone", "").standing(is_new=True)),
                NodeOutcome(
                    NAS1,
                    Ending.FAILED,
                    "not as before: mtu 1300",
                    Return("half_undone", "not as before: mtu 1300").remedy,
                    "roll back",
                ),
            ),
        )
    ),
    "evidence": lambda: show_evidence(EVIDENCE, every_claim=False),
    "evidence, every claim": lambda: show_evidence(EVIDENCE, every_claim=True),
    "evidence, some not asked": lambda: show_evidence(SILENT, every_claim=False),
    "evidence, every claim of some not asked": lambda: show_evidence(SILENT, every_claim=True),
    "no evidence": lambda: show_evidence(Evidence((), 0, 0), every_claim=False),
    "status": lambda: show_status(STANDINGS),
    "diagnostics": lambda: show_diagnostics(
        [
            Diagnostic("unknown key `enpoint`", "fleet.yaml:14:9", "did you mean `endpoint`?"),
            Diagnostic("odd", "w1", severity=Severity.WARNING),
            Diagnostic("no place, no hint"),
        ]
    ),
}


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this computer's own terminal settings."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_in_a_pipe(show: Shower, capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion) -> None:
    show()
    printed = capsys.readouterr()
    assert snapshot == f"{printed.out}--- stderr\n{printed.err}"


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_a_narrow_pipe_changes_nothing(
    show: Shower, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show()
    wide = capsys.readouterr()
    monkeypatch.setenv("COLUMNS", "20")
    show()
    assert capsys.readouterr() == wide


@pytest.mark.parametrize(
    "show", [SHOWN["status"], lambda: told(False, ["looking"])], ids=["status", "progress"]
)
def test_colour_that_is_forced_makes_no_terminal_of_a_pipe(
    show: Shower, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show()
    plain = capsys.readouterr()
    monkeypatch.setenv("FORCE_COLOR", "1")
    show()
    coloured = capsys.readouterr()
    assert tuple(re.sub(r"\x1b\[[0-9;]*m| +\x1b\[0m$", "", text, flags=re.M) for text in coloured) == plain


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(show: Shower, monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    show()
    return screen.getvalue()


@pytest.mark.parametrize("show", [SHOWN["plan"], SHOWN["evidence"]], ids=["plan", "evidence"])
def test_a_terminal_has_colours(show: Shower, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[32m" in on_a_terminal(show, monkeypatch)


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_no_color_is_respected_on_a_terminal(show: Shower, monkeypatch: pytest.MonkeyPatch) -> None:
    colours = [f"\x1b[{number}m" for number in range(30, 38)]
    screen = on_a_terminal(show, monkeypatch, NO_COLOR="1")
    assert not any(colour in screen for colour in colours)


def test_what_looks_like_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_diagnostics([Diagnostic("[red]x[/red] [/]", "[bold]", ":smile:")])
    say("[bold]said[/bold]")
    print_data("[bold]data[/bold]")
    printed = capsys.readouterr()
    assert printed.err == "[bold]: error: [red]x[/red] [/]\n    :smile:\n[bold]said[/bold]\n"
    assert printed.out == "[bold]data[/bold]\n"


def test_a_sample_is_called_one(capsys: pytest.CaptureFixture[str]) -> None:
    show_evidence(EVIDENCE, every_claim=False)
    assert "A sample: 2 of 6 pairs, every node among them.\n" in capsys.readouterr().out


def test_all_pairs_are_no_sample(capsys: pytest.CaptureFixture[str]) -> None:
    show_evidence(replace(EVIDENCE, all_pairs=2), every_claim=False)
    assert "sample" not in capsys.readouterr().out


GATHERED = {
    "one thing on two machines": (
        "cp1, w1: error: no wg there\n    install it\n",
        [Diagnostic("no wg there", "cp1", "install it"), Diagnostic("no wg there", "w1", "install it")],
    ),
    "with another way to mend it": (
        "cp1: error: no wg there\n    apt-get\nw1: error: no wg there\n    apk\n",
        [Diagnostic("no wg there", "cp1", "apt-get"), Diagnostic("no wg there", "w1", "apk")],
    ),
    "two lines of a file": (
        "fleet.yaml:3:5: error: unknown key x\nfleet.yaml:9:5: error: unknown key x\n",
        [Diagnostic("unknown key x", "fleet.yaml:3:5"), Diagnostic("unknown key x", "fleet.yaml:9:5")],
    ),
}


@pytest.mark.parametrize(("expected", "diagnostics"), GATHERED.values(), ids=GATHERED)
def test_what_is_wrong_on_several_machines_is_told_once(
    expected: str, diagnostics: list[Diagnostic], capsys: pytest.CaptureFixture[str]
) -> None:
    show_diagnostics(diagnostics)
    assert expected == capsys.readouterr().err


def test_a_thousand_mistakes_are_not_all_printed(capsys: pytest.CaptureFixture[str]) -> None:
    show_diagnostics(Diagnostic(f"mistake {number}") for number in range(1000))
    lines = capsys.readouterr().err.splitlines()
    assert lines[99:] == ["error: mistake 99", "… and 900 more."]


@pytest.mark.parametrize(
    ("expected", "number"),
    [
        ("0 B", 0),
        ("1023 B", 1023),
        ("1.0 KiB", 1024),
        ("1.5 MiB", 1536 * 1024),
        ("2.0 TiB", 2 * 1024**4),
        ("4096.0 TiB", 4 * 1024**5),
    ],
)
def test_amounts_are_readable(expected: str, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    show_status([replace(STANDINGS[0], received=number, sent=7)])
    assert f" {expected} " in capsys.readouterr().out


def told(quiet: bool, steps: Iterable[str]) -> None:
    with Progress(quiet=quiet) as progress:
        for step in steps:
            progress(step)


def test_progress_in_a_pipe_is_a_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    told(False, ["looking", "staging"])
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "looking …\nstaging …\n")


def test_progress_is_silent_when_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    told(True, ["looking"])
    assert capsys.readouterr() == ("", "")


A, B = NodeName("a"), NodeName("b")
Happening = Callable[[Progress], object]


def ask(progress: Progress) -> None:
    """A question, while machines are waited for."""
    with progress.interrupted():
        progress.wait_for((A, B))
        say("password:")


# what happens while it looks; lines on stderr
WAITING: dict[str, tuple[list[Happening], str]] = {
    "who is left": ([lambda it: it.wait_for((A, B))], "looking …\nlooking: still waiting for a, b\n"),
    "fewer and fewer, then nobody": (
        [lambda it: it.wait_for((A, B)), lambda it: it.wait_for((B,)), lambda it: it.wait_for(())],
        "looking …\nlooking: still waiting for a, b\n",
    ),
    "two of its scripts": (
        [lambda it: it.wait_for((A,)), lambda it: it.wait_for(()), lambda it: it.wait_for((B,))],
        "looking …\nlooking: still waiting for a\n",
    ),
    "the next step": (
        [lambda it: it.wait_for((A,)), lambda it: it("staging"), lambda it: it.wait_for((B,))],
        "looking …\nlooking: still waiting for a\nstaging …\nstaging: still waiting for b\n",
    ),
    "more than there is room for": (
        [lambda it: it.wait_for([NodeName(f"n{number}") for number in range(5)])],
        "looking …\nlooking: still waiting for n0, n1, n2, n3 …\n",
    ),
    "all whom the step names": (
        [lambda it: it("committing on a, b"), lambda it: it.wait_for((A, B)), lambda it: it.wait_for((B,))],
        "looking …\ncommitting on a, b …\ncommitting on a, b: still waiting\n",
    ),
    "one of whom the step names": (
        [lambda it: it("committing on a, b"), lambda it: it.wait_for((B,))],
        "looking …\ncommitting on a, b …\ncommitting on a, b: still waiting for b\n",
    ),
    "after its end": ([lambda it: it.pause(), lambda it: it.wait_for((A,))], "looking …\n"),
    "during a question": ([ask], "looking …\npassword:\nlooking: still waiting for a, b\n"),
}


@pytest.mark.parametrize(("happenings", "expected"), WAITING.values(), ids=WAITING)
def test_whom_a_step_waits_for_is_a_line_at_most(
    happenings: list[Happening], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(quiet=False) as progress:
        progress("looking")
        for happen in happenings:
            happen(progress)
    assert expected == capsys.readouterr().err


def test_whom_a_step_waits_for_is_not_told_who_wants_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True) as progress:
        progress("looking")
        progress.wait_for((A,))
    assert capsys.readouterr() == ("", "")


def test_a_step_that_names_some_ends_in_one_ellipsis(capsys: pytest.CaptureFixture[str]) -> None:
    told(False, ["committing on a, b, c, d …"])
    assert capsys.readouterr().err == "committing on a, b, c, d …\n"


def test_on_a_terminal_whom_a_step_waits_for_stands_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = ("looking …", "looking: still waiting for a, b", "looking: still waiting for b", "looking …")

    def show() -> None:
        assert isinstance(sys.stderr, Terminal)
        with Progress(quiet=False) as progress:
            progress("looking")
            for nodes, text in zip(((), (A, B), (B,), ()), drawn, strict=True):
                progress.wait_for(nodes)
                await_drawn(sys.stderr, text)

    screen = on_a_terminal(show, monkeypatch)
    told = re.findall(r"looking[^\x1b\r\n]*", screen)
    assert list(drawn) == [text for text, _ in groupby(told)]
    assert "\n" not in screen[: screen.rindex("looking")]


def await_drawn(screen: Terminal, text: str) -> None:
    """Until it is the last thing that was drawn: that is done by a thread, twelve times a second."""
    until = time.monotonic() + 10
    while not screen.getvalue().rstrip().endswith(text) and time.monotonic() < until:
        time.sleep(0.01)


def test_the_verdicts_have_a_colour_each() -> None:
    from wireloom.apply.outcome import Ending
    from wireloom.report.terminal import ENDING_COLOURS, SIGNS, VERDICT_COLOURS

    assert set(VERDICT_COLOURS) == set(Verdict)
    assert set(ENDING_COLOURS) == set(Ending)
    assert set(SIGNS) == set(Action)


def test_no_finding_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings([Finding(CP1, Check.DISK, f"disk {number}") for number in range(250)])
    printed = capsys.readouterr()
    assert (printed.out.count("cp1: error: disk "), printed.err) == (250, "")
