"""Evidence on the operator's disk: all of it where it is asked for, and the last verdicts of each fleet."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wireloom.disk import put_file
from wireloom.report.documents import VERSION, Document
from wireloom.values import NodeName


def keep_evidence(directory: Path, document: Document, captures: Mapping[NodeName, bytes]) -> None:
    """Write ``evidence.json``, and ``NODE.pcap`` for each capture. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, capture in captures.items():
        put_file(directory / f"{name}.pcap", capture, mode=0o600)
    put_file(directory / "evidence.json", _text(document), mode=0o600)


def write_verdicts(path: Path, document: Document) -> None:
    """Write how the claims of a fleet stand, counted by kind. Raises OSError.

    Of a kind that was not tested now, the last verdicts stay.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    put_file(path, _text(summarise(document, _read_verdicts(path))), mode=0o644)


def summarise(document: Document, earlier: Mapping[str, Any]) -> Document:
    """An evidence document in figures: ``{"at", "verdict", "claims": {KIND: {"at", "holds", …}}}``.

    ``earlier`` are the ``claims`` of the summary before.
    """
    told = Counter((one["claim"], one["verdict"]) for one in document["claims"])
    claims = {
        kind: {"at": document["at"]}
        | {verdict: told[kind, verdict] for verdict in ("holds", "falsified", "unknown")}
        for kind in document["kinds"]
    }
    return {"at": document["at"], "verdict": document["verdict"], "claims": {**earlier, **claims}}


def _read_verdicts(path: Path) -> Mapping[str, Any]:
    """The claims of an earlier summary; none where it can't be read: it is of no use any more."""
    try:
        claims = json.loads(path.read_bytes())["claims"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _text(document: Mapping[str, Any]) -> bytes:
    return (json.dumps({"version": VERSION, **document}, indent=1) + "\n").encode()
