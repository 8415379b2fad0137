"""Where the nodes stand: the machines say it, and the lock speaks for those that don't answer.

A machine is believed what the lock knows: that it stands where an apply has led, or may have led. What one
machine says ends up in the files of all, so it can't bring in a port or a range of its own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from wireloom.errors import Diagnostic
from wireloom.lock.footing import Footing, Stance, join
from wireloom.lock.lock import Lock
from wireloom.observe.state import NodeState, Seen, Unreachable
from wireloom.plan.filed import as_applied, read_filed, read_stance
from wireloom.render.desired import NodeDesired
from wireloom.render.wg_quick import SECTION
from wireloom.values import NodeName


def learn_footing(lock: Lock, seen: Seen, wanted: Stance) -> Lock:
    """The lock with what all nodes have in common now. ``wanted``: where the fleet file leads to."""
    taken_part = [state for state in seen.values() if isinstance(state, NodeState) and state.stamp]
    told = [(state, stance) for state in taken_part if (stance := _read(state)) is not None]
    known = lock.footing or _most_common(stance for _, stance in told)
    if known is None:
        return lock
    believed = [(state, stance) for state, stance in told if _is_known(stance, known, wanted)]
    footings = [_with_strays(Footing.of(stance), state, stance.also) for state, stance in believed]
    if len(believed) < len(taken_part) or any(isinstance(state, Unreachable) for state in seen.values()):
        footings.insert(0, known)
    return lock.on(join(footings))


def expect(lock: Lock, desired: Iterable[NodeDesired], wanted: Stance) -> Lock:
    """The lock before nodes go back to what they had: they may stand there soon, as far as it is known."""
    stances = {want.stance for want in desired}
    known = [one for one in stances if lock.footing and _is_known(one, lock.footing, wanted)]
    return lock.on(join([*([lock.footing] if lock.footing else []), *map(Footing.of, known)]))


def _read(state: NodeState) -> Stance | None:
    """Where a node stands; None where its file is not as an apply has left it."""
    text = as_applied(state)
    return None if text is None else read_stance(text)


def _most_common(stances: Iterable[Stance]) -> Footing | None:
    """For the lock of a wireloom that did not note it, and knew no steps: nodes stood all alike."""
    found = Counter(stances).most_common(1)
    return Footing.of(found[0][0]) if found else None


def _is_known(stance: Stance, known: Footing, wanted: Stance) -> bool:
    ports = {wanted.port, *known.dialled, *known.heard}
    return ports.issuperset(stance.heard) and {*wanted.ranges, *known.ranges}.issuperset(stance.ranges)


def _with_strays(footing: Footing, state: NodeState, also: int | None) -> Footing:
    """Where a peer is sent to at the other port, since it was last heard from there, that port is dialled."""
    if also is None:
        return footing
    filed = read_filed(state.config.keyless, None).peers
    running = state.link.peers if state.link else {}
    for key, peer in filed.items():
        endpoint = running[key].endpoint if key in running else None
        if peer.endpoint is not None and endpoint is not None and endpoint.port == also:
            return replace(footing, dialled=(*footing.dialled, also))
    return footing


def is_next_step(text: str, desired: NodeDesired) -> bool:
    """Whether nodes with this file and nodes as desired understand each other.

    A step of an apply keeps to that. A rollback over several steps does not, nor does a range that shrinks so
    far that nodes in it have to move.
    """
    head = text.partition(SECTION)[0]
    before = read_stance(head)
    if before is None:
        return True
    kept = {one.ip for one in read_filed(head, None).addresses} & {one.ip for one in desired.addresses}
    return before.port in desired.stance.heard and desired.port in before.heard and bool(kept)


def find_cut_off(
    lock: Lock, desired: Mapping[NodeName, NodeDesired], seen: Seen, unreachable: Iterable[Unreachable]
) -> Iterator[Diagnostic]:
    """Who does not answer, and would not understand the others any more: then nothing is done."""
    moved = [
        name
        for name, want in desired.items()
        if isinstance(state := seen[name], NodeState)
        and state.stamp
        and not (is_next_step(state.config.keyless, want) and _connects(lock, want))
    ]
    for one in unreachable if moved else ():
        what = f"it does not answer, and {', '.join(moved[:4])} would not understand it any more: {one.what}"
        yield Diagnostic(what, where=one.name, hint="wait until it answers, or take it out of the fleet file")


def _connects(lock: Lock, want: NodeDesired) -> bool:
    return lock.footing is None or lock.footing.connects(want.stance)
