"""Machines that are not there: they follow apply's scripts as far as a test lets them, and keep count."""

import asyncio
import hashlib
from base64 import b64encode
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tests.report.graph_fleets import fleet, node, site
from wireloom.apply.engine import apply
from wireloom.apply.outcome import Outcome
from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.topology import weave
from wireloom.observe.state import (
    ConfigKind,
    ConfigSeen,
    GuardKind,
    KeyKind,
    NodeState,
    RouteSeen,
    Stamp,
    SystemSeen,
    Unreachable,
)
from wireloom.plan.filed import read_filed
from wireloom.plan.fleet import Seen, keys_seen, make_plan
from wireloom.plan.plan import Plan
from wireloom.preflight.tools import REQUIRED
from wireloom.render.desired import FENCE_METRIC, NodeDesired, network_digest, render_node
from wireloom.transport.crew import Crew
from wireloom.transport.fake import FakeConnection, FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName, PublicKey, SshTarget

FLEET = fleet(
    "shop",
    [site("x"), site("office", nat=True)],
    [
        replace(one, ssh=SshTarget(one.name))
        for one in (
            node("cp1", "x", public="192.0.2.1"),
            node("w1", "x", public="192.0.2.2"),
            node("nas1", "office", nat=True),
        )
    ],
)
CP1, W1, NAS1 = map(NodeName, ("cp1", "w1", "nas1"))
NAMES = (CP1, W1, NAS1)


class Step(StrEnum):
    """A step of apply, named by the first word of the call that it sends."""

    MAKE_KEY = "make_key"
    STAGE = "stage"
    COMMIT = "still_staged"
    PROVE = "prove"
    CONFIRM = "confirm"
    UNDO = "unless_confirmed"
    UNSTAGE = "unstage"


STEPS = (Step.STAGE, Step.COMMIT, Step.PROVE, Step.CONFIRM)


class Fate(StrEnum):
    """What becomes of one step on one machine."""

    REFUSED = "the node says no, and did nothing"
    HALF = "the node says no, half-way"
    DEAD = "the node could not be reached"
    MUTE = "the node did it, and nobody heard"


def step_of(script: str) -> Step:
    return Step(script.rpartition("\n}\n")[2].removeprefix("\nalone\n").removeprefix("alone\n").split()[0])


def key_of(name: NodeName) -> PublicKey:
    return PublicKey(b64encode(hashlib.sha256(name.encode()).digest()).decode())


@dataclass
class Machine:
    """A new machine. ``fates`` are the steps that do not go well on it."""

    name: NodeName
    fates: dict[Step, Fate] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    staged: bool = False
    changed: bool = False
    confirmed: bool = False
    looks_like: NodeState | None = None

    def __call__(self, script: str) -> Completed:
        step = step_of(script)
        self.steps.append(step)
        fate = self.fates.get(step)
        if fate is Fate.DEAD:
            raise TransportError(f"{self.name} is gone", hint="go and look", unreachable=True)
        if fate is Fate.REFUSED:
            return Completed(1, "", f"noise\nwireloom: {step} does not work here\n")
        answer = self._do(step)
        if fate is Fate.MUTE:
            raise TransportError(f"the connection to {self.name} broke")
        return Completed(1, "", "wireloom: half done\n") if fate is Fate.HALF else Completed(0, answer, "")

    def _do(self, step: Step) -> str:
        match step:
            case Step.MAKE_KEY:
                return f"public_key={key_of(self.name)}\n"
            case Step.STAGE:
                self.staged = True
            case Step.COMMIT:
                self.changed = True
                return "since=1700000000\n"
            case Step.CONFIRM:
                self.staged, self.confirmed = False, True
            case Step.UNDO:
                self.staged, self.changed = False, self.confirmed
            case Step.UNSTAGE:
                self.staged = False
        return ""

    def state(self) -> NodeState:
        """What a look at it shows."""
        if self.looks_like is not None:
            return self.looks_like
        tools = frozenset({*REQUIRED, "wireguard-go"})
        system = SystemSeen("Debian", "6.1", "x86_64", False, 1.7e9, tools, True)
        absent = ConfigSeen(ConfigKind.ABSENT)
        return NodeState(self.name, system, KeyKind.ABSENT, None, 0, absent, None, None, frozenset(), False)


