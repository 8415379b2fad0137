"""Carry an Order out: stage, then wave by wave commit and prove, then confirm; or roll back.

A step runs on all its nodes side by side, and the next begins only when it went well on all. A node that
can't be reached is left behind and pending; whatever else goes wrong anywhere takes everything back.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from ipaddress import ip_address

from wireloom.apply.heartbeat import heartbeat
from wireloom.apply.neighbours import Neighbourhood
from wireloom.apply.order import Order
from wireloom.apply.outcome import Ending, NodeOutcome, Outcome, left_out
from wireloom.apply.retreat import retreat
from wireloom.apply.script import Hand, Note
from wireloom.apply.step import PROVE_SECONDS, STEP_TIMEOUT, read_all, read_answer, trouble_of
from wireloom.apply.terms import Terms
from wireloom.apply.waves import Wave, make_waves
from wireloom.grammar import count, some
from wireloom.lock.lock import Lock
from wireloom.observe.state import NodeState
from wireloom.plan.plan import NodePlan
from wireloom.transport.crew import Crew
from wireloom.transport.each import carry_through
from wireloom.transport.port import Completed, TransportError
from wireloom.values import Address, NodeName

FAREWELL_TIMEOUT = 10.0
"""Seconds for letting go: whoever does not hear of it lets go by itself."""

Answers = Mapping[NodeName, Completed | TransportError]


class StepFailed(Exception):
    """A step went wrong on some nodes; what and where is in the job's troubles."""


async def carry_out(
    order: Order,
    crew: Crew,
    terms: Terms,
    *,
    save: Callable[[Lock], object],
    progress: Callable[[str], None],
) -> Outcome:
    """Carry out an order. Whatever fails is rolled back where it was not confirmed, and told in the Outcome.

    ``save`` puts the new lock on disk: once every node is held for this apply, before anything is live.
    """
    job = _Job(order, crew, terms, progress)
    async with heartbeat(crew, job.beats, job.spoken):
        try:
            await job.stage()
            save(order.lock)
            for wave in make_waves(order, terms.max_parallel):
                await job.commit(wave)
                await job.prove(wave)
            # Half confirmed, or half rolled back, is neither old nor new: Ctrl-C waits for the end of these.
            await carry_through(job.confirm())
        except StepFailed:
            await carry_through(job.roll_back())
        except BaseException:
            await carry_through(job.roll_back())
            await carry_through(job.let_go())
            raise
    await carry_through(job.let_go())
    return job.outcome()


