"""What an audit heard beside the tunnel, summed up by class. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from wireloom.verify.claim import Traffic, TrafficClass

MOST_NAMED = 8
"""Ports, programs and inner addresses of a class that are named each."""


@dataclass(frozen=True, slots=True)
class Heard:
    """All traffic of one class; ``pairs`` are ordered pairs of nodes. What is cut short ends with ``…``."""

    kind: TrafficClass
    packets: int
    bytes: int
    pairs: int
    ports: tuple[str, ...]
    processes: tuple[str, ...]
    inner: tuple[str, ...]


def sum_up_traffic(traffic: Iterable[Traffic]) -> list[Heard]:
    """Traffic → a sum for each class: those in clear first, then those with the most packets."""
    classes: dict[TrafficClass, list[Traffic]] = {}
    for one in traffic:
        classes.setdefault(one.kind, []).append(one)
    sums = [
        Heard(
            kind,
            sum(one.packets for one in group),
            sum(one.bytes for one in group),
            len({(one.source, one.target) for one in group}),
            _name(port for one in group for port in one.ports),
            _name(process for one in group for process in one.processes),
            _name(address for one in group for address in one.inner),
        )
        for kind, group in classes.items()
    ]
    return sorted(sums, key=lambda one: (not one.kind.in_clear, -one.packets, one.kind))


def _name(values: Iterable[str]) -> tuple[str, ...]:
    found = sorted(set(values))
    return (*found[:MOST_NAMED], *(["…"] if len(found) > MOST_NAMED else []))
