"""All nodes, wanted against seen: Network + Lock + what was seen → Plan."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address

from wireloom.errors import Diagnostic, Severity
from wireloom.intent.fleet import Fleet
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.observe.state import KeyKind, NodeState, Unreachable
from wireloom.plan.node import Standing, plan_node, refuse_node
from wireloom.plan.plan import NodePlan, Plan
from wireloom.render.desired import NodeDesired, render_node
from wireloom.values import NodeName, PublicKey

Seen = Mapping[NodeName, NodeState | Unreachable]


def make_plan(fleet: Fleet, lock: Lock, network: Network, seen: Seen) -> Plan:
    """What brings every node that was seen to the network; the others stay as they are, and pending.

    ``network`` is woven from ``lock`` with the keys that were seen (see ``keys_seen``).
    """
    away = [state for state in seen.values() if isinstance(state, Unreachable)]
    owners = {node.public_key: name for name, node in lock.nodes.items() if node.public_key}
    standing = Standing(lock.generation, lock.network, owners)
    reached = {name: state for name, state in seen.items() if isinstance(state, NodeState)}
    wanted = {name: _expected_peers(render_node(network, name), reached) for name in reached}
    refusals = [one for name, state in reached.items() for one in refuse_node(wanted[name], state, standing)]
    refused = {one.where for one in refusals}
    plans = [
        plan_node(wanted[name], state, standing, over_underlay=_over_underlay(fleet, name))
        for name, state in reached.items()
        if name not in refused
    ]
    return Plan(
        fleet=fleet.name,
        generation=lock.generation + 1,
        nodes=tuple(plans),
        unreachable=tuple(state for state in away if not state.refused),
        refusals=(*refusals, *_refuse_shared_keys(network), *_refuse_closed_doors(away)),
        notes=tuple(_notes(fleet, lock, reached)),
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
            replace(peer, public_key=None) if peer.name in makers else peer
            for peer in desired.peers
            if peer.public_key is not None or peer.name in reached
        ),
    )


def _over_underlay(fleet: Fleet, name: NodeName) -> bool:
    target = fleet.nodes[name].ssh
    if target is None:
        return False
    try:
        address = ip_address(target.host)
    except ValueError:
        return False
    return any(address in prefix for prefix in fleet.underlay.ranges)


def _refuse_shared_keys(network: Network) -> Iterator[Diagnostic]:
    """One key on two machines: WireGuard would take them for one peer that roams for ever.

    Machines that did not answer count with the key that the lock has.
    """
    holders: dict[PublicKey, list[str]] = defaultdict(list)
    for name, member in network.members.items():
        if member.public_key:
            holders[member.public_key].append(name)
    for names in holders.values():
        if len(names) > 1:
            yield Diagnostic(
                f"{' and '.join(f'`{name}`' for name in names)} have the same private key: cloned machines?",
                hint=f"remove /etc/wireguard/*.key on all but `{names[0]}`: the next apply makes new ones",
            )


def _refuse_closed_doors(away: list[Unreachable]) -> Iterator[Diagnostic]:
    """Machines that answered but did not let us in, or are not who they were: somebody must look."""
    for one in away:
        if one.refused:
            yield Diagnostic(one.what, where=str(one.name), hint=one.hint)


def _notes(fleet: Fleet, lock: Lock, reached: Mapping[NodeName, NodeState]) -> Iterator[Diagnostic]:
    for name, state in reached.items():
        locked = lock.nodes[name].public_key if name in lock.nodes else None
        if locked and state.key_kind is not KeyKind.BROKEN and locked != state.public_key:
            now = f"its key is {state.public_key}" if state.public_key else "it has lost its key"
            what = f"{now}, the lock had {locked}: the peers will be told"
            hint = "expected after a reinstall; otherwise find out who changed it before you apply"
            yield Diagnostic(what, where=str(name), hint=hint, severity=Severity.WARNING)
    for name, node in fleet.nodes.items():
        if node.ssh is None:
            hint = "`wireloom export` writes its file"
            yield Diagnostic("no `ssh`: not applied from here", str(name), hint, Severity.WARNING)


def pending(plan: Plan) -> tuple[NodePlan, ...]:
    """The nodes that have something to do."""
    return tuple(node for node in plan.nodes if node.changes)
