"""The options that say how careful an apply is, and the number of a rollback: right, or told first."""

import json
from pathlib import Path

import click
import pytest

from wireloom.cli.main import run
from wireloom.cli.terms import Count, Seconds, make_terms

Printed = pytest.CaptureFixture[str]

TIMES = {"60": 60, "60s": 60, "5s": 5, "2m": 120, "60m": 3600, "3600": 3600}


@pytest.mark.parametrize(("text", "expected"), TIMES.items())
def test_a_time_is_seconds(text: str, expected: int) -> None:
    assert expected == Seconds().convert(text, None, None)


@pytest.mark.parametrize("text", ["0", "4s", "4", "61m", "99999m", "0m", "3601"])
def test_a_time_out_of_bounds_names_them(text: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        Seconds().convert(text, None, None)
    assert raised.value.message == f"{text!r} is not between 5s and 60m."


@pytest.mark.parametrize(
    "text", ["-1", "abc", "1h", "", "s", "1.5m", "60 s", "٦٠", "9999999", "6_0", "60s\n"]
)
def test_what_is_no_time_is_told_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        Seconds().convert(text, None, None)
    assert raised.value.message == f"{text!r} is not a time: 60s or 2m, say."


@pytest.mark.parametrize("text", ["0", "x", "", "-3", "1.5", "1_0", "٣", "1000000000", "7\n"])
def test_what_is_no_count_is_told(text: str) -> None:
    with pytest.raises(click.BadParameter) as raised:
        Count().convert(text, None, None)
    assert raised.value.message == f"{text!r} is not a number from 1 on."


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("007", 7), ("400", 400)])
def test_a_count(text: str, expected: int) -> None:
    assert expected == Count().convert(text, None, None)


WRONG = {
    "--confirm-within 0": "'--confirm-within': '0' is not between 5s and 60m.",
    "--confirm-within -1": "'--confirm-within': '-1' is not a time: 60s or 2m, say.",
    "--confirm-within 4s": "'--confirm-within': '4s' is not between 5s and 60m.",
    "--confirm-within 1h": "'--confirm-within': '1h' is not a time: 60s or 2m, say.",
    "--max-parallel 0": "'--max-parallel': '0' is not a number from 1 on.",
    "--max-parallel x": "'--max-parallel': 'x' is not a number from 1 on.",
    "--max-parallel -1": "'--max-parallel': '-1' is not a number from 1 on.",
}


@pytest.fixture
def nobody_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    for verb in ("apply", "rollback", "history"):
        monkeypatch.setattr(
            f"wireloom.cli.{verb}.open_world", lambda _: pytest.fail("the fleet was looked at")
        )


@pytest.mark.usefixtures("nobody_dialled", "fleet")
@pytest.mark.parametrize("verb", ["apply", "rollback"])
@pytest.mark.parametrize(("words", "expected"), WRONG.items(), ids=WRONG)
def test_a_wrong_option_is_told_before_anything_is_dialled(
    verb: str, words: str, expected: str, capsys: Printed
) -> None:
    assert run([verb, *words.split()]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"Error: Invalid value for {expected}"


@pytest.mark.usefixtures("nobody_dialled", "fleet")
@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("x", "Invalid value for '[GENERATION]': 'x' is not a number from 1 on."),
        ("0", "Invalid value for '[GENERATION]': '0' is not a number from 1 on."),
        ("-3", "No such option '-3'."),
    ],
)
def test_a_wrong_generation_is_told_before_anything_is_dialled(
    word: str, expected: str, capsys: Printed
) -> None:
    assert run(["rollback", "--json", word]) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1] == f"Error: {expected}"
    assert json.loads(printed.out)["errors"][0]["what"] == expected


def test_all_at_once_unless_told_otherwise() -> None:
    assert (
        make_terms(window=60, max_parallel=None).max_parallel,
        make_terms(window=5, max_parallel=3).window,
    ) == (
        0,
        5,
    )


def test_no_two_applies_have_one_id() -> None:
    assert len({make_terms(window=60, max_parallel=None).id for _ in range(100)}) == 100


def test_who_runs_it_is_a_line_whatever_the_machine_is_called(
    monkeypatch: pytest.MonkeyPatch, fleet: Path
) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr("socket.gethostname", lambda: "lap\ntop\x1b")
    assert make_terms(window=60, max_parallel=None).who == "ada@lap?top?"
