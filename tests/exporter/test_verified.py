"""The report that verify leaves: read, or absent, or garbled; never an error."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.samples import EVIDENCE
from wireloom.exporter.verified import MAX_BYTES, MAX_KINDS, KindVerified, NoReport, Verified, read_verified
from wireloom.report.documents import evidence_document
from wireloom.report.evidence import write_verdicts
from wireloom.verify.claim import Verdict

GOOD: dict[str, Any] = {
    "at": "2026-11-25T12:00:00Z",
    "verdict": "holds",
    "claims": {
        "canary": {"holds": 72, "falsified": 0, "unknown": 0},
        "mtu": {"at": "2026-11-25T11:00:00Z", "holds": 58},
    },
}


def text(**changed: object) -> bytes:
    return json.dumps(GOOD | changed).encode()


NOON = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()


def test_all_of_it_is_read() -> None:
    assert read_verified(text()) == Verified(
        at=NOON,
        verdict=Verdict.HOLDS,
        claims={
            "canary": KindVerified(NOON, {Verdict.HOLDS: 72, Verdict.FALSIFIED: 0, Verdict.UNKNOWN: 0}),
            "mtu": KindVerified(NOON - 3600, {Verdict.HOLDS: 58, Verdict.FALSIFIED: 0, Verdict.UNKNOWN: 0}),
        },
    )


def test_what_verify_leaves_is_read(tmp_path: Path) -> None:
    path = tmp_path / "verified" / "shop.json"
    write_verdicts(path, evidence_document(EVIDENCE, "2026-11-25T12:00:00+00:00"))
    told = Counter((claim.claim, claim.verdict) for claim in EVIDENCE.claims)
    kinds = {claim.claim for claim in EVIDENCE.claims}
    assert read_verified(path.read_bytes()) == Verified(
        at=NOON,
        verdict=EVIDENCE.verdict,
        claims={kind: KindVerified(NOON, {one: told[kind, one] for one in Verdict}) for kind in kinds},
    )


def test_another_zone_is_the_same_moment() -> None:
    assert read_verified(text(at="2026-11-25T13:00:00+01:00")) == read_verified(text())


def test_what_a_later_version_adds_is_passed_over() -> None:
    claims = {kind: {**told, "pairs": [9]} for kind, told in GOOD["claims"].items()}
    assert read_verified(text(version=2, sampled=True, claims=claims)) == read_verified(text())


def test_without_a_file_there_is_no_report() -> None:
    assert read_verified(None) is NoReport.ABSENT


GARBLED: dict[str, bytes] = {
    "nothing": b"",
    "cut short": text()[:-5],
    "no text": b"\xff\xfe",
    "no object": b"[]",
    "null": b"null",
    "too deep": b"[" * 100_000,
    "too long": text() + b" " * MAX_BYTES,
    "no time": text(at=None),
    "a time in words": text(at="yesterday"),
    "a time without its zone": text(at="2026-11-25T12:00:00"),
    "no day": text(at="2026-02-30T00:00:00Z"),
    "no verdict": json.dumps({"at": GOOD["at"], "claims": {}}).encode(),
    "another verdict": text(verdict="perhaps"),
    "a verdict that is none": text(verdict=["holds"]),
    "no claims": text(claims=None),
    "claims in a list": text(claims=["canary"]),
    "counts that are one number": text(claims={"canary": 72}),
    "another time of a kind": text(claims={"canary": {"at": "noon", "holds": 1}}),
    "fewer than none": text(claims={"canary": {"holds": -1}}),
    "half a claim": text(claims={"canary": {"holds": 0.5}}),
    "a truth for a number": text(claims={"canary": {"holds": True}}),
    "no number at all": text(claims={"canary": {"holds": float("nan")}}),
    "a kind that no label should have": text(claims={'a"b\n': {"holds": 1}}),
    "a kind without a name": text(claims={"": {"holds": 1}}),
    "too many kinds": text(claims={f"k{number}": {} for number in range(MAX_KINDS + 1)}),
}


@pytest.mark.parametrize("garbled", GARBLED.values(), ids=GARBLED)
def test_anything_else_is_garbled(garbled: bytes) -> None:
    assert read_verified(garbled) is NoReport.GARBLED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.fixed_dictionaries({"at": JSON, "verdict": JSON, "claims": JSON}))
def test_no_document_is_an_error(document: object) -> None:
    assert read_verified(json.dumps(document).encode()) is NoReport.GARBLED


@given(st.binary())
def test_no_bytes_are_an_error(data: bytes) -> None:
    assert read_verified(data) is NoReport.GARBLED
