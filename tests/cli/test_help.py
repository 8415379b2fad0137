"""The help of every verb, as it is printed."""

import pytest
from syrupy.assertion import SnapshotAssertion

from wireloom.cli import k3s
from wireloom.cli.main import VERBS, run

LAB_VERBS = [["lab", verb] for verb in ("up", "down", "list", "exec")]
K3S_VERBS = [["k3s", verb] for verb in k3s.VERBS]
ALL = [[], *([verb] for verb in VERBS), *LAB_VERBS, *K3S_VERBS]


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("words", ALL, ids=lambda words: " ".join(words) or "wireloom")
def test_help(words: list[str], capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion) -> None:
    assert run([*words, "--help"]) == 0
    printed = capsys.readouterr()
    assert snapshot == printed.out
    assert printed.err == ""
    assert max(map(len, printed.out.splitlines())) <= 80


@pytest.mark.parametrize("words", ALL, ids=lambda words: " ".join(words) or "wireloom")
def test_every_verb_has_the_common_options(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run([*words, "--help"])
    told = capsys.readouterr().out
    for option in ("-f, --file", "--json", "--lab", "-v, --verbose", "-q, --quiet", "-h, --help"):
        assert option in told