class _Job:
    """One apply under way: what is done so far, and where."""

    def __init__(self, order: Order, crew: Crew, terms: Terms, progress: Callable[[str], None]) -> None:
        self._order = order
        self._crew = crew
        self._hand = Hand(order.interface, terms.id, terms.who, terms.when)
        self._terms = terms
        self._progress = progress
        self._nodes: dict[NodeName, NodePlan] = order.changing
        self._neighbours = Neighbourhood(order.desired, order.seen)
        self._heard: dict[NodeName, list[Address]] = {}
        self._since: dict[NodeName, int] = {}
        self.spoken: dict[NodeName, float] = {}
        self._held: set[NodeName] = set()
        self._proven: set[NodeName] = set()
        self._confirmed: set[NodeName] = set()
        self._left: dict[NodeName, NodeOutcome] = {}
        self._troubles: dict[NodeName, NodeOutcome] = {}
        self._returned: dict[NodeName, str] = {}
        self._withdrawn: set[NodeName] = set()

    def beats(self) -> dict[NodeName, str]:
        """What each node that is held has to hear. What was proven may wait for the others."""
        waiting = {name: self._terms.window if name in self._proven else 0 for name in self._held}
        return {
            name: self._hand.beat(seconds)
            for name, seconds in waiting.items()
            if name not in self._left and name not in self._confirmed
        }

    async def stage(self) -> None:
        """Have every node for this apply alone; put the new files beside the old ones and check them."""
        self._progress(f"staging on {count(len(self._nodes), 'node')}")
        bystanders = [
            name
            for name, state in self._order.seen.items()
            if isinstance(state, NodeState) and name not in self._nodes
        ]
        scripts = {name: self._stage_script(name) for name in self._nodes}
        scripts |= dict.fromkeys(bystanders, self._hand.hold())
        self._held = set(scripts)
        self._keep(scripts)
        answers = await self._run("stage", scripts)
        for name in self._nodes:
            self._heard[name] = [ip_address(one.split(",")[0]) for one in read_all(answers[name], "heard")]

    def _stage_script(self, name: NodeName) -> str:
        lock, plan = self._order.lock, self._nodes[name]
        key = lock.nodes[name].public_key
        assert key is not None  # noqa: S101  # enrolled
        note = Note(
            fleet=lock.fleet,
            generation=lock.generation,
            network=lock.network,
            who=self._terms.who,
            when=self._terms.when,
            what=self._terms.what or self._order.summary(plan),
        )
        return self._hand.stage(
            self._order.desired[name], plan, key, note=note, heard=self._neighbours.old(name)
        )

    async def commit(self, wave: Wave) -> None:
        """Change the running state: first the nodes that are dialled, then those that only dial."""
        for dialled in (True, False):
            names = [name for name in self._still(wave) if (name not in self._order.nat) is dialled]
            if not names:
                continue
            self._progress(f"committing on {some(names)}")
            scripts = {
                name: self._hand.commit(self._nodes[name], seconds=self._terms.window) for name in names
            }
            self._keep(scripts)
            answers = await self._run("commit", scripts)
            self._since |= {name: int(read_answer(answers[name])["since"]) for name in self._still(names)}

    async def prove(self, wave: Wave) -> None:
        """Over fresh connections: neighbours answer, new ones by a handshake newer than the change."""
        names = self._still(wave)
        if not names:
            return
        self._progress(f"proving {count(len(names), 'node')} over fresh connections")
        old_ones = self._crew.hang_up(names)
        seconds = max(1, min(PROVE_SECONDS, self._terms.window - 3))
        neighbours = self._neighbours.without(self._left).prove(names, self._since, self._heard)
        scripts = {name: self._hand.prove(seconds, self._since[name], neighbours[name]) for name in names}
        try:
            answers = await self._run("prove", scripts, leave_behind=False)
        finally:
            await old_ones
        for name in names:
            unproven = read_all(answers[name], "unproven")
            if unproven:
                detail = f"no answer over the underlay from {self._owners(unproven)}"
                self._troubles[name] = NodeOutcome(name, Ending.FAILED, detail, step="prove")
        if self._troubles:
            raise StepFailed
        self._proven |= set(names)

    async def confirm(self) -> None:
        """Make the staged files the ones that a reboot reads."""
        names = self._still(self._nodes)
        if not names:
            return
        self._progress(f"confirming {count(len(names), 'node')}")
        scripts = {name: self._hand.confirm(self._order.desired[name].config) for name in names}
        self._keep(scripts)
        answers = await self._crew.run(scripts, timeout=STEP_TIMEOUT)
        unheard = [name for name, answer in answers.items() if isinstance(answer, TransportError)]
        # Asked again, a node that has confirmed says so; one that took the change back says that.
        answers |= await self._crew.run({name: scripts[name] for name in unheard}, timeout=STEP_TIMEOUT)
        self._confirmed = {
            name for name, answer in answers.items() if read_answer(answer).get("outcome") == "confirmed"
        }
        self._note(
            "confirm", {name: one for name, one in answers.items() if name not in self._confirmed}, leave=True
        )
        if self._troubles:
            raise StepFailed

    async def roll_back(self) -> None:
        """Have every node that is not confirmed as it was, and see the old network work again."""
        names = sorted(set(self._nodes) & self._held - self._confirmed)
        self._progress(f"rolling back {count(len(names), 'node')}")
        self._withdrawn = set(names)
        asked = {name: self._neighbours.again(name, self._heard.get(name, ())) for name in names}
        returns = await retreat(self._crew, self._hand, asked, window=self._terms.window, owners=self._owners)
        for name, one in returns.items():
            left = self._left.pop(name, None)
            if left and left.step == "stage" and not one.outcome:
                self._left[name] = left  # nothing was begun there, and still nobody can reach it
                continue
            if one.confirmed:
                self._confirmed.add(name)
                self._troubles.pop(name, None)
            elif name in self._troubles:
                failed = self._troubles[name]
                after = one.aftermath(is_new=self._is_new(name))
                hint = "; ".join(filter(None, [failed.hint, after]))
                self._troubles[name] = replace(failed, hint=hint)
            elif one.failed:
                self._troubles[name] = NodeOutcome(name, Ending.FAILED, one.text, one.remedy, "roll back")
            else:
                self._returned[name] = one.standing(is_new=self._is_new(name))

    async def let_go(self) -> None:
        """Whoever still holds something for this apply, lets it go: bystanders, and nodes left behind.

        Who was rolled back has let go, or was asked to a moment ago.
        """
        bystanders = self._held - set(self._nodes)
        behind = sorted(set(self._left) & set(self._nodes) - self._withdrawn)
        if behind:
            self._progress(f"letting go of {some(behind)}")
        answers = await self._crew.run(
            dict.fromkeys([*bystanders, *behind], self._hand.withdraw()), timeout=FAREWELL_TIMEOUT
        )
        for name in behind:
            if read_answer(answers[name]).get("outcome") == "confirmed":
                self._confirmed.add(name)

    def _is_new(self, name: NodeName) -> bool:
        """What a new node was given harms nobody: the next apply goes on from it."""
        return self._nodes[name].first_config is not None and name in self._since

    def _keep(self, names: Collection[NodeName]) -> None:
        """What these are sent now keeps them held: no beat is due for a while."""
        self.spoken |= dict.fromkeys(names, time.monotonic())

    def _still(self, names: Collection[NodeName]) -> list[NodeName]:
        """Those that were not left behind."""
        return [name for name in names if name not in self._left]

    async def _run(
        self, step: str, scripts: Mapping[NodeName, str], *, leave_behind: bool = True
    ) -> dict[NodeName, Completed | TransportError]:
        """A step on all its nodes. Raises StepFailed with the troubles noted."""
        answers = await self._crew.run(scripts, timeout=STEP_TIMEOUT)
        self._note(step, answers, leave=leave_behind)
        if self._troubles:
            raise StepFailed
        return answers

    def _note(self, step: str, answers: Answers, *, leave: bool) -> None:
        """What went wrong, and who is left behind because nobody could reach it."""
        for name, answer in answers.items():
            trouble = trouble_of(name, answer, step)
            if trouble is None:
                continue
            if leave and isinstance(answer, TransportError) and answer.unreachable:
                self._left[name] = NodeOutcome(
                    name, Ending.PENDING, answer.what, self._describe_left(step), step
                )
            else:
                self._troubles[name] = trouble

    def _describe_left(self, step: str) -> str:
        if step == "stage":
            return f"it keeps what it has, and catches up at {self._order.retry}"
        return (
            f"what it may have of this change it takes back within {self._terms.window} s, unless it is"
            f" confirmed there; {self._order.retry} brings it on"
        )

    def _owners(self, peers: Collection[str]) -> str:
        """``ADDRESS,…`` → the nodes that have the addresses, in words."""
        owners = {
            str(address): name for name, node in self._order.lock.nodes.items() for address in node.addresses
        }
        addresses = [one.split(",")[0] for one in peers]
        return ", ".join(f"{owners.get(address, '?')} ({address})" for address in addresses)

    def outcome(self) -> Outcome:
        """How it ended, for every node of the plan and every one that did not answer."""
        endings = [self._ending(node) for node in self._order.plan.nodes]
        nodes = (*endings, *left_out(self._order.plan))
        return Outcome(self._order.lock.generation, nodes, self._order.plan.steps[1:])

    def _ending(self, node: NodePlan) -> NodeOutcome:
        name = node.name
        if name in self._troubles:
            return self._troubles[name]
        if name in self._confirmed:
            return NodeOutcome(name, Ending.CHANGED)
        if not node.changes:
            return NodeOutcome(name, Ending.UNCHANGED)
        if name in self._left:
            return self._left[name]
        return NodeOutcome(name, Ending.ROLLED_BACK, self._returned.get(name, ""))
