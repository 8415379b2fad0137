"""The claims that do not hold: what was seen alike is told once, with all whom it concerns. Pure."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from wireloom.report.tally import WORST_FIRST
from wireloom.values import NodeName
from wireloom.verify.claim import Claim, PacketSeen, Verdict

MOST_PACKETS = 12
"""Packets that are shown of claims that do not hold for the same reason."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom claims are about: each of the sources with each of the targets, or nodes alone."""

    sources: tuple[NodeName, ...]
    targets: tuple[NodeName, ...] = ()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Claims of one kind with the same verdict for the same reason.

    ``packets`` are some of theirs, and there are ``more_packets``.
    """

    verdict: Verdict
    detail: str
    subjects: tuple[Subject, ...]
    claims: int
    packets: tuple[PacketSeen, ...] = ()
    more_packets: int = 0


def gather_troubles(claims: Iterable[Claim], unasked: Set[NodeName]) -> Iterator[Trouble]:
    """Claims of one kind → those that do not hold, the falsified first.

    Left out are those that are unknown because their node could not be asked: that is told of the node.
    """
    alike: dict[tuple[Verdict, str], list[Claim]] = {}
    for claim in claims:
        silent = claim.verdict is Verdict.UNKNOWN and claim.source in unasked
        if claim.verdict is not Verdict.HOLDS and not silent:
            alike.setdefault((claim.verdict, claim.detail), []).append(claim)
    for worst in WORST_FIRST:
        for (verdict, detail), group in alike.items():
            if verdict is worst:
                packets = [packet for claim in group for packet in claim.packets]
                shown = tuple(packets[:MOST_PACKETS])
                subjects = tuple(_name_subjects(group))
                yield Trouble(verdict, detail, subjects, len(group), shown, len(packets) - len(shown))


def _name_subjects(claims: Iterable[Claim]) -> Iterator[Subject]:
    """In as few lines as the pairs can be named in, by their sources or by their targets."""
    alone: list[NodeName] = []
    by_source: dict[NodeName, list[NodeName]] = {}
    by_target: dict[NodeName, list[NodeName]] = {}
    for claim in claims:
        if claim.target is None:
            alone.append(claim.source)
        else:
            by_source.setdefault(claim.source, []).append(claim.target)
            by_target.setdefault(claim.target, []).append(claim.source)
    if alone:
        yield Subject(tuple(alone))
    if len(by_source) <= len(by_target):
        yield from (Subject((source,), tuple(targets)) for source, targets in by_source.items())
    else:
        yield from (Subject(tuple(sources), (target,)) for target, sources in by_target.items())
