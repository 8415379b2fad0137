"""Back to a generation that the nodes keep: stored configurations + what is so today → Plan."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

from wireloom.errors import Diagnostic, Severity, UserError
from wireloom.intent.fleet import Fleet
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.observe.state import KeyKind, NodeState, Seen, Stored
from wireloom.plan.filed import (
    read_fences,
    read_filed,
    read_guard,
    read_peer,
    read_stance,
    split_file,
)
from wireloom.plan.fleet import over_underlay
from wireloom.plan.footing import find_cut_off
from wireloom.plan.node import plan_node
from wireloom.plan.plan import NodePlan, Plan
from wireloom.render.desired import ConfigFile, NodeDesired, render_node, text_digest
from wireloom.render.wg_quick import MARK, render_peer
from wireloom.values import NodeName, PublicKey

Restored = dict[NodeName, NodeDesired]


def plan_rollback(
    target: int,
    stored: Mapping[NodeName, Stored],
    *,
    fleet: Fleet,
    today: Plan,
    lock: Lock,
    network: Network,
    seen: Seen,
) -> tuple[Plan, Restored]:
    """What brings the nodes back to the generation ``target``, and what each of them should have then.

    ``stored`` is what nodes that were seen had at that time; the others stay as they are. Today's keys are
    put in, and who has left the fleet since stays out. ``today`` is the plan for the fleet file: what it has
    of refusals, notes and unreachable nodes is ours, too. ``lock`` has the keys that were seen. Raises
    UserError where a text makes no sense.
    """
    members = lock.members
    keys = {name: key for name, node in members.items() if (key := node.public_key)}
    owners: dict[PublicKey, str] = {key: name for name, key in keys.items()}
    desired = _without_late(_restore_all(stored, network, keys))
    states = {name: state for name in desired if isinstance(state := seen[name], NodeState)}
    plans = [
        plan_node(desired[name], state, owners, over_underlay=over_underlay(fleet, name))
        for name, state in states.items()
    ]
    idle = [NodePlan(node.name) for node in today.nodes if node.name not in desired]
    plan = replace(
        today,
        nodes=(*plans, *idle),
        steps=(),
        refusals=(
            *today.refusals,
            *_refusals(target, desired, seen),
            *find_cut_off(lock, desired, seen, today.unreachable),
        ),
        notes=(*today.notes, *_notes(desired, members)),
    )
    return plan, desired


def _restore_all(
    stored: Mapping[NodeName, Stored], network: Network, keys: Mapping[NodeName, PublicKey]
) -> Restored:
    """Each node's own. Raises UserError for all whose text makes no sense."""
    restored: Restored = {}
    broken: list[Diagnostic] = []
    for name, one in stored.items():
        try:
            restored[name] = restore(render_node(network, name), one, keys)
        except UserError as error:
            broken += error.diagnostics
    if broken:
        raise UserError(broken)
    return restored


def restore(today: NodeDesired, stored: Stored, keys: Mapping[NodeName, PublicKey]) -> NodeDesired:
    """A stored configuration as the desired state of its node, with the keys that its peers have today.

    ``keys`` are those of the fleet's members: sections of other peers are left out. Raises UserError where
    the text is not the one that was stored, or not one that wireloom wrote.
    """
    head, sections = split_file(stored.keyless)
    past, stance = read_filed(head, None), read_stance(head)
    peers = [read_peer(section) for section in sections]
    found = [peer for peer in peers if peer is not None]
    if text_digest(stored.keyless) != stored.digest:
        raise _unusable(today.name, stored, "is not what was stored: cut short, or changed by hand")
    if len(found) < len(peers) or not (head.startswith(MARK) and stance and past.mtu):
        raise _unusable(today.name, stored, "makes no sense to this version of wireloom")
    sources = {peer.name: peer.sources for peer in today.peers}
    kept = tuple(
        replace(peer, public_key=keys[peer.name], sources=sources.get(peer.name, ()))
        for peer in found
        if peer.name in keys
    )
    return replace(
        today,
        addresses=tuple(sorted(past.addresses, key=lambda one: stance.ranges.index(one.network))),
        port=stance.port,
        also=stance.also,
        mtu=past.mtu,
        peers=kept,
        ranges=stance.ranges,
        fenced=tuple(sorted((one.to for one in read_fences(head)), key=str)),
        config=ConfigFile(today.config.path, head, "".join(map(render_peer, kept))),
        guard=read_guard(head),
    )


def _unusable(name: NodeName, stored: Stored, why: str) -> UserError:
    what = f"what it keeps of generation {stored.number} {why}"
    return UserError.one(what, where=name, hint="nothing was changed; for another one see: wireloom history")


def _without_late(desired: Restored) -> Restored:
    """Without nodes that none of the others knew: they had left the fleet then, and kept their files."""
    known = _known(desired)
    return {
        name: want
        for name, want in desired.items()
        if name in known or not any(peer.name in desired for peer in want.peers)
    }


def _known(desired: Restored) -> set[NodeName]:
    """Who was somebody's peer."""
    return set(chain.from_iterable((peer.name for peer in want.peers) for want in desired.values()))


def _refusals(target: int, desired: Restored, seen: Seen) -> Iterator[Diagnostic]:
    """A node that can't have what it had would not understand those that can."""
    known = _known(desired)
    for name, state in seen.items():
        if not isinstance(state, NodeState):
            continue
        if name in desired and state.key_kind is KeyKind.ABSENT:
            hint = "apply first: it makes a new one, and tells the others"
            yield Diagnostic("it has lost its key", where=name, hint=hint)
        if name in known and name not in desired and state.stamp and state.stamp.generation > target:
            what = f"it has changed since generation {target}, and keeps nothing from then"
            yield Diagnostic(what, where=name, hint="go back to a newer one; see: wireloom history")


def _notes(desired: Restored, members: Mapping[NodeName, object]) -> Iterator[Diagnostic]:
    """Who was not there yet would be cut off: that is said."""
    known = _known(desired)
    for name in members:
        if desired and name not in known and name not in desired:
            what = "it was not in the network then: the others forget it"
            hint = "the next apply brings it back, as long as it is in the fleet file"
            yield Diagnostic(what, where=name, hint=hint, severity=Severity.WARNING)
