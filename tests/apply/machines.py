"""Machines that are not there: they follow apply's scripts as far as a test lets them, and keep count."""

import asyncio
import hashlib
from base64 import b64encode
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tests.report.graph_fleets import fleet, node, site
from wireloom.apply.engine import carry_out
from wireloom.apply.enrol import enrol
from wireloom.apply.outcome import Outcome
from wireloom.apply.terms import Terms
from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.topology import weave
from wireloom.observe.state import (
    SECRET,
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


TERMS = Terms("f00d", "ada@desk", "2026-11-25T12:00:00+00:00")


class Step(StrEnum):
    """A step of apply, named by the call that only its script makes."""

    MAKE_KEY = "make_key"
    HOLD = "hold"
    STAGE = "stage"
    COMMIT = "arm"
    PROVE = "prove"
    BEAT = "beat"
    CONFIRM = "confirm"
    WITHDRAW = "withdraw"


STEPS = (Step.STAGE, Step.COMMIT, Step.PROVE, Step.CONFIRM)


class Fate(StrEnum):
    """What becomes of one step on one machine."""

    REFUSED = "the node says no, and did nothing"
    HALF = "the node says no, half-way"
    DEAD = "the node could not be reached"
    CUT = "the node did it, and the connection broke"
    MUTE = "the node did it, and did not answer in time"


def calls_of(script: str) -> list[str]:
    """The calls at the end of a script, after all its functions; a line each."""
    return script.rpartition("\n}\n")[2].strip().splitlines()


def call_of(script: str, step: Step) -> list[str]:
    """The words of the one call that a step is named by."""
    (call,) = [line for line in calls_of(script) if line.split()[0] == step]
    return call.split()


def step_of(script: str) -> Step:
    """Staging holds the machine, too: the last name that fits is the step's."""
    names = [call.split()[0] for call in calls_of(script)]
    return [step for step in Step if step in names][-1]


def key_of(name: NodeName) -> PublicKey:
    return PublicKey(b64encode(hashlib.sha256(name.encode()).digest()).decode())


@dataclass
class Machine:
    """A new machine. ``fates``: the steps that do not go well on it. ``waits``: what undoes itself."""

    name: NodeName
    fates: dict[Step, Fate] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    held: bool = False
    staged: bool = False
    changed: bool = False
    waits: bool = False
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
        answer = self._do(step, script)
        if fate is Fate.CUT:
            raise TransportError(f"the connection to {self.name} broke", unreachable=True)
        if fate is Fate.MUTE:
            raise TransportError(f"{self.name} did not finish in time")
        return Completed(1, "", "wireloom: half done\n") if fate is Fate.HALF else Completed(0, answer, "")

    def _do(self, step: Step, script: str) -> str:
        match step:
            case Step.MAKE_KEY:
                return f"public_key={key_of(self.name)}\n"
            case Step.HOLD:
                self.held = True
            case Step.STAGE:
                self.held = self.staged = True
                asked = [call.split()[1:] for call in calls_of(script) if call.startswith("heard ")]
                return "".join(f"heard={neighbour}\n" for words in asked for neighbour in words)
            case Step.COMMIT:
                self.changed = self.waits = True
                return "since=1700000000\n"
            case Step.CONFIRM:
                self.held = self.staged = self.waits = False
                self.confirmed = True
                return "outcome=confirmed\n"
            case Step.WITHDRAW:
                return f"outcome={self._withdraw()}\n"
        return ""

    def _withdraw(self) -> str:
        self.held = False
        if self.confirmed:
            return "confirmed"
        undone = self.changed
        self.pass_time()
        self.staged = False
        return "undone" if undone else "untouched"

    def pass_time(self) -> None:
        """The window goes by: what waits undoes itself."""
        if self.waits:
            self.staged = self.changed = self.waits = False

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
        key_access=SECRET,
        config=ConfigSeen(ConfigKind.OURS, want.config.keyless, SECRET, has_key=True, public_key=key),
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
    terms: Terms = TERMS

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

    @classmethod
    def drifted(cls, *names: NodeName, **link: object) -> "Scene":
        """A settled fleet, but somebody changed the interface of some machines: its MTU, or ``link``."""
        one = cls.settled()
        for name in names:
            state = one.machines[name].state()
            assert state.link is not None
            changed = replace(state.link, **(link or {"mtu": 1300}))  # type: ignore[arg-type]
            one.machines[name].looks_like = replace(state, link=changed)
        return one

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
        """Enrol, and carry the order out, as the command does."""
        async with Crew(self.transport) as crew:
            order = await enrol(self.fleet, self.lock, self.seen(), plan or self.plan(), crew)
            return await carry_out(order, crew, self.terms, save=self.save, progress=self.said.append)

    def scripts(self, step: Step, name: NodeName | None = None) -> list[tuple[NodeName, str]]:
        """The scripts of one step so far, with the machine of each; of one machine, or of all."""
        return [
            (who, script)
            for who, script in self.transport.scripts
            if step_of(script) is step and name in {None, who}
        ]


class StuckTransport(FakeTransport):
    """Like a FakeTransport, but one step is done (``reached``), and does not answer before ``go_on``.

    ``on``: the machine where it does not; any of them without it.
    """

    def __init__(self, scene: Scene, step: Step, *, on: NodeName | None = None) -> None:
        super().__init__(scene.transport.answers)
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self._step, self._on = step, on

    async def connect(self, node: NodeName) -> FakeConnection:
        connection = await super().connect(node)
        if self._on not in {None, node}:
            return connection
        stuck = _StuckConnection(
            node, connection.answer, self.scripts, step=self._step, reached=self.reached, go_on=self.go_on
        )
        self.connections[-1] = stuck
        return stuck


@dataclass(slots=True, kw_only=True)
class _StuckConnection(FakeConnection):
    step: Step
    reached: asyncio.Event
    go_on: asyncio.Event

    async def run(self, script: str, *, timeout: float, data: bytes = b"") -> Completed:
        done = await FakeConnection.run(self, script, timeout=timeout, data=data)
        if step_of(script) is self.step:
            self.reached.set()
            await self.go_on.wait()
        return done


def endings(outcome: Outcome) -> dict[str, str]:
    return {one.name: str(one.ending) for one in outcome.nodes}


def steps_told(outcome: Outcome) -> dict[str, str]:
    return {one.name: one.step for one in outcome.nodes}


def is_as_before(machine: Machine) -> bool:
    return not (machine.changed or machine.staged or machine.held or machine.waits)


def scene(**fates: dict[Step, Fate]) -> Scene:
    """Machines of which some do not do all that they are told."""
    return Scene({name: Machine(name, fates.get(name, {})) for name in NAMES})
