"""Fleets whose machines exist in memory: look, plan and apply without a wire."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.network.fleets import key, make_fleet, node
from tests.plan.machine import Machine
from wireloom.apply.enrol import write_ahead
from wireloom.intent.fleet import Fleet
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.network.topology import wanted_stance, weave
from wireloom.observe.state import NodeState, Unreachable
from wireloom.plan.fleet import keys_seen, make_plan
from wireloom.plan.footing import learn_footing
from wireloom.plan.plan import Change, Plan
from wireloom.render.desired import network_digest
from wireloom.values import NodeName


def three(**options: object) -> Fleet:
    """Two machines with public addresses, and one behind NAT; dual stack unless told otherwise."""
    nodes = (
        node("a", "x", "192.0.2.1"),
        node("b", "y", "192.0.2.2 192.0.2.77 2001:db8::2"),
        node("n", "office", "", "192.168.0.7", nat=True),
    )
    return make_fleet(*nodes, **{"ipv6": "fd42:99::/64", **options})  # type: ignore[arg-type]


@dataclass
class World:
    """A fleet file, its lock and its machines. Keys are numbered as they are made."""

    fleet: Fleet = field(default_factory=three)
    lock: Lock = field(default_factory=lambda: Lock("shop"))
    machines: dict[NodeName, Machine] = field(default_factory=dict)
    away: Mapping[NodeName, Unreachable] = field(default_factory=dict)
    keys: int = 0

    def __post_init__(self) -> None:
        self.change(self.fleet)

    def change(self, fleet: Fleet) -> None:
        """Another fleet file: new machines are bought, addresses given out."""
        self.fleet = fleet
        self.lock = allot(fleet, self.lock)
        for name in fleet.nodes:
            self.machines.setdefault(name, Machine(name))

    def seen(self) -> dict[NodeName, NodeState | Unreachable]:
        return {name: self.away.get(name) or self.machines[name].seen() for name in self.fleet.nodes}

    def learned(self, seen: Mapping[NodeName, NodeState | Unreachable]) -> Lock:
        return learn_footing(self.lock, seen, wanted_stance(self.fleet))

    def weave(self) -> Network:
        seen = self.seen()
        return weave(self.fleet, self.learned(seen).with_keys(keys_seen(seen)))

    def plan(self, seen: Mapping[NodeName, NodeState | Unreachable] | None = None) -> Plan:
        found = seen or self.seen()
        return make_plan(self.fleet, self.learned(found), self.weave(), found)

    def begin(self) -> tuple[Plan, str]:
        """Keys are made, the plan is made again, and the lock written ahead; with the network's digest."""
        for one in self.plan().nodes:
            if one.make_key:
                self.keys += 1
                self.machines[one.name].make_key(key(self.keys))
        plan, network = self.plan(), self.weave()
        assert plan.refusals == ()
        digest = network_digest(network)
        keyed = self.learned(self.seen()).with_keys(keys_seen(self.seen()))
        self.lock = keyed if plan.empty else write_ahead(keyed, network, plan)
        return plan, digest

    def apply(self) -> Plan:
        """A step of ``wireloom apply`` when all goes well; gives the plan that was carried out."""
        plan, digest = self.begin()
        for one in plan.nodes:
            self.machines[one.name].carry_out(one, generation=plan.generation, network=digest)
        return plan

    def walk(self) -> list[Plan]:
        """All steps, until there is nothing to do."""
        plans = []
        while not self.plan().empty:
            plans.append(self.apply())
            assert len(plans) < 6, [plan.steps for plan in plans]
        return plans


def settled(fleet: Fleet | None = None) -> World:
    """A world in which everything has been applied."""
    world = World(fleet or three())
    world.apply()
    return world


def outline(changes: Iterable[Change]) -> list[tuple[str, str, str]]:
    """Action, target and risk of each change."""
    return [(str(one.action), one.target, str(one.risk)) for one in changes]


def away(name: NodeName, *, refused: bool = False) -> dict[NodeName, Unreachable]:
    """One machine that did not answer; ``refused``: it did, but let nobody in."""
    return {name: Unreachable(name, "no route to host", "look at it", refused=refused)}
