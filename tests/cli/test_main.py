"""Every way out of the program: exit codes, and what is told where."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.cli.command import WIRELOOM, wireloom
from wireloom.cli import check, main
from wireloom.cli.main import VERBS, run

Printed = pytest.CaptureFixture[str]

WORDS: dict[str, tuple[int, list[str]]] = {
    "the version": (0, ["--version"]),
    "help": (0, ["--help"]),
    "help of a verb": (0, ["check", "-h"]),
    "no verb": (1, []),
    "unknown verb": (1, ["frobnicate"]),
    "unknown option": (1, ["--frobnicate"]),
    "unknown option of a verb": (1, ["schema", "--frobnicate"]),
    "a word too many": (1, ["check", "more"]),
    "a missing option": (1, ["export"]),
    "no file": (1, ["check"]),
    "a lab without a verb": (1, ["lab"]),
    "data": (0, ["schema"]),
}


@pytest.mark.parametrize(("expected", "words"), WORDS.values(), ids=WORDS)
def test_exit_codes(expected: int, words: list[str], here: Path) -> None:
    assert expected == run(words)


@pytest.mark.parametrize(
    "words",
    [
        ["-f", "other.yaml", "--json", "check"],
        ["check", "-f", "other.yaml", "--json"],
        ["--json", "check", "--file", "other.yaml"],
        ["--file=other.yaml", "check", "--json"],
    ],
    ids=" ".join,
)
def test_common_options_stand_before_or_after_the_verb(
    words: list[str], fleet: Path, capsys: Printed
) -> None:
    fleet.rename("other.yaml")
    assert run(words) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_what_was_said_before_the_verb_is_not_unsaid_after_it(here: Path, capsys: Printed) -> None:
    assert run(["-f", "a.yaml", "check", "-f", "b.yaml"]) == 1
    assert "b.yaml: error: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(("meant", "typed"), [("plan", "plann"), ("check", "chekc"), ("status", "stats")])
def test_a_mistyped_verb_is_told_what_was_meant(meant: str, typed: str, capsys: Printed) -> None:
    assert run([typed]) == 1
    assert f"No such command '{typed}'. Did you mean '{meant}'?" in capsys.readouterr().err


def test_a_word_like_no_verb_is_left_without_a_guess(capsys: Printed) -> None:
    run(["xyzzy"])
    assert "Did you mean" not in capsys.readouterr().err


HABITS = {
    "apply --dry-run": "`wireloom plan` shows what apply would do.",
    "apply --auto-approve": "It is --yes here.",
    "validate": "It is `wireloom check` here.",
}


@pytest.mark.parametrize(("typed", "told"), HABITS.items(), ids=HABITS)
def test_who_is_used_to_another_tool_is_told_the_word(typed: str, told: str, capsys: Printed) -> None:
    assert run(typed.split()) == 1
    assert capsys.readouterr().err.endswith(f" {told}\n")


def test_a_missing_file_says_what_to_do(here: Path, capsys: Printed) -> None:
    assert run(["plan"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "fleet.yaml: error: there is no such file\n"
        "    `wireloom init` writes one to start from, `-f` names another\n"
    )


@pytest.mark.parametrize("verb", ["check", "plan", "apply", "verify", "status", "graph"])
def test_an_error_is_a_document_too(verb: str, here: Path, capsys: Printed) -> None:
    assert run([verb, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == 1
    assert document["errors"][0]["what"] == "there is no such file"


AFTER_THE_VERB = [["plan", "--json", "--nope"], ["plan", "--nope", "--json"], ["lab", "up", "--json", "-f"]]


@pytest.mark.parametrize("words", AFTER_THE_VERB, ids=" ".join)
def test_a_usage_error_is_a_document_also_where_json_comes_after_the_verb(
    words: list[str], capsys: Printed
) -> None:
    assert run(words) == 1
    printed = capsys.readouterr()
    (error,) = json.loads(printed.out)["errors"]
    assert error["what"] in printed.err


def test_the_json_of_a_command_in_the_lab_is_not_ours(capsys: Printed) -> None:
    assert run(["lab", "list", "--nope", "--", "--json"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("words", [["chekc"], ["check", "more"], ["lab", "exec", "cp1"]], ids=" ".join)
def test_a_usage_error_is_a_document_too(words: list[str], capsys: Printed) -> None:
    assert run(["--json", *words]) == 1
    printed = capsys.readouterr()
    (error,) = json.loads(printed.out)["errors"]
    assert error["what"] in printed.err


def test_a_bug_is_told_with_its_traceback(
    fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setattr(check, "open_world", lambda _: 1 / 0)
    assert run(["check"]) == 70
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "ZeroDivisionError" in printed.err
    assert "this is a bug in wireloom" in printed.err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.exceptions.Abort()], ids=["Ctrl-C", "abort"])
def test_an_interruption_is_no_traceback(
    error: BaseException, fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    def interrupted(_: object) -> None:
        raise error

    monkeypatch.setattr(check, "open_world", interrupted)
    assert run(["check"]) == 130
    assert capsys.readouterr().err.strip() == "wireloom: interrupted"


def test_the_process_ends_with_the_exit_code(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    with pytest.raises(SystemExit) as raised:
        main.main(["check"])
    assert raised.value.code == 1


@pytest.mark.parametrize("words", [["schema"], ["check"], ["graph"], ["--json", "plann"]], ids=" ".join)
def test_a_reader_that_has_had_enough_is_no_error_worth_a_word(words: list[str], fleet: Path) -> None:
    """The pipe is closed already; what is written meets that at once, or when all is flushed at the end."""
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with os.fdopen(writing, "wb") as stdout:
        done = subprocess.run(
            [WIRELOOM, *words], stdout=stdout, stderr=subprocess.PIPE, check=False, timeout=60, env=buffered
        )
    assert (done.returncode, done.stderr) == (1, b"")


HEAVY = ("asyncssh", "rich", "yaml", "cryptography", "asyncio", "wireloom.lab", "wireloom.transport")


def imported(words: list[str]) -> list[str]:
    script = (
        "import sys, json\nfrom wireloom.cli.main import run\n"
        f"run({words!r})\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    modules = json.loads(done.stderr)
    return [heavy for heavy in HEAVY if heavy in modules]


def test_help_waits_for_nothing_heavy() -> None:
    assert imported(["--help"]) == []


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_does_not_wait_for_ssh_yaml_or_keys(verb: str) -> None:
    assert {"asyncssh", "yaml", "cryptography"}.isdisjoint(imported([verb, "--help"]))


def test_export_waits_for_no_ssh_and_no_terminal(fleet: Path) -> None:
    assert {"asyncssh", "rich", "asyncio", "wireloom.lab"}.isdisjoint(
        imported(["-q", "-f", str(fleet), "export", "-o", "out"])
    )


def test_the_installed_command_is_the_same_program(fleet: Path) -> None:
    done = wireloom(fleet.parent, "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("fleet.yaml: fine. 3 nodes in 2 sites, 3 tunnels, 10.99.0.0/24 on wg0")
