"""How many of something hold, are falsified, are unknown, or were not tested."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from wireloom.verify.claim import Verdict

WORST_FIRST = (Verdict.FALSIFIED, Verdict.UNKNOWN, Verdict.HOLDS)


@dataclass(frozen=True, slots=True)
class Tally:
    """Verdicts, counted."""

    falsified: int = 0
    unknown: int = 0
    holds: int = 0
    untested: int = 0

    @property
    def verdict(self) -> Verdict | None:
        """The worst of them; None where nothing was tested."""
        return next((one for one in WORST_FIRST if self.count(one)), None)

    @property
    def tested(self) -> int:
        """How many have a verdict."""
        return self.falsified + self.unknown + self.holds

    def count(self, verdict: Verdict) -> int:
        """How many have this verdict."""
        return {
            Verdict.FALSIFIED: self.falsified,
            Verdict.UNKNOWN: self.unknown,
            Verdict.HOLDS: self.holds,
        }[verdict]

    def __str__(self) -> str:
        """``1 falsified, 2 unknown, 3 hold``, without those that there are none of."""
        counts = (
            (self.falsified, "falsified"),
            (self.unknown, "unknown"),
            (self.holds, "holds" if self.holds == 1 else "hold"),
            (self.untested, "not tested"),
        )
        return ", ".join(f"{number:,} {word}" for number, word in counts if number)


def tally(verdicts: Iterable[Verdict | None]) -> Tally:
    """Count verdicts; None is something that was not tested."""
    found = Counter(verdicts)
    return Tally(found[Verdict.FALSIFIED], found[Verdict.UNKNOWN], found[Verdict.HOLDS], found[None])
