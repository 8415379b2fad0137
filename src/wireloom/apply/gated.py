"""Carry a ClusterPlan out: what k3s needs is brought, then servers one at a time, then agents side by side.

Nothing of it is undone. Each step waits at a gate until what it started says that it is ready, can be taken
again, and leaves a machine from which the next apply goes on. A server that does not get through its gate
keeps all that follow waiting; an agent keeps only itself.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wireloom.apply.delivery import Delivery, deliver
from wireloom.apply.gate import Gate
from wireloom.apply.handover import Tokens
from wireloom.apply.holding import holding
from wireloom.apply.k3s import K3sHand
from wireloom.apply.outcome import Ending, NodeOutcome
from wireloom.apply.remedy import advise
from wireloom.apply.script import Hand
from wireloom.apply.step import STEP_TIMEOUT, trouble_of
from wireloom.apply.terms import Terms
from wireloom.cluster.places import Role
from wireloom.cluster.plan import ClusterPlan, K3sNodePlan
from wireloom.grammar import count, some
from wireloom.secret import DatastoreEndpoint
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

Answers = Mapping[NodeName, Completed | TransportError]


@dataclass(frozen=True, slots=True)
class Goods:
    """What is brought to machines: each one's binary, images for all of them, and where their database is."""

    binaries: Mapping[NodeName, Delivery] = field(default_factory=dict)
    images: Sequence[Delivery] = ()
    database: DatastoreEndpoint | None = None


async def carry_out_cluster(
    plan: ClusterPlan,
    crew: Crew,
    terms: Terms,
    goods: Goods,
    *,
    interface: str,
    gate: Gate,
    progress: Callable[[str], None],
) -> tuple[NodeOutcome, ...]:
    """Carry it out as far as it goes: how it ended for every machine of the plan.

    ``interface`` is what machines are held by for one apply at a time.
    """
    lease = Hand(interface, terms.id, terms.who, terms.when)
    job = _Job(
        plan=plan,
        crew=crew,
        hand=K3sHand(lease),
        goods=goods,
        gate=gate,
        max_parallel=terms.max_parallel,
        progress=progress,
    )
    async with holding(crew, lease, job.machines) as answers:
        job.note("hold", answers)
        await job.bring()
        await job.begin()
        await job.revive()
        await job.add_servers()
        await job.add_agents()
    return job.outcome()


