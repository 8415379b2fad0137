"""Back to a generation that the nodes keep: stored configurations + what is so today → Plan."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

from wireloom.errors import Diagnostic, Severity
from wireloom.lock.lock import Lock
from wireloom.network.network import Network, Peer
from wireloom.observe.state import NodeState, PeerSeen, Seen
from wireloom.plan.filed import read_fences, read_filed, read_guard
from wireloom.plan.node import plan_node
from wireloom.plan.plan import NodePlan, Plan
from wireloom.render.desired import ConfigFile, NodeDesired, render_node
from wireloom.render.wg_quick import SECTION
from wireloom.values import NodeName, PublicKey


def plan_rollback(
    today: Plan, lock: Lock, network: Network, seen: Seen, stored: Mapping[NodeName, str]
) -> tuple[Plan, dict[NodeName, NodeDesired]]:
    """What brings the nodes to these configurations, and what each of them should have then.

    ``stored`` are texts without key lines. Today's keys are put in, and who has left the fleet since stays
    out. ``today`` is the plan for the fleet file: its refusals and its unreachable nodes are ours, too.
    Nodes that are not in ``stored`` stay as they are.
    """
    members = lock.members
    keys = {name: key for name, node in members.items() if (key := node.public_key)}
    owners: dict[PublicKey, str] = {key: name for name, key in keys.items()}
    desired = {
        name: restore(render_node(network, name), text, keys)
        for name, text in stored.items()
        if name in members
    }
    lockouts = {
        node.name for node in today.nodes for change in node.changes if change.risk.value == "lockout"
    }
    plans = []
    for name, want in desired.items():
        state = seen[name]
        if isinstance(state, NodeState):
            plans.append(plan_node(want, state, owners, over_underlay=name in lockouts))
    idle = [NodePlan(node.name) for node in today.nodes if node.name not in desired]
    plan = replace(today, nodes=(*plans, *idle), notes=tuple(_notes(desired, members)))
    return plan, desired


def restore(today: NodeDesired, text: str, keys: Mapping[NodeName, PublicKey]) -> NodeDesired:
    """A stored configuration as the desired state of its node, with the keys that its peers have today."""
    head, sections = _split(text)
    kept = [(name, section) for name, section in sections if name in keys]
    body = "".join(_with_key(section, keys[name]) for name, section in kept)
    filed = read_filed(head + body, None)
    seen = {peer.public_key: peer for peer in filed.peers.values()}
    return replace(
        today,
        addresses=tuple(sorted(filed.addresses, key=lambda one: one.version)),
        port=filed.port,
        mtu=filed.mtu,
        peers=tuple(_peer(name, seen[keys[name]]) for name, _ in kept if keys[name] in seen),
        ranges=tuple(sorted({one.network for one in filed.addresses}, key=lambda one: one.version)),
        fenced=tuple(sorted((one.to for one in read_fences(head)), key=str)),
        config=ConfigFile(today.config.path, head, body),
        guard=read_guard(head),
    )


def _split(text: str) -> tuple[str, list[tuple[NodeName, str]]]:
    """The ``[Interface]`` section, and each peer's with the name in its comment."""
    head, *rest = text.split(SECTION)
    sections = [f"{SECTION}{one}" for one in rest]
    return head, [(NodeName(one.split("\n")[2].removeprefix("# ")), one) for one in sections]


def _with_key(section: str, key: PublicKey) -> str:
    lines = section.split("\n")
    return "\n".join(f"PublicKey = {key}" if line.startswith("PublicKey = ") else line for line in lines)


def _peer(name: NodeName, filed: PeerSeen) -> Peer:
    allowed = sorted(filed.allowed_ips, key=lambda one: one.version)
    return Peer(name, filed.public_key, filed.endpoint, tuple(allowed), filed.keepalive)


def _notes(
    desired: Mapping[NodeName, NodeDesired], members: Mapping[NodeName, object]
) -> Iterator[Diagnostic]:
    """Who was not there yet would be cut off: that is said."""
    known = set(chain.from_iterable((peer.name for peer in want.peers) for want in desired.values()))
    for name in members:
        if desired and name not in known and name not in desired:
            what = "it was not in the network then: the others forget it"
            hint = "the next apply brings it back, as long as it is in the fleet file"
            yield Diagnostic(what, where=str(name), hint=hint, severity=Severity.WARNING)
