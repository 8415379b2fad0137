"""All claims as data for the script in an HTML report: small enough for every pair of a large fleet. Pure.

Texts repeat themselves, and so do the words in those that differ: an address, an interface, a protocol. So
a text is a list of words, and words, texts and nodes are named by their places in lists.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from wireloom.report.tally import WORST_FIRST
from wireloom.values import NodeName
from wireloom.verify.claim import KINDS, Claim, Evidence, PacketSeen, Verdict

MOST_PACKETS = 10_000
"""Packets in one report: 400 kB of them, more than anybody reads. The rest is in the JSON."""


@dataclass(slots=True)
class _Tables:
    """What claims refer to, by place. ``legible`` makes any text one that can be shown."""

    legible: Callable[[str], str]
    nodes: dict[str, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    texts: dict[tuple[int, ...], int] = field(default_factory=dict)

    def node(self, name: str) -> int:
        return self.nodes.setdefault(self.legible(name), len(self.nodes))

    def text(self, text: str) -> int:
        words = self.legible(text).split(" ")
        places = tuple(self.words.setdefault(word, len(self.words)) for word in words)
        return self.texts.setdefault(places, len(self.texts))


def write_ledger(
    evidence: Evidence, nodes: Iterable[NodeName], legible: Callable[[str], str]
) -> dict[str, Any]:
    """Evidence → ``{nodes, words, texts, kinds}``.

    A kind is ``{name, claimed, tested, claims}``; a claim ``[source, target or -1, verdict's place in
    WORST_FIRST, text]``, and where there are packets also ``[packet, …]``, and how many more there were; a
    packet ``[time, node, device's text, outgoing, text, bytes]``. ``nodes`` come first in the list of nodes.
    Packets are as many of each claim as fit, those of claims that do not hold first.
    """
    tables = _Tables(legible)
    for node in nodes:
        tables.node(node)
    most = _share_room(evidence.claims)
    kinds = []
    for name, kind in KINDS.items():
        claims = [claim for claim in evidence.claims if claim.claim == name]
        if claims:
            claims.sort(key=lambda claim: WORST_FIRST.index(claim.verdict))
            rows = [_write_claim(claim, tables, most) for claim in claims]
            kinds.append({"name": name, "claimed": kind.claimed, "tested": kind.tested, "claims": rows})
    return {
        "nodes": list(tables.nodes),
        "words": list(tables.words),
        "texts": list(tables.texts),
        "kinds": kinds,
    }


def _share_room(claims: Sequence[Claim]) -> tuple[int, int]:
    """How many packets of each claim that does not hold there is room for, then of each that holds."""
    broken = [len(one.packets) for one in claims if one.verdict is not Verdict.HOLDS]
    sound = [len(one.packets) for one in claims if one.verdict is Verdict.HOLDS]
    most = _fit(broken, MOST_PACKETS)
    return most, _fit(sound, MOST_PACKETS - sum(min(number, most) for number in broken))


def _fit(counts: Sequence[int], room: int) -> int:
    """The largest number of which each may have up to so many."""
    most = max(counts, default=0)
    while most and sum(min(number, most) for number in counts) > room:
        most -= 1
    return most


def _write_claim(claim: Claim, tables: _Tables, most: tuple[int, int]) -> list[Any]:
    target = -1 if claim.target is None else tables.node(claim.target)
    verdict = WORST_FIRST.index(claim.verdict)
    row = [tables.node(claim.source), target, verdict, tables.text(claim.detail)]
    if not claim.packets:
        return row
    shown = claim.packets[: most[claim.verdict is Verdict.HOLDS]]
    return [*row, [_write_packet(one, tables) for one in shown], len(claim.packets) - len(shown)]


def _write_packet(packet: PacketSeen, tables: _Tables) -> list[Any]:
    return [
        time_of_day(packet.at),
        tables.node(packet.node),
        tables.text(packet.device),
        int(packet.outgoing),
        tables.text(packet.what),
        packet.length,
    ]


def time_of_day(at: float) -> str:
    """Seconds since 1970 → ``12:00:00.250``, UTC. A machine may have said anything."""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[11:23]
    except (OverflowError, ValueError, OSError):
        return "?"
