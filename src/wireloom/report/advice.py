"""What ``advise`` shows, and its JSON."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from wireloom.advise.advice import Advice, Change, Cost, Left
from wireloom.advise.choice import Layer
from wireloom.advise.matrix import Cover, Note
from wireloom.advise.rules import Effect, Fired
from wireloom.advise.source import Source
from wireloom.report.coverage import WORDS
from wireloom.report.prose import hang, list_sources, number

MEANINGS = {
    Layer.UNDERLAY: "WireGuard on the machines, below Kubernetes",
    Layer.CNI: "WireGuard in Kubernetes' network plugin",
    Layer.BOTH: "WireGuard on the machines and in the network plugin",
}


def show_advice(advice: Advice, assumed: Mapping[str, str]) -> None:
    """The advice on stdout; in a pipe whole lines."""
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    width = console.width if sys.stdout.isatty() else None
    for line in draw_advice(advice, assumed, width):
        console.print(line)


def draw_advice(advice: Advice, assumed: Mapping[str, str], width: int | None) -> Iterator[Text]:
    """The lines: the answer first, then why, what is left alone, what it costs, what would change it."""
    for line in hang(f"Use {advice.recommended}: {MEANINGS[advice.recommended]}.", width):
        yield Text(line, "bold green")
    yield from _texts(hang(_compare(advice), width))
    if assumed:
        told = ", ".join(f"{key}={value}" for key, value in assumed.items())
        yield from _texts(hang(f"Assumed: {told}.", width))
    sources = advice.sources
    yield from _section("Why", _fired(advice.reasons, sources, width))
    yield from _section("Look out", _fired(advice.cautions, sources, width))
    yield from _section("What stays unencrypted", _all_left(advice.left, sources, width))
    yield from _section("What it costs", _costs(advice.costs, sources, width))
    yield from _section("What would change the answer", _changes(advice.changes, width))
    yield from _section("Sources", list_sources(sources, width))


def _section(title: str, lines: Iterator[str]) -> Iterator[Text]:
    """A title and its lines; nothing where there are none."""
    found = list(lines)
    if found:
        yield Text("")
        yield Text(title, "bold")
        yield from _texts(iter(found))


def _texts(lines: Iterator[str]) -> Iterator[Text]:
    return (Text(line) for line in lines)


def _compare(advice: Advice) -> str:
    """How the fleet's own choice stands to the answer."""
    chosen = advice.facts.choice.layer
    if advice.agrees:
        return f"The fleet has it so: encrypt: {chosen}."
    ruled_out = any(one.rule.effect is Effect.AGAINST_CNI for one in advice.fired) and chosen is Layer.CNI
    but = ", which does not work here" if ruled_out else ""
    return f"The fleet has encrypt: {chosen}{but}."


def _fired(fired: Sequence[Fired], sources: Sequence[Source], width: int | None) -> Iterator[str]:
    for one in fired:
        effect = "" if one.rule.effect is Effect.CAUTION else f" ({one.rule.effect})"
        yield from hang(f"{one.rule.name}{effect}: {one.seen}", width, indent=2)
        yield from hang(f"{one.rule.says} {number(one.rule.sources, sources)}", width, indent=6, under=0)


def _all_left(left: Sequence[Left], sources: Sequence[Source], width: int | None) -> Iterator[str]:
    for one in left:
        yield from hang(f"encrypt: {one.layer}", width, indent=2)
        yield from _left(one, sources, width)


def _left(left: Left, sources: Sequence[Source], width: int | None) -> Iterator[str]:
    for cover in (Cover.NOTHING, Cover.TLS):
        titles = [traffic.called for traffic, cell in left.classes if cell.cover is cover]
        if titles:
            yield from hang(f"{WORDS[cover]}: {'; '.join(titles)}", width, indent=4)
    conditions: dict[tuple[Note, ...], list[str]] = {}
    for traffic, cell in left.classes:
        if cell.conditional:
            conditions.setdefault(cell.notes, []).append(traffic.called)
    for notes, titles in conditions.items():
        told = "; ".join(f"{note.text} {number(note.sources, sources)}" for note in notes)
        yield from hang(f"with a condition: {'; '.join(titles)}: {told}", width, indent=4)
    for note in left.provided:
        yield from hang(f"for all else: {note.text} {number(note.sources, sources)}", width, indent=4)
    for note in left.remarks:
        yield from hang(f"how well one knows: {note.text} {number(note.sources, sources)}", width, indent=4)


def _costs(costs: Sequence[Cost], sources: Sequence[Source], width: int | None) -> Iterator[str]:
    for one in costs:
        mtu = "" if one.mtu is None else f"MTU {one.mtu} for pods; "
        text = f"{one.layer}, {one.way}: {mtu}{one.says} {number(one.sources, sources)}"
        yield from hang(text, width, indent=2)
    if costs:
        text = "Throughput depends on your machines, and nobody's figure is yours: measure it."
        yield from hang(text, width, indent=2)


def _changes(changes: Sequence[Change], width: int | None) -> Iterator[str]:
    if not changes:
        yield from hang("No single thing that --what-if can assume.", width, indent=2)
    for one in changes:
        text = f"{one.assumption.key}={one.value}: use {one.recommended} ({one.assumption.says})"
        yield from hang(text, width, indent=2)


def advice_document(fleet: str, advice: Advice, assumed: Mapping[str, str]) -> dict[str, Any]:
    """The advice as data; sources by name, each written out once."""
    return {
        "fleet": fleet,
        "recommended": str(advice.recommended),
        "chosen": str(advice.facts.choice.layer),
        "assumed": dict(assumed),
        "rules": [
            {
                "rule": one.rule.name,
                "effect": str(one.rule.effect),
                "seen": one.seen,
                "says": one.rule.says,
                "sources": _names(one.rule.sources),
            }
            for one in advice.fired
        ],
        "unencrypted": {str(one.layer): _left_document(one) for one in advice.left},
        "costs": [
            {
                "encrypt": str(one.layer),
                "way": one.way,
                "pod_mtu": one.mtu,
                "says": one.says,
                "sources": _names(one.sources),
            }
            for one in advice.costs
        ],
        "changes": [
            {
                "assume": f"{one.assumption.key}={one.value}",
                "says": one.assumption.says,
                "recommended": str(one.recommended),
            }
            for one in advice.changes
        ],
        "sources": {one.name: one.url for one in advice.sources},
    }


def _left_document(left: Left) -> dict[str, Any]:
    return {
        "classes": [
            {
                "traffic": str(traffic),
                "encrypted_by": str(cell.cover),
                "conditional": cell.conditional,
                "notes": [note.text for note in cell.notes],
            }
            for traffic, cell in left.classes
        ],
        "provided": [note.text for note in left.provided],
        "remarks": [note.text for note in left.remarks],
    }


def _names(sources: Sequence[Source]) -> list[str]:
    return [one.name for one in sources]
