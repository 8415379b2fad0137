"""What the last ``verify`` proved on the machines, by class of traffic."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from wireloom.advise.traffic import TrafficClass

_ISO_8601 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)")


class Outcome(StrEnum):
    """The words of ``verify``, which is above this package and knows more."""

    HOLDS = "holds"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Proof:
    """What came out, when (ISO 8601), and on how many pairs of nodes."""

    outcome: Outcome
    when: str
    pairs: int


def read_proofs(evidence: object, *, outside: bool) -> Mapping[TrafficClass, Proof]:
    """The proofs in the document that ``verify`` leaves. Raises ValueError where it makes no sense.

    A canary is about what goes between machines of the fleet, some of which may be ``outside`` Kubernetes; an
    audit that saw them talk in clear speaks against it. By which address Kubernetes' own processes and pods
    talk is not for machines to prove.

    ``{"at": ISO 8601, "verdict": …, "claims": {"canary": {"at": …, "holds": 72, …}, …}}``: of a kind that the
    last run left out, an earlier run is told.
    """
    if not isinstance(evidence, dict):
        raise ValueError("not an object")
    when, claims = _read_time(evidence.get("at")), evidence.get("claims")
    if not isinstance(claims, dict):
        raise ValueError("`claims` is missing")
    if "canary" not in claims:
        return {}
    canary, audit = _count(claims["canary"]), _count(claims.get("clear", {}))
    pairs = sum(canary.values())
    if not pairs:
        return {}
    when = _read_time(claims["canary"].get("at", when))
    canary[Outcome.FALSIFIED] += audit[Outcome.FALSIFIED]
    worst = (one for one in (Outcome.FALSIFIED, Outcome.UNKNOWN) if canary[one])
    proof = Proof(next(worst, Outcome.HOLDS), when, pairs)
    proven = (TrafficClass.NODE_TO_NODE, *((TrafficClass.NODE_TO_OUTSIDE,) if outside else ()))
    return dict.fromkeys(proven, proof)


def _read_time(text: object) -> str:
    if not isinstance(text, str) or not _ISO_8601.fullmatch(text):
        raise ValueError("`at` is no time")
    return text


def _count(counts: object) -> dict[Outcome, int]:
    """How many claims of a kind came out how."""
    numbers = [counts.get(word, 0) for word in Outcome] if isinstance(counts, dict) else []
    if not numbers or not all(type(one) is int and one >= 0 for one in numbers):
        raise ValueError("claims without counts")
    return dict(zip(Outcome, numbers, strict=True))
