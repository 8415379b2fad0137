"""What ``coverage`` shows, and its JSON. An HTML report draws the same ``Coverage``."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from wireloom.advise.coverage import Coverage, Row
from wireloom.advise.matrix import LETTERS, Cell, Column, Cover, Note
from wireloom.advise.proof import Outcome, Proof
from wireloom.advise.source import Source
from wireloom.grammar import count
from wireloom.report.columns import Columns, print_whole
from wireloom.report.columns import Row as Cells
from wireloom.report.hint import complete
from wireloom.report.prose import hang, list_sources, number

WORDS = {
    Cover.UNDERLAY: "underlay",
    Cover.CNI: "CNI",
    Cover.BOTH: "underlay and CNI",
    Cover.TLS: "TLS only",
    Cover.TLS_AND_UNDERLAY: "TLS and underlay",
    Cover.NOTHING: "nothing",
    Cover.STAYS: "stays on the node",
}
COLOURS = {
    Cover.UNDERLAY: "green",
    Cover.CNI: "green",
    Cover.BOTH: "green",
    Cover.TLS: "yellow",
    Cover.TLS_AND_UNDERLAY: "green",
    Cover.NOTHING: "red",
    Cover.STAYS: "dim",
}
OUTCOME_COLOURS = {Outcome.HOLDS: "green", Outcome.FALSIFIED: "red", Outcome.UNKNOWN: "yellow"}
_LETTER_OF = {cover: letter for letter, cover in LETTERS.items()}


def show_coverage(coverage: Coverage) -> None:
    """The table and what belongs to it on stdout; in a pipe whole lines."""
    if sys.stdout.isatty():
        print_coverage(coverage, Console(file=sys.stdout, highlight=False))
        return
    print_whole(draw_coverage(coverage, None))


def print_coverage(coverage: Coverage, console: Console) -> None:
    """The parts on a terminal of any width."""
    for part in draw_coverage(coverage, console.width):
        # An address that is longer than a line is the terminal's to wrap: it can be copied then.
        console.print(part, soft_wrap=isinstance(part, Text))


def draw_coverage(coverage: Coverage, width: int | None) -> Iterator[RenderableType]:
    """The parts, top to bottom. Where there is one column a cell is words, where there are more a letter."""
    marks = dict(zip(coverage.notes, ascii_lowercase, strict=False))
    sources = coverage.sources
    several = len(coverage.columns) > 1
    if several:
        yield from _table_of_letters(coverage, marks, width)
        yield from _blank()
        yield from _texts(_legend(coverage, marks, sources, width))
    else:
        yield from _texts(hang(_head(coverage.columns[0], marks), width))
        yield from _blank()
        yield from _table_of_words(coverage, marks, sources, width)
    yield from _blank()
    yield from _texts(hang(_told(coverage), width))
    notes = [*_notes(marks, sources, width), *_remarks(coverage, sources, width)]
    if notes:
        yield from _blank()
        yield Text("Notes", "bold")
        yield from _texts(iter(notes))
    yield from _blank()
    yield Text("Sources", "bold")
    yield from _texts(list_sources(sources, width))


def _blank() -> Iterator[Text]:
    yield Text("")


def _texts(lines: Iterator[str]) -> Iterator[Text]:
    return (Text(line) for line in lines)


def _head(column: Column, marks: Mapping[Note, str]) -> str:
    return f"This fleet: {_titled(column, marks)}."


def _titled(column: Column, marks: Mapping[Note, str]) -> str:
    shown = " ".join(marks[note] for note in column.notes if note in marks)
    return f"{column.title} ({shown})" if shown else column.title


def _table_of_words(
    coverage: Coverage, marks: Mapping[Note, str], sources: Sequence[Source], width: int | None
) -> Iterator[RenderableType]:
    def row(one: Row) -> Cells:
        (cell,) = one.cells
        shown = " ".join((WORDS[cell.cover], *(f"({marks[note]})" for note in cell.notes)))
        return {
            "TRAFFIC": one.traffic.called,
            "ENCRYPTED BY": Text(shown, COLOURS[cell.cover]),
            "PROVEN HERE": _proven(one),
            "SOURCES": number(cell.sources, sources),
        }

    columns = Columns(
        titles=("TRAFFIC", "ENCRYPTED BY", "PROVEN HERE", "SOURCES"),
        wrapped=frozenset({"ENCRYPTED BY", "PROVEN HERE"}),
    )
    return columns.fit(lambda _: [row(one) for one in coverage.rows], width)


def _table_of_letters(
    coverage: Coverage, marks: Mapping[Note, str], width: int | None
) -> Iterator[RenderableType]:
    """A letter and its notes for each column; sources are told by column and by note, below it."""
    places = [str(place) for place, _ in enumerate(coverage.columns, 1)]

    def row(one: Row) -> Cells:
        letters = (_lettered(cell, marks) for cell in one.cells)
        return {
            "TRAFFIC": one.traffic.called,
            **dict(zip(places, letters, strict=True)),
            "PROVEN HERE": _proven(one),
        }

    columns = Columns(titles=("TRAFFIC", *places, "PROVEN HERE"), wrapped=frozenset({"PROVEN HERE"}))
    return columns.fit(lambda _: [row(one) for one in coverage.rows], width)


def _lettered(cell: Cell, marks: Mapping[Note, str]) -> Text:
    shown = _LETTER_OF[cell.cover] + "".join(marks[note] for note in cell.notes)
    return Text(shown, COLOURS[cell.cover])


def _legend(
    coverage: Coverage, marks: Mapping[Note, str], sources: Sequence[Source], width: int | None
) -> Iterator[str]:
    for place, column in enumerate(coverage.columns, 1):
        own = ", this fleet" if column in coverage.own else ""
        text = f"{place} {_titled(column, marks)}{own} {number(column.sources, sources)}"
        yield from hang(text, width, indent=2)
    met = {cell.cover for row in coverage.rows for cell in row.cells}
    yield from hang(
        ", ".join(f"{letter} {WORDS[one]}" for letter, one in LETTERS.items() if one in met), width
    )
    of_columns = {source for column in coverage.columns for source in column.sources}
    of_tls = [
        source
        for row in coverage.rows
        if any(cell.cover in (Cover.TLS, Cover.TLS_AND_UNDERLAY) for cell in row.cells)
        for source in row.sources
        if source not in of_columns
    ]
    yield from hang(f"TLS is Kubernetes' and k3s' own {number(of_tls, sources)}", width)


def _proven(row: Row) -> Text:
    if row.proof is not None:
        day = row.proof.when.partition("T")[0]
        return Text(f"{row.proof.outcome}, {day}", OUTCOME_COLOURS[row.proof.outcome])
    return Text("no" if any(cell.cover.encrypted for cell in row.cells) else "")


def _told(coverage: Coverage) -> str:
    """Where the proofs are from, or how to get them."""
    proofs = dict.fromkeys(row.proof for row in coverage.rows if row.proof is not None)
    if not proofs:
        return complete("Not proven here: `wireloom verify` proves it.")
    return " ".join(
        f"Tested on these machines by `wireloom verify`, {one.when}: {one.outcome}, on"
        f" {count(one.pairs, 'pair')} of nodes."
        for one in proofs
    )


def _notes(marks: Mapping[Note, str], sources: Sequence[Source], width: int | None) -> Iterator[str]:
    for note, mark in marks.items():
        yield from hang(f"({mark}) {note.text} {number(note.sources, sources)}", width, indent=2, under=4)


def _remarks(coverage: Coverage, sources: Sequence[Source], width: int | None) -> Iterator[str]:
    for note in coverage.remarks:
        yield from hang(f"{note.text} {number(note.sources, sources)}", width, indent=2, under=4)


def coverage_document(fleet: str, coverage: Coverage) -> dict[str, Any]:
    """The whole table; notes and sources by name, each written out once."""
    choice = coverage.choice
    return {
        "fleet": fleet,
        "choice": {
            "encrypt": str(choice.layer),
            "cni": choice.cni,
            "flannel_backend": choice.backend,
        },
        "columns": [_column_document(column, coverage) for column in coverage.columns],
        "rows": [_row_document(row, coverage.columns) for row in coverage.rows],
        "remarks": [note.name for note in coverage.remarks],
        "notes": {
            note.name: {"text": note.text, "limits": note.limits, "sources": _names(note.sources)}
            for note in (*coverage.notes, *coverage.remarks)
        },
        "sources": {one.name: one.url for one in coverage.sources},
    }


def _column_document(column: Column, coverage: Coverage) -> dict[str, Any]:
    return {
        "column": column.name,
        "title": column.title,
        "layer": None if column.layer is None else str(column.layer),
        "own": column in coverage.own,
        "notes": [note.name for note in column.notes if note in coverage.notes],
    }


def _row_document(row: Row, columns: Sequence[Column]) -> dict[str, Any]:
    return {
        "traffic": str(row.traffic),
        "title": row.traffic.called,
        "cells": [
            {
                "column": column.name,
                "encrypted_by": str(cell.cover),
                "conditional": cell.conditional,
                "notes": [note.name for note in cell.notes],
                "sources": _names(cell.sources),
            }
            for column, cell in zip(columns, row.cells, strict=True)
        ],
        "proven": None if row.proof is None else _proof_document(row.proof),
    }


def _proof_document(proof: Proof) -> dict[str, Any]:
    return {"verdict": str(proof.outcome), "at": proof.when, "pairs": proof.pairs}


def _names(sources: Sequence[Source]) -> list[str]:
    return [one.name for one in sources]
