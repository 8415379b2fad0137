"""Mistakes with their place in the file, while they are still being collected."""

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from wireloom.errors import Diagnostic, Severity

T_co = TypeVar("T_co", covariant=True)

SHOWN_CHARACTERS = 60


class Position(NamedTuple):
    """A place in the file: line and column, both from 1, the column in characters."""

    line: int
    column: int


START = Position(1, 1)


@dataclass(frozen=True, slots=True)
class Located(Generic[T_co]):
    """A value and the place it was written at."""

    value: T_co
    at: Position


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake or doubt at a place of the file; becomes a Diagnostic when the file's name is known."""

    at: Position
    what: str
    hint: str = ""
    severity: Severity = Severity.ERROR


class Refused(ValueError):
    """A text that is not the value it should be. ``hint``: what to write instead."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


def show(text: str) -> str:
    """``text`` between backticks, cut short, with nothing in it that could steer a terminal."""
    return f"`{tame(text)}`"


def tame(text: str) -> str:
    """``text`` as ``show`` has it, without the backticks."""
    cut = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def closest(text: str, known: list[str]) -> str | None:
    """The known word that ``text`` was perhaps meant to be."""
    # Loaded only when something is wrong: it is not free, and most files are right.
    from difflib import get_close_matches

    return next(iter(get_close_matches(text[:SHOWN_CHARACTERS], known, n=1)), None)


def suggest(text: str, known: list[str]) -> str:
    """``: did you mean `x`?`` when a known word is close to ``text``, else nothing."""
    return ask_for(closest(text, known))


def ask_for(meant: str | None) -> str:
    """``: did you mean `x`?``, or nothing."""
    return f": did you mean {show(meant)}?" if meant else ""


def diagnose(findings: list[Finding], file: str) -> tuple[Diagnostic, ...]:
    """The findings as diagnostics, in the order of the file, each once.

    An alias shows one mistake as many times as it is used; the reader needs it once.
    """
    ordered = sorted(dict.fromkeys(findings), key=lambda one: one.at)
    return tuple(
        Diagnostic(one.what, f"{file}:{one.at.line}:{one.at.column}", one.hint, one.severity)
        for one in ordered
    )
