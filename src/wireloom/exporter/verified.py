"""What the last ``wireloom verify`` came to, as it left it beside the fleet file. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from wireloom.verify.claim import Verdict

MAX_BYTES = 1024 * 1024
"""Of the report: a few hundred bytes are usual. More is not read."""

MAX_KINDS = 50
"""Of claims: each is three time series in somebody's database."""


class NoReport(StrEnum):
    """Why nothing is known of the last verify."""

    ABSENT = "absent"
    GARBLED = "garbled"


@dataclass(frozen=True, slots=True)
class KindVerified:
    """How many claims of one kind have each verdict, as last tested. ``at``: seconds since 1970."""

    at: float
    verdicts: Mapping[Verdict, int]


@dataclass(frozen=True, slots=True)
class Verified:
    """What the last run of verify came to, and when, and how the claims of each kind stand.

    A kind that it left out stands as some run before it has found.
    """

    at: float
    verdict: Verdict
    claims: Mapping[str, KindVerified]


LastVerify = Verified | NoReport


def read_verified(text: bytes | None) -> LastVerify:
    """The report as it lies there, None where there is none; never an error."""
    if text is None:
        return NoReport.ABSENT
    try:
        return _parse(text)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return NoReport.GARBLED


def _parse(text: bytes) -> Verified:
    """``{"at", "verdict", "claims": {KIND: {"at", VERDICT: NUMBER, …}}}``; more keys are passed over."""
    if len(text) > MAX_BYTES:
        raise ValueError("too long")
    document = json.loads(text)
    claims = {
        _read_kind(kind): _read_tested(told, document["at"]) for kind, told in document["claims"].items()
    }
    if len(claims) > MAX_KINDS:
        raise ValueError("too many kinds")
    return Verified(_read_time(document["at"]), Verdict(document["verdict"]), claims)


def _read_time(text: str) -> float:
    """ISO 8601 with its zone, as seconds since 1970."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without its zone")
    return time.timestamp()


def _read_kind(text: str) -> str:
    """The name of a kind of claim: it becomes a label's value."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", text):
        raise ValueError("not a kind of claim")
    return text


def _read_tested(told: Mapping[str, Any], at: str) -> KindVerified:
    """``at``: when it was tested where that is not told. A verdict that is not named has no claims."""
    verdicts = {verdict: told.get(verdict, 0) for verdict in Verdict}
    if any(type(number) is not int or number < 0 for number in verdicts.values()):
        raise ValueError("not a number of claims")
    return KindVerified(_read_time(told.get("at", at)), verdicts)
