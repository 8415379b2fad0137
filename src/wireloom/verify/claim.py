"""What is claimed of a fleet, what was seen, and the verdict."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from wireloom.observe.state import Unreachable
from wireloom.values import NodeName


class Verdict(StrEnum):
    """Whether a claim stands. Never ``holds`` for lack of evidence."""

    HOLDS = "holds"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim about an ordered pair of nodes: its kind, the verdict, and what was seen.

    Kinds: ``answers`` (over the underlay), ``handshake`` (with the planned key and endpoint), ``mtu``
    (the path beside the tunnel carries full packets).
    """

    claim: str
    source: NodeName
    target: NodeName
    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All claims of one run. ``pairs`` were tested of ``all_pairs`` that are peers of each other.

    ``unasked`` are the nodes that could not be asked, and why: their own claims are unknown for that.
    """

    claims: tuple[Claim, ...]
    pairs: int
    all_pairs: int
    unasked: tuple[Unreachable, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Falsified outweighs unknown, unknown outweighs holds; nothing tested is unknown."""
        return conclude(claim.verdict for claim in self.claims)

    @property
    def sampled(self) -> bool:
        """Not every pair was tested."""
        return self.pairs < self.all_pairs


def conclude(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict over many verdicts."""
    found = set(verdicts)
    for verdict in (Verdict.FALSIFIED, Verdict.UNKNOWN, Verdict.HOLDS):
        if verdict in found:
            return verdict
    return Verdict.UNKNOWN
