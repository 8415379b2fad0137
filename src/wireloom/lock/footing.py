"""What nodes of different generations have in common, and the next step from there to what is wanted.

Two nodes connect while each hears the port that the other dials, and both have addresses in one range. So
another port, or another range, takes more than one generation. Each step keeps to what all have by now:

    port P → Q    listen on P, hear Q    →  listen on Q, hear P    →  listen on Q
    range R → S   addresses in R and S   →  addresses in S
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

from wireloom.values import Prefix


@dataclass(frozen=True, slots=True)
class Stance:
    """What the nodes of one generation do: the port that they listen on and dial, and their ranges.

    ``also``: another port that they hear. ``ranges``: IPv4 first, and of one family those that were there
    first.
    """

    port: int
    ranges: tuple[Prefix, ...]
    also: int | None = None

    @property
    def heard(self) -> tuple[int, ...]:
        """The ports that a node hears."""
        return (self.port,) if self.also is None else (self.port, self.also)


@dataclass(frozen=True, slots=True)
class Footing:
    """What all nodes have in common, whichever of their generations each of them has.

    ``dialled``: ports that some node dials; ``heard``: those that every node hears. ``ranges``: where some
    node has an address; ``shared``: where every node has one, of ranges that lie in each other in either.
    """

    dialled: tuple[int, ...]
    heard: tuple[int, ...]
    ranges: tuple[Prefix, ...]
    shared: tuple[Prefix, ...]

    @classmethod
    def of(cls, stance: Stance) -> "Footing":
        """Where all nodes have one stance."""
        return cls((stance.port,), stance.heard, stance.ranges, stance.ranges)

    def joined(self, other: "Footing") -> "Footing":
        """Where some nodes stand on one footing, and some on another."""
        return Footing(
            dialled=tuple(dict.fromkeys((*self.dialled, *other.dialled))),
            heard=tuple(port for port in self.heard if port in other.heard),
            ranges=_by_family((*self.ranges, *other.ranges)),
            shared=_by_family(
                one
                for mine, theirs in product(self.shared, other.shared)
                if _overlap(mine, theirs)
                for one in (mine, theirs)
            ),
        )

    def connects(self, stance: Stance) -> bool:
        """Whether nodes of this stance and all others understand each other."""
        dial_each_other = stance.port in self.heard and set(self.dialled) <= set(stance.heard)
        return dial_each_other and any(_overlap(*pair) for pair in product(self.shared, stance.ranges))


def join(footings: Iterable[Footing]) -> Footing | None:
    """What nodes on all of these have in common; None where there are none."""
    whole: Footing | None = None
    for one in footings:
        whole = whole.joined(one) if whole else one
    return whole


def next_stance(footing: Footing | None, wanted: Stance) -> Stance:
    """The stance of the next generation: what is wanted, or what has to come before. None: nobody to mind."""
    if footing is None:
        return wanted
    port, also = _next_port(footing, wanted.port)
    return Stance(port, _next_ranges(footing, wanted.ranges), also)


def steps_to(footing: Footing | None, wanted: Stance) -> list[Stance]:
    """All steps that are left, each once the one before is everywhere; none where all is as wanted."""
    steps = []
    while footing is not None and footing != Footing.of(wanted):
        steps.append(next_stance(footing, wanted))
        footing = Footing.of(steps[-1])
    return steps


def _next_port(footing: Footing, wanted: int) -> tuple[int, int | None]:
    """The port to listen on, and the other one to hear."""
    left = sorted(port for port in footing.dialled if port != wanted)
    if not left:
        return wanted, None
    if wanted in (*footing.heard, *footing.dialled):
        return wanted, left[0]
    # Where two ports are dialled, both must be heard until one of them is dialled no more.
    return left[0], left[1] if len(left) > 1 else wanted


def _next_ranges(footing: Footing, wanted: tuple[Prefix, ...]) -> tuple[Prefix, ...]:
    """Those that all have by now, or all that are in use and those that are wanted.

    A range that only grows or shrinks is replaced at once: who lies in both keeps the address.
    """
    if set(wanted) <= set(footing.shared):
        return wanted
    staying = [
        one for one in footing.ranges if one in wanted or not any(_overlap(one, new) for new in wanted)
    ]
    return _by_family((*staying, *wanted))


def _overlap(one: Prefix, other: Prefix) -> bool:
    return one.version == other.version and one.overlaps(cast("Any", other))


def _by_family(ranges: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """Each once, IPv4 before IPv6, and otherwise in the order in which they come."""
    return tuple(sorted(dict.fromkeys(ranges), key=lambda one: one.version))


def describe_steps(footing: Footing | None, wanted: Stance) -> Iterator[str]:
    """What each of the steps that are left does, in words."""
    for step in steps_to(footing, wanted):
        assert footing is not None  # noqa: S101  # without one there are no steps
        yield ", ".join(_describe(footing, step))
        footing = Footing.of(step)


def _describe(before: Footing, step: Stance) -> Iterator[str]:
    if step.also is not None and before.dialled == (step.port,):
        yield f"hear port {step.also} as well"
    elif step.also is not None:
        yield f"change to port {step.port}, and hear port {step.also} still"
    elif before.heard != (step.port,):
        yield f"hear no port but {step.port}"
    for prefix in step.ranges:
        if prefix not in before.shared:
            yield f"take addresses in {prefix}"
    for prefix in before.ranges:
        if prefix not in step.ranges:
            yield f"give up those in {prefix}"
