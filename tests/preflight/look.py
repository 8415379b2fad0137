"""Machines as they were seen, one of them changed a little, and what is found then."""

from collections.abc import Mapping
from dataclasses import replace

from tests.plan.world import World, settled
from wireloom.network.topology import weave
from wireloom.observe.state import GroundSeen, NodeState, SystemSeen, Unreachable
from wireloom.plan.fleet import keys_seen
from wireloom.preflight.finding import Finding
from wireloom.preflight.preflight import inspect
from wireloom.values import NodeName

A, B, N = NodeName("a"), NodeName("b"), NodeName("n")
"""The machines of a settled world, whose underlay is 10.99.0.0/16 and fd42:99::/64."""

Line = tuple[str, str, str, str]
Changes = Mapping[str, object]


def alter(state: NodeState, changes: Changes) -> NodeState:
    """With other values of it, of its system or of its ground, whichever has a field of that name."""
    system = {name: value for name, value in changes.items() if name in SystemSeen.__slots__}
    ground = {name: value for name, value in changes.items() if name in GroundSeen.__slots__}
    rest = {name: value for name, value in changes.items() if name not in {**system, **ground}}
    return replace(
        state,
        system=replace(state.system, **system),  # type: ignore[arg-type]
        ground=replace(state.ground, **ground),  # type: ignore[arg-type]
        **rest,  # type: ignore[arg-type]
    )


def inspect_world(world: World, seen: Mapping[NodeName, NodeState | Unreachable]) -> tuple[Finding, ...]:
    """All rules on a world whose machines were seen so."""
    network = weave(world.fleet, world.lock.with_keys(keys_seen(seen)))
    return inspect(world.fleet, world.lock, network, seen)


def find(changes: Mapping[NodeName, Changes], world: World | None = None) -> list[Finding]:
    """What is found in a settled world some of whose machines were seen otherwise."""
    world = world or settled()
    seen = {
        name: alter(state, changes.get(name, {})) if isinstance(state, NodeState) else state
        for name, state in world.seen().items()
    }
    return list(inspect_world(world, seen))


def lines(findings: list[Finding]) -> list[Line]:
    """Node, check, severity and what of each."""
    return [(one.node, str(one.check), str(one.severity), one.what) for one in findings]
