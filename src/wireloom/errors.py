"""What a user is told when something is wrong: what, where, and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a diagnostic matters: an error stops the command, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake or doubt: what is wrong, where it is, and what to do about it.

    ``where`` is ``file:line:column`` (both from 1), a node's name, or empty.
    """

    what: str
    where: str = ""
    hint: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        """``where: severity: what (hint)``, with empty parts left out."""
        place = f"{self.where}: " if self.where else ""
        level = "" if self.severity is Severity.ERROR else f"{self.severity}: "
        advice = f"\n    {self.hint}" if self.hint else ""
        return f"{place}{level}{self.what}{advice}"


class UserError(Exception):
    """The user's or the world's mistake: shown without a traceback, exit code 1."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(one) for one in self.diagnostics))

    @classmethod
    def one(cls, what: str, *, where: str = "", hint: str = "") -> "UserError":
        """An error of a single diagnostic."""
        return cls([Diagnostic(what, where, hint)])