def _as_wanted(want: NodeDesired, lock: Lock) -> NodeState:
    """What a look at a node shows that has all that it should have."""
    key = key_of(want.name)
    link = replace(read_filed(want.config.keyless, key), kind="wireguard")
    fences = (RouteSeen("unreachable", prefix, "", FENCE_METRIC) for prefix in want.fenced)
    connected = (RouteSeen("unicast", one.network, want.interface, 0) for one in want.addresses)
    return replace(
        Machine(want.name).state(),
        key_kind=KeyKind.GOOD,
        public_key=key,
        key_mode=0o600,
        config=ConfigSeen(ConfigKind.OURS, want.config.keyless, 0o600, has_key=True, public_key=key),
        stamp=Stamp("shop", lock.generation, lock.network, want.config.digest),
        link=link,
        routes=frozenset([*fences, *connected]),
        enabled=True,
        guard=GuardKind.AS_FILED,
    )


@dataclass
class Scene:
    """A fleet, its machines, and what the operator knows. ``saved``: locks, each with the steps before it."""

    machines: dict[NodeName, Machine] = field(default_factory=lambda: {name: Machine(name) for name in NAMES})
    fleet: Fleet = FLEET
    lock: Lock = field(default_factory=lambda: replace(allot(FLEET, Lock("shop")), generation=4))
    away: tuple[NodeName, ...] = ()
    saved: list[tuple[Lock, list[Step]]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    disk_full: bool = False

    def __post_init__(self) -> None:
        self.transport = FakeTransport(dict(self.machines))

    @classmethod
    def settled(cls) -> "Scene":
        """A fleet to which generation 4 was applied, and on which nothing has changed since."""
        keyed = allot(FLEET, Lock("shop")).with_keys({name: key_of(name) for name in NAMES})
        network = weave(FLEET, keyed)
        lock = replace(keyed, generation=4, network=network_digest(network))
        machines = {
            name: Machine(name, looks_like=_as_wanted(render_node(network, name), lock)) for name in NAMES
        }
        return cls(machines, lock=lock)

    @property
    def steps(self) -> list[Step]:
        """All steps so far, each once for every machine."""
        return [step_of(script) for _, script in self.transport.scripts]

    def seen(self) -> Seen:
        gone = {name: Unreachable(name, f"no answer from {name}", "is it up?") for name in self.away}
        return {name: machine.state() for name, machine in self.machines.items()} | gone

    def plan(self, seen: Seen | None = None) -> Plan:
        seen = self.seen() if seen is None else seen
        return make_plan(self.fleet, self.lock, weave(self.fleet, self.lock.with_keys(keys_seen(seen))), seen)

    def save(self, lock: Lock) -> None:
        if self.disk_full:
            raise UserError.one("can't be written: No space left on device", where="fleet.lock")
        self.saved.append((lock, self.steps))

    async def apply(self, plan: Plan | None = None) -> Outcome:
        async with Crew(self.transport) as crew:
            return await apply(
                self.fleet,
                self.lock,
                self.seen(),
                plan or self.plan(),
                crew,
                save=self.save,
                progress=self.said.append,
            )


class StuckTransport(FakeTransport):
    """Like a FakeTransport, but one step is done and never answers. ``reached``: it is done."""

    def __init__(self, scene: Scene, step: Step) -> None:
        super().__init__(scene.machines)
        self.reached = asyncio.Event()
        self._step = step

    async def connect(self, node: NodeName) -> FakeConnection:
        connection = await super().connect(node)
        return _StuckConnection(
            connection.node, connection.answer, self.scripts, stuck_at=self._step, reached=self.reached
        )


@dataclass(slots=True)
class _StuckConnection(FakeConnection):
    stuck_at: Step = Step.COMMIT
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, script: str, *, timeout: float) -> Completed:
        done = await FakeConnection.run(self, script, timeout=timeout)
        if step_of(script) is self.stuck_at:
            self.reached.set()
            await asyncio.Event().wait()
        return done
