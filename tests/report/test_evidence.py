"""What ``verify`` leaves on the operator's disk."""

import json
import stat
from pathlib import Path

import pytest

from tests.report.samples import EVIDENCE
from wireloom.report.documents import evidence_document
from wireloom.report.evidence import keep_evidence, summarise, write_verdicts
from wireloom.values import NodeName

EARLY, LATE = "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"
DOCUMENT = evidence_document(EVIDENCE, LATE)


def test_verdicts_are_counted_by_kind() -> None:
    assert summarise(DOCUMENT, {}) == {
        "at": LATE,
        "verdict": "falsified",
        "claims": {
            "answers": {"at": LATE, "holds": 1, "falsified": 0, "unknown": 0},
            "handshake": {"at": LATE, "holds": 0, "falsified": 0, "unknown": 1},
            "mtu": {"at": LATE, "holds": 0, "falsified": 1, "unknown": 0},
        },
    }


def test_of_what_was_not_tested_now_the_last_verdicts_stay(tmp_path: Path) -> None:
    path = tmp_path / "verified" / "shop.json"
    canary = {"at": EARLY, "holds": 6, "falsified": 0, "unknown": 0}
    mtu = {"at": EARLY, "holds": 6, "falsified": 0, "unknown": 0}
    path.parent.mkdir()
    path.write_text(json.dumps({"at": EARLY, "verdict": "holds", "claims": {"canary": canary, "mtu": mtu}}))
    write_verdicts(path, DOCUMENT)
    claims = json.loads(path.read_text())["claims"]
    assert claims["canary"] == canary
    assert claims["mtu"]["at"] == LATE


@pytest.mark.parametrize("text", ["", "{", "[]", '{"claims": 3}', '{"claims": null}'])
def test_a_garbled_summary_is_written_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "shop.json"
    path.write_text(text)
    write_verdicts(path, DOCUMENT)
    assert set(json.loads(path.read_text())["claims"]) == {"answers", "handshake", "mtu"}


def test_evidence_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "kept"
    keep_evidence(directory, DOCUMENT, {NodeName("cp1"): b"packets"})
    assert (directory / "cp1.pcap").read_bytes() == b"packets"
    assert json.loads((directory / "evidence.json").read_text()) == {"version": 1, **DOCUMENT}
    assert {stat.S_IMODE(one.stat().st_mode) for one in directory.iterdir()} == {0o600}
