"""One node, wanted against seen: NodeDesired + NodeState → NodePlan."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from wireloom.grammar import count
from wireloom.observe.state import SECRET, ConfigKind, KeyKind, NodeState, RouteSeen
from wireloom.plan.filed import as_applied, read_fences, read_filed, read_guard, read_leads
from wireloom.plan.footing import is_next_step
from wireloom.plan.guard import GUARD, plan_guard
from wireloom.plan.plan import Action, Change, Command, NodePlan, Risk, UnitChange
from wireloom.plan.running import plan_connected, plan_fences, plan_key, plan_running
from wireloom.plan.stand_in import plan_filter, plan_leads, plan_riders
from wireloom.render.desired import NodeDesired, key_path
from wireloom.values import PublicKey


def plan_node(
    desired: NodeDesired, state: NodeState, owners: Mapping[PublicKey, str], *, over_underlay: bool
) -> NodePlan:
    """What this node needs; nothing at all when it is as wanted.

    ``desired.peers`` without a public key stand for nodes that will make theirs in the same apply.
    ``owners`` tell whose a key is or was.
    ``over_underlay``: the operator's own SSH session runs through the interface that is changed.
    """
    makes_key = state.key_kind is KeyKind.ABSENT
    unit = _plan_drop_in(desired, state)
    changes = [
        *_plan_key(desired, state),
        *_plan_config(desired, state),
        *(_describe_drop_in(unit) if unit else ()),
        *_plan_unit(desired, state),
        *_plan_interface(desired, state, owners),
    ]
    if over_underlay:
        changes = [
            replace(change, risk=Risk.LOCKOUT)
            if change.risk is Risk.DISRUPTIVE or change.target == GUARD
            else change
            for change in changes
        ]
    if not changes and (state.stamp is None or state.stamp.digest != desired.config.digest):
        changes = [Change(Action.UPDATE, "state", "wireloom's note on the node does not name this file")]
    if not changes:
        return NodePlan(desired.name)
    return NodePlan(
        name=desired.name,
        changes=tuple(changes),
        make_key=makes_key,
        first_config=desired.bare_config if _starts_anew(state) else None,
        unit=unit,
        start=state.link is None,
        enable=not state.enabled,
        config=desired.config,
        fingerprint=state.fingerprint,
        filed=state.config.keyless if _is_intact(state) else "",
    )


def _plan_key(desired: NodeDesired, state: NodeState) -> Iterator[Change]:
    target = f"key {key_path(desired.interface)}"
    if state.key_kind is KeyKind.ABSENT:
        yield Change(Action.CREATE, target, "made at apply, on the node: it never leaves it")
    elif wrong := state.key_access.differences(SECRET):
        yield Change(Action.UPDATE, target, "; ".join(wrong), Risk.NONE, tuple(_close(desired, state)))


def _close(desired: NodeDesired, state: NodeState) -> Iterator[Command]:
    """What makes the key file root's alone. The owner first: chown(2) may change the mode."""
    if state.key_access.owner != SECRET.owner:
        yield "chown", str(SECRET.owner), key_path(desired.interface)
    if state.key_access.mode != SECRET.mode:
        yield "chmod", f"{SECRET.mode:o}", key_path(desired.interface)


def _plan_config(desired: NodeDesired, state: NodeState) -> Iterator[Change]:
    target = f"file {desired.config.path}"
    seen = state.config
    if seen.kind is ConfigKind.ABSENT:
        yield Change(Action.CREATE, target, count(len(desired.peers), "peer"))
        return
    reasons = []
    if seen.keyless != desired.config.keyless or any(peer.public_key is None for peer in desired.peers):
        reasons.append(_describe_difference(seen.keyless, desired))
    reasons += seen.access.differences(SECRET)
    if not seen.has_key:
        reasons.append("it has no private key")
    elif seen.public_key is None or seen.public_key != state.public_key:
        reasons.append(f"its private key is not the one in {key_path(desired.interface)}")
    if reasons:
        yield Change(Action.UPDATE, target, "; ".join(reasons))


def _describe_difference(text: str, desired: NodeDesired) -> str:
    before, after = text.splitlines(), desired.config.keyless.splitlines()
    gone, new = set(before) - set(after), set(after) - set(before)
    waiting = sum(peer.public_key is None for peer in desired.peers)
    made = "its key is made" if waiting == 1 else "their keys are made"
    parts = [f"{count(len(new), 'line')} new, {len(gone)} gone"] if new or gone or not waiting else []
    return ", ".join([*parts, *([f"{count(waiting, 'peer')} once {made}"] if waiting else [])])


def _plan_drop_in(desired: NodeDesired, state: NodeState) -> UnitChange | None:
    """Wireloom's addition to the unit, where there is systemd and it is not as it should be."""
    if not state.system.systemd or state.drop_in == desired.drop_in.text:
        return None
    return UnitChange(desired.drop_in, state.drop_in)


def _describe_drop_in(unit: UnitChange) -> Iterator[Change]:
    action = Action.CREATE if unit.before is None else Action.UPDATE
    yield Change(action, f"file {unit.file.path}", unit.file.purpose)


def _plan_unit(desired: NodeDesired, state: NodeState) -> Iterator[Change]:
    unit = (
        f"unit wg-quick@{desired.interface}" if state.system.systemd else f"boot entry of {desired.interface}"
    )
    if not state.enabled:
        yield Change(Action.ENABLE, unit, "not started at boot")
    if state.link is None:
        yield Change(Action.START, f"interface {desired.interface}", "not there")


def _starts_anew(state: NodeState) -> bool:
    """No interface, and no file to start it from: none at all, or one that is not as an apply left it."""
    return state.link is None and not _is_intact(state)


def _is_intact(state: NodeState) -> bool:
    """The file is there as the last apply wrote it, with this machine's key."""
    own_key = state.config.has_key and state.config.public_key == state.public_key
    return own_key and as_applied(state) is not None


def _plan_interface(
    desired: NodeDesired, state: NodeState, owners: Mapping[PublicKey, str]
) -> Iterator[Change]:
    """The running state. A link that is not there is taken as its file will make it when it starts."""
    anew = _starts_anew(state)
    bare = anew or state.config.kind is ConfigKind.ABSENT
    text = desired.bare_config.keyless if bare else state.config.keyless
    filed = read_filed(text, state.public_key)
    link = state.link or filed
    filed_key = state.config.public_key if state.config.has_key else None
    running_key = state.link.public_key if state.link else state.public_key if anew else filed_key
    for peer in desired.peers:
        if peer.public_key is None:
            yield Change(Action.CREATE, f"peer {peer.name}", "its key is made at apply")
    yield from plan_key(desired, running_key, state.public_key, filed_key)
    # The table hands packets to the port that WireGuard listens on: it and the port change in one go.
    yield from plan_guard(desired, state, read_guard(text))
    together = not is_next_step(text, desired)
    yield from plan_running(desired, link, filed.peers, owners, together=together)
    yield from plan_filter(desired, link, filed)
    fences, leads = read_fences(text), read_leads(text)
    starts = fences | {RouteSeen("unicast", lead.to, desired.interface, 0) for lead in leads}
    routes = state.routes if state.link else state.routes | starts
    yield from plan_fences(desired, routes, fences, alone=not state.others)
    yield from plan_leads(desired, routes, leads)
    yield from plan_riders(desired, state.riders)
    yield from plan_connected(desired, state.link, state.routes) if state.link else ()
