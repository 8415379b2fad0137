"""Commands that hints name mean the machines that the user meant: with the same ``-f`` and ``--lab``."""

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.cluster import FLEET, see, write_fleet
from tests.cluster.samples import away, cluster_of
from wireloom.apply.outcome import Ending, NodeOutcome, Outcome
from wireloom.cli import check
from wireloom.cli.main import run
from wireloom.errors import UserError
from wireloom.report.hint import complete, completed_by
from wireloom.report.terminal import show_outcome
from wireloom.values import NodeName

Printed = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch

NAMED = "names with/a space.yaml"

COMPLETED = {
    "no option": ("see: wireloom history", "see: wireloom history", []),
    "a file": ("see: wireloom -f a.yaml history", "see: wireloom history", ["-f", "a.yaml"]),
    "a file after the verb": ("wireloom -f a.yaml plan", "wireloom plan", ["--", "-f", "a.yaml"]),
    "a lab": ("`wireloom --lab plan`", "`wireloom plan`", ["--lab"]),
    "both": ("wireloom -f a.yaml --lab k3s remove w1;", "wireloom k3s remove w1;", ["--lab", "-f", "a.yaml"]),
    "a file with a space": (f"wireloom -f {shlex.quote(NAMED)} plan", "wireloom plan", ["-f", NAMED]),
    "two commands": (
        "`wireloom -f a.yaml advise` and `wireloom -f a.yaml coverage` take it",
        "`wireloom advise` and `wireloom coverage` take it",
        ["-f", "a.yaml"],
    ),
    "one that is whole": ("wireloom -f FILE plan", "wireloom -f FILE plan", ["-f", "a.yaml"]),
    "none": ("wireloom plans nothing", "wireloom plans nothing", ["--lab"]),
}


@pytest.mark.parametrize(("expected", "hint", "options"), COMPLETED.values(), ids=COMPLETED)
def test_a_hint_is_completed(
    expected: str, hint: str, options: list[str], here: Path, monkeypatch: Patch, capsys: Printed
) -> None:
    def fail(_: object) -> None:
        raise UserError.one("wrong", hint=hint)

    monkeypatch.setattr(check, "open_world", fail)
    before, after = (options, []) if "--" not in options else ([], options[1:])
    assert run([*before, "check", *after, "--json"]) == 1
    printed = capsys.readouterr()
    assert printed.err == f"error: wrong\n    {expected}\n"
    assert json.loads(printed.out)["errors"][0]["hint"] == expected


def test_one_command_line_does_not_complete_the_hints_of_the_next(here: Path) -> None:
    run(["-f", "a.yaml", "check"])
    assert complete("wireloom plan") == "wireloom plan"


def test_init_says_how_to_check_what_it_has_written(here: Path, capsys: Printed) -> None:
    run(["-f", "shop.yaml", "init"])
    assert "Put your machines in, then: wireloom -f shop.yaml check\n" in capsys.readouterr().err


def test_a_missing_file_is_written_under_its_name(here: Path, capsys: Printed) -> None:
    run(["-f", "shop.yaml", "plan"])
    assert "`wireloom -f shop.yaml init` writes one" in capsys.readouterr().err


def test_coverage_says_how_to_prove_this_fleet(here: Path, capsys: Printed) -> None:
    write_fleet(here).rename("shop.yaml")
    assert run(["-f", "shop.yaml", "coverage"]) == 0
    assert "Not proven here: `wireloom -f shop.yaml verify` proves it." in capsys.readouterr().out


def test_the_clusters_status_says_how_to_prove_this_fleet(
    here: Path, monkeypatch: Patch, capsys: Printed
) -> None:
    write_fleet(here).rename("shop.yaml")
    see(monkeypatch, cluster_of())
    run(["-f", "shop.yaml", "k3s", "status"])
    assert "`wireloom -f shop.yaml verify` proves it." in capsys.readouterr().out


def test_what_left_a_node_behind_is_told_with_the_command_that_mends_it(capsys: Printed) -> None:
    pending = NodeOutcome(NodeName("w1"), Ending.PENDING, "did not answer", "`wireloom rollback 3` goes on")
    with completed_by(lambda hint: hint.replace("wireloom", "wireloom --lab")):
        show_outcome(Outcome(4, (pending,)))
    assert "    `wireloom --lab rollback 3` goes on\n" in capsys.readouterr().out


def test_a_machine_that_is_left_out_is_told_with_a_whole_command(
    here: Path, monkeypatch: Patch, capsys: Printed
) -> None:
    write_fleet(here, FLEET.replace("v1.34.2+k3s1 }", "v1.34.2+k3s1, protected: false }")).rename("shop.yaml")
    see(monkeypatch, cluster_of({name: away(name) for name in ("cp1", "cp2", "cp3")}, told_by=None))
    assert run(["-f", "shop.yaml", "k3s", "remove", "w1", "--yes"]) == 1
    assert "wireloom -f shop.yaml k3s uninstall" in capsys.readouterr().err
