"""What the last ``verify`` proved on the machines, by class of traffic."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wireloom.advise.traffic import TrafficClass

BY_PODS = (TrafficClass.POD_TO_POD, TrafficClass.POD_TO_NODE, TrafficClass.NODE_TO_POD)
"""What marked packets from and to pods prove, whichever layer it is that encrypts."""

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


def read_proofs(evidence: object, *, outside: bool, underlay: bool = True) -> Mapping[TrafficClass, Proof]:
    """The proofs in the document that ``verify`` leaves. Raises ValueError where it makes no sense.

    A canary is about what goes between machines of the fleet, some of which may be ``outside`` Kubernetes; an
    audit that saw them talk in clear speaks against it. One of pods is about what goes from and to them; what
    they send to machines is among it where there is an ``underlay``. By which address Kubernetes' own
    processes talk is not for either to prove.

    ``{"at": ISO 8601, "verdict": …, "claims": {"canary": {"at": …, "holds": 72, …}, …}}``: of a kind that the
    last run left out, an earlier run is told.
    """
    if not isinstance(evidence, dict):
        raise ValueError("not an object")
    when, claims = _read_time(evidence.get("at")), evidence.get("claims")
    if not isinstance(claims, dict):
        raise ValueError("`claims` is missing")
    machines = (TrafficClass.NODE_TO_NODE, *((TrafficClass.NODE_TO_OUTSIDE,) if outside else ()))
    pods = tuple(one for one in BY_PODS if underlay or one is not TrafficClass.POD_TO_NODE)
    in_clear = _count(claims.get("clear", {}))[Outcome.FALSIFIED] if "canary" in claims else 0
    return _prove(claims, "canary", machines, when, in_clear) | _prove(claims, "pod-canary", pods, when)


def _prove(
    claims: Mapping[str, Any], kind: str, proven: tuple[TrafficClass, ...], when: str, in_clear: int = 0
) -> dict[TrafficClass, Proof]:
    """What the verdicts of one kind prove; nothing where there are none. ``in_clear``: found otherwise."""
    if kind not in claims:
        return {}
    counts = _count(claims[kind])
    pairs = sum(counts.values())
    if not pairs:
        return {}
    counts[Outcome.FALSIFIED] += in_clear
    worst = (one for one in (Outcome.FALSIFIED, Outcome.UNKNOWN) if counts[one])
    proof = Proof(next(worst, Outcome.HOLDS), _read_time(claims[kind].get("at", when)), pairs)
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
