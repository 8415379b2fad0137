"""The table of ``coverage`` on terminals and in a pipe, and its JSON."""

import json
import re

import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from tests.advise.fleets import PUBLIC, cluster, read
from tests.advise.test_coverage import evidence
from wireloom.advise.choice import choice_of
from wireloom.advise.coverage import Coverage, cover
from wireloom.advise.matrix import LETTERS, Cover
from wireloom.advise.proof import Outcome, read_proofs
from wireloom.report.coverage import (
    COLOURS,
    OUTCOME_COLOURS,
    WORDS,
    coverage_document,
    print_coverage,
    show_coverage,
)
from wireloom.report.hint import completed_by

HOLDS = evidence(holds=72, falsified=0, unknown=0)


def coverage(keys: str = "", proof: object = None, *, every_column: bool = False) -> Coverage:
    proofs = read_proofs(proof, outside=True) if proof is not None else {}
    return cover(choice_of(read(cluster(PUBLIC, keys))), proofs, every_column=every_column)


def draw(shown: Coverage, width: int) -> str:
    """What the terminal shows, without the spaces at the ends of lines."""
    console = Console(width=width, force_terminal=True, color_system=None, highlight=False)
    with console.capture() as captured:
        print_coverage(shown, console)
    return re.sub(" +$", "", captured.get(), flags=re.MULTILINE)


SHOWN = {
    "underlay": coverage(proof=HOLDS),
    "cni": coverage("encrypt: cni"),
    "cilium": coverage("encrypt: cni, cni: cilium"),
    "all": coverage(every_column=True),
}


@pytest.mark.parametrize("width", [40, 60, 80])
@pytest.mark.parametrize("name", SHOWN)
def test_on_a_terminal(name: str, width: int, snapshot: SnapshotAssertion) -> None:
    assert snapshot == draw(SHOWN[name], width)


@pytest.mark.parametrize("name", SHOWN)
def test_in_a_pipe(name: str, snapshot: SnapshotAssertion, capsys: pytest.CaptureFixture[str]) -> None:
    show_coverage(SHOWN[name])
    assert snapshot == capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 47, 50, 60, 70, 80, 100, 120])
@pytest.mark.parametrize("name", SHOWN)
def test_no_cell_is_cut_and_no_line_is_too_long(name: str, width: int) -> None:
    drawn = draw(SHOWN[name], width)
    assert "…" not in drawn
    unbroken = ("https://", "node-role.kubernetes.io/")
    lines = [line for line in drawn.splitlines() if not line.strip().startswith(unbroken)]
    assert [line for line in lines if len(line) > width and "https://" not in line] == []


def test_in_a_pipe_a_row_is_a_line_which_ends_where_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    show_coverage(SHOWN["all"])
    lines = capsys.readouterr().out.splitlines()
    assert all(line == line.rstrip() for line in lines)
    assert [line for line in lines if line.startswith("node ↔ node, hostNetwork pods  ")]


@pytest.mark.parametrize(
    ("told", "proof"),
    [
        ("holds, 2026-11-25", evidence(holds=2)),
        ("falsified, 2026-11-25", evidence(holds=1, falsified=1)),
        ("unknown, 2026-11-25", evidence(holds=1, unknown=1)),
    ],
)
def test_what_was_proven_is_told_with_its_day(told: str, proof: object) -> None:
    drawn = draw(coverage(proof=proof), 100)
    rows = [line for line in drawn.splitlines() if told in line]
    assert [row.split("  ")[0] for row in rows] == [
        "node ↔ node, hostNetwork pods",
        "node → host outside Kubernetes",
    ]
    assert "2026-11-25T19:00:00Z" in drawn
    assert "on 2 pairs of nodes" in drawn
    assert "Not proven here" not in drawn


def test_without_a_proof_it_says_how_to_get_one() -> None:
    assert "Not proven here: `wireloom verify`" in draw(coverage(), 80)


def test_what_is_to_be_typed_is_on_one_line() -> None:
    with completed_by(lambda hint: hint.replace("verify", "-f a-file-with-a-long-name.yaml verify")):
        assert "`wireloom -f a-file-with-a-long-name.yaml verify`" in draw(coverage(), 60)


def test_every_cover_and_outcome_has_a_word_a_letter_and_a_colour() -> None:
    assert set(WORDS) == set(COLOURS) == set(LETTERS.values()) == set(Cover)
    assert set(OUTCOME_COLOURS) == set(Outcome)


# JSON


def test_the_document_of_a_fleet(snapshot: SnapshotAssertion) -> None:
    assert snapshot == json.dumps(coverage_document("public", SHOWN["underlay"]), indent=2)


@pytest.mark.parametrize("name", SHOWN)
def test_what_the_document_names_it_also_spells_out(name: str) -> None:
    document = coverage_document("public", SHOWN[name])
    columns = [one["column"] for one in document["columns"]]
    for row in document["rows"]:
        assert [cell["column"] for cell in row["cells"]] == columns
        for cell in row["cells"]:
            assert cell["sources"]
            assert set(cell["notes"]) <= set(document["notes"])
            assert set(cell["sources"]) <= set(document["sources"])
    assert set(document["remarks"]) <= set(document["notes"])
    for note in document["notes"].values():
        assert set(note["sources"]) <= set(document["sources"])
    assert json.loads(json.dumps(document)) == document


def test_the_document_says_what_was_proven() -> None:
    rows = {one["traffic"]: one["proven"] for one in coverage_document("public", SHOWN["underlay"])["rows"]}
    assert rows["node-to-node"] == {"verdict": "holds", "at": "2026-11-25T19:00:00Z", "pairs": 72}
    assert rows["pod-to-pod"] is None
