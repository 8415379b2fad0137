"""All nodes, wanted against seen: Network + Lock + what was seen → Plan."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address

from wireloom.errors import Diagnostic, Severity
from wireloom.intent.fleet import Fleet
from wireloom.lock.footing import describe_steps
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.network.topology import wanted_stance
from wireloom.observe.state import KeyKind, NodeState, Seen, Unreachable
from wireloom.plan.footing import find_cut_off
from wireloom.plan.node import plan_node
from wireloom.plan.plan import NodePlan, Plan
from wireloom.preflight.finding import Check
from wireloom.preflight.leftover import check_leftover
from wireloom.preflight.preflight import inspect
from wireloom.render.desired import NodeDesired, render_node
from wireloom.values import NodeName, PublicKey


def make_plan(
    fleet: Fleet,
    lock: Lock,
    network: Network,
    seen: Seen,
    *,
    rendered: Mapping[NodeName, NodeDesired] | None = None,
) -> Plan:
    """What brings every node that was seen to the network; the others stay as they are, and pending.

    ``network`` is woven from ``lock`` with the keys that were seen (see ``keys_seen``). ``rendered`` has it
    for each node that was seen, where the caller needs that, too.
    """
    findings = inspect(fleet, lock, network, seen)
    errors = [one for one in findings if one.is_error and one.check is not Check.ANSWER]
    refused = {one.node for one in errors}
    owners = {node.public_key: name for name, node in lock.nodes.items() if node.public_key}
    reached = {name: state for name, state in seen.items() if isinstance(state, NodeState)}
    desired = {
        name: _expected_peers(rendered[name] if rendered else render_node(network, name), reached)
        for name in reached
        if name not in refused
    }
    plans = [
        plan_node(want, reached[name], owners, over_underlay=over_underlay(fleet, name))
        for name, want in desired.items()
    ]
    away = tuple(state for state in seen.values() if isinstance(state, Unreachable) and not state.refused)
    warnings = [one.diagnostic for one in findings if not one.is_error]
    return Plan(
        fleet=fleet.name,
        generation=lock.generation + 1,
        nodes=tuple(plans),
        unreachable=away,
        refusals=(*(one.diagnostic for one in errors), *find_cut_off(lock, desired, seen, away)),
        notes=(*_notes(lock, reached), *warnings),
        steps=tuple(describe_steps(lock.footing, wanted_stance(fleet))),
    )


def leave_alone(fleet: Fleet, lock: Lock, seen: Seen) -> Plan:
    """The plan of a fleet whose underlay is not built: nothing changes. Who refused us is a refusal.

    What an earlier one has left is told, and refused where it is in flannel's way.
    """
    reached = [state for state in seen.values() if isinstance(state, NodeState)]
    left = [one for state in reached for one in check_leftover(fleet, state)]
    unseen = [one for one in seen.values() if isinstance(one, Unreachable)]
    return Plan(
        fleet=fleet.name,
        generation=lock.generation,
        nodes=(),
        unreachable=tuple(one for one in unseen if not one.refused),
        refusals=(
            *(Diagnostic(one.what, where=one.name, hint=one.hint) for one in unseen if one.refused),
            *(one.diagnostic for one in left if one.is_error),
        ),
        notes=tuple(one.diagnostic for one in left if not one.is_error),
    )


def keys_seen(seen: Seen) -> dict[NodeName, PublicKey]:
    """The public keys of the nodes that have one. They outrank the lock's: the key is the machine's."""
    return {
        name: state.public_key
        for name, state in seen.items()
        if isinstance(state, NodeState) and state.public_key
    }


def _expected_peers(desired: NodeDesired, reached: Mapping[NodeName, NodeState]) -> NodeDesired:
    """With the peers' keys as they will be: one that its machine has lost is made anew at apply.

    Peers that have no key and can't be asked to make one now are left out.
    """
    makers = {name for name, state in reached.items() if state.key_kind is KeyKind.ABSENT}
    return replace(
        desired,
        peers=tuple(
            replace(peer, public_key=None) if peer.public_key and peer.name in makers else peer
            for peer in desired.peers
            if peer.public_key is not None or peer.name in reached
        ),
    )


def over_underlay(fleet: Fleet, name: NodeName) -> bool:
    """Whether the operator's own SSH session runs through the interface."""
    target = fleet.nodes[name].ssh
    if target is None:
        return False
    try:
        address = ip_address(target.host)
    except ValueError:
        return False
    return any(address in prefix for prefix in fleet.underlay.ranges)


def _notes(lock: Lock, reached: Mapping[NodeName, NodeState]) -> Iterator[Diagnostic]:
    for name, state in reached.items():
        locked = lock.nodes[name].public_key if name in lock.nodes else None
        if locked and state.key_kind is not KeyKind.BROKEN and locked != state.public_key:
            now = f"its key is {state.public_key}" if state.public_key else "it has lost its key"
            what = f"{now}, the lock had {locked}: the peers will be told"
            hint = (
                "expected after a reinstall or uninstall; otherwise find out who changed it before you apply"
            )
            yield Diagnostic(what, where=str(name), hint=hint, severity=Severity.WARNING)


def pending(plan: Plan) -> tuple[NodePlan, ...]:
    """The nodes that have something to do."""
    return tuple(node for node in plan.nodes if node.changes)