class _Job:
    """One apply to the cluster under way: what came of each machine so far."""

    def __init__(
        self,
        *,
        plan: ClusterPlan,
        crew: Crew,
        hand: K3sHand,
        goods: Goods,
        gate: Gate,
        max_parallel: int,
        progress: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._crew = crew
        self._goods = goods
        self._gate = gate
        self._max_parallel = max_parallel
        self._progress = progress
        self._hand = hand
        self._tokens = Tokens(crew, hand)
        self._nodes = {one.name: one for one in (*plan.servers, *plan.agents)}
        self._ended: dict[NodeName, NodeOutcome] = {}

    @property
    def machines(self) -> Collection[NodeName]:
        """All that change."""
        return self._nodes.keys()

    async def bring(self) -> None:
        """The binary, images and files: nothing of it runs yet."""
        notes = {name: self._hand.take_note(self._nodes[name]) for name in self._going()}
        self.note("files", await self._crew.run(notes, timeout=STEP_TIMEOUT))
        names = self._going()
        wanted = {name: self._goods.binaries[name] for name in names if self._nodes[name].install}
        if wanted:
            self._progress(f"bringing k3s to {count(len(wanted), 'node')}")
            script = self._hand.script
            self.note("install", await deliver(self._crew, wanted, script, progress=self._progress))
        for image in self._goods.images:
            told = dict.fromkeys(self._going(), image)
            self.note("images", await deliver(self._crew, told, self._hand.script, progress=self._progress))
        left = self._going()
        if left:
            self._progress(f"writing the files of {count(len(left), 'node')}")
            scripts = {name: self._hand.prepare(self._nodes[name], self._goods.database) for name in left}
            self.note("files", await self._crew.run(scripts, timeout=STEP_TIMEOUT))

    async def begin(self) -> None:
        """The first server begins the cluster."""
        for one in self._plan.servers:
            if one.begins and not self._stopped():
                self._progress(f"{one.name} begins the cluster")
                self.note(
                    "tokens",
                    await self._crew.run({one.name: self._hand.make_tokens()}, timeout=STEP_TIMEOUT),
                )
                await self._wake([one])

    async def revive(self) -> None:
        """Servers that are in the cluster start together: one alone is no majority of etcd's members."""
        stopped = [one for one in self._plan.servers if one.start and not (one.begins or one.joins)]
        if stopped and not self._stopped():
            self._progress(f"starting {count(len(stopped), 'server')}: {some([one.name for one in stopped])}")
            await self._hand_tokens(stopped)
            await self._wake(stopped)

    async def add_servers(self) -> None:
        """Each server by itself: etcd takes one new member at a time, and an API that is left must answer."""
        for one in self._plan.servers:
            if self._stopped():
                return
            if one.name in self._ended:
                continue
            self._progress(
                f"{one.name} {'joins' if one.joins else 'restarts' if one.restart else 'is looked at'}"
            )
            await self._hand_tokens([one])
            await self._wake([one])

    async def add_agents(self) -> None:
        """Agents in batches, side by side."""
        going = [one for one in self._plan.agents if one.name in self._going()]
        if self._stopped() or not going:
            return
        for batch in _batches(going, self._max_parallel or len(going)):
            self._progress(f"starting {count(len(batch), 'agent')}: {some([one.name for one in batch])}")
            await self._hand_tokens(batch)
            await self._wake(batch)

    async def _hand_tokens(self, nodes: Sequence[K3sNodePlan]) -> None:
        """Whoever joins, or has lost them, gets tokens from a server that is in the cluster."""
        joining = [one for one in nodes if one.tokens and one.name in self._going()]
        if joining:
            self.note("token", await self._tokens.hand_on(joining, self._sources()))

    def _sources(self) -> list[NodeName]:
        """Servers to ask for tokens and for who is ready: that ran before, or got through their gates."""

        def is_up(one: K3sNodePlan) -> bool:
            ended = self._ended.get(one.name)
            return not one.start if ended is None else ended.ending is Ending.CHANGED

        return [one.name for one in self._plan.nodes if one.role is Role.SERVER and is_up(one)]

    async def _wake(self, nodes: Sequence[K3sNodePlan]) -> None:
        """Start or restart them, and wait at the gate."""
        going = [one for one in nodes if one.name in self._going()]
        woken = {one.name: self._hand.wake(one) for one in going if one.start or one.restart}
        self.note("start", await self._crew.run(woken, timeout=STEP_TIMEOUT))
        going = [one for one in going if one.name in self._going()]
        passed = await self._gate.wait(going, self._sources(), progress=self._progress)
        for name, why in passed.items():
            self._ended[name] = (
                NodeOutcome(name, Ending.CHANGED)
                if why is None
                else NodeOutcome(name, Ending.FAILED, why, advise(self._nodes[name], why), "ready")
            )

    def _going(self) -> list[NodeName]:
        """Those that have not ended yet."""
        return [name for name in self._nodes if name not in self._ended]

    def _stopped(self) -> bool:
        """A server did not get through: what follows waits for it."""
        return bool(self._lost())

    def _lost(self) -> list[NodeName]:
        """Servers that did not get through."""
        return [
            name
            for name, one in self._ended.items()
            if one.ending is not Ending.CHANGED and self._nodes[name].role is Role.SERVER
        ]

    def note(self, step: str, answers: Answers) -> None:
        """Who did not get through a step has ended there."""
        for name, answer in answers.items():
            trouble = trouble_of(name, answer, step)
            if trouble is None:
                continue
            if isinstance(answer, TransportError) and answer.unreachable:
                trouble = NodeOutcome(name, Ending.PENDING, answer.what, "the next apply goes on there", step)
            self._ended[name] = trouble

    def outcome(self) -> tuple[NodeOutcome, ...]:
        """How it ended for every machine of the plan."""
        return tuple(self._ending(one, self._lost()) for one in self._plan.nodes)

    def _ending(self, one: K3sNodePlan, blocking: Sequence[NodeName]) -> NodeOutcome:
        if not one.changes:
            return NodeOutcome(one.name, Ending.UNCHANGED)
        waits = NodeOutcome(one.name, Ending.PENDING, f"waits for {', '.join(blocking)}")
        return self._ended.get(one.name, waits)


def _batches(nodes: Sequence[K3sNodePlan], size: int) -> Iterator[Sequence[K3sNodePlan]]:
    return (nodes[start : start + size] for start in range(0, len(nodes), size))
