"""Carry a Plan out: enrol, write the lock ahead, stage, commit, prove, confirm; or roll back.

Every step runs on all its nodes side by side, and the next begins only when it went well on all.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from wireloom.apply.neighbours import choose_neighbours
from wireloom.apply.outcome import Ending, NodeOutcome, Outcome
from wireloom.apply.script import (
    commit_script,
    confirm_script,
    make_key_script,
    prove_script,
    stage_script,
    undo_script,
    unstage_script,
)
from wireloom.errors import Diagnostic, UserError
from wireloom.intent.fleet import Fleet
from wireloom.lock.lock import Lock
from wireloom.network.topology import weave
from wireloom.observe.state import KeyKind, NodeState, Seen
from wireloom.plan.fleet import keys_seen, make_plan, pending
from wireloom.plan.plan import Action, NodePlan, Plan
from wireloom.render.desired import NodeDesired, network_digest, render_node
from wireloom.transport.crew import Crew
from wireloom.transport.each import carry_through
from wireloom.transport.port import TransportError
from wireloom.values import NodeName, PublicKey

STEP_TIMEOUT = 60.0
"""Seconds that one script may take on one node."""

PROVE_SECONDS = 20
"""A handshake that got lost is tried again after 5 s (REKEY_TIMEOUT): room for three tries."""


class StepFailed(Exception):
    """A step went wrong on some nodes; what and where is in the job's troubles."""


async def apply(
    fleet: Fleet,
    lock: Lock,
    seen: Seen,
    plan: Plan,
    crew: Crew,
    *,
    save: Callable[[Lock], object],
    progress: Callable[[str], None],
) -> Outcome:
    """Carry out a plan that was made from exactly this fleet, lock and observation.

    ``save`` puts a lock on disk. Raises UserError when nothing was changed but keys made; every later
    failure rolls back what was not confirmed and is told in the Outcome.
    """
    job = _Job(fleet, lock, seen, plan, crew=crew, progress=progress)
    await job.enrol()
    job.replan()
    save(job.lock)
    try:
        await job.stage()
        await job.commit()
        await job.prove()
        # Half confirmed, or half rolled back, is neither old nor new: Ctrl-C waits for the end of these.
        await carry_through(job.confirm())
    except StepFailed:
        await carry_through(job.roll_back())
    except BaseException:
        await carry_through(job.roll_back())
        raise
    return job.outcome()


class _Job:
    """One apply under way: what is done so far, and where."""

    def __init__(
        self, fleet: Fleet, lock: Lock, seen: Seen, plan: Plan, *, crew: Crew, progress: Callable[[str], None]
    ) -> None:
        self.fleet = fleet
        self.lock = lock
        self.seen = dict(seen)
        self.plan = plan
        self._crew = crew
        self._progress = progress
        self._nodes: dict[NodeName, NodePlan] = {}
        self._desired: dict[NodeName, NodeDesired] = {}
        self._since: dict[NodeName, int] = {}
        self._touched: set[NodeName] = set()
        self._begun: set[NodeName] = set()
        self._confirmed: set[NodeName] = set()
        self._troubles: dict[NodeName, NodeOutcome] = {}

    async def enrol(self) -> None:
        """Have the nodes without a key make one. Not undone: a key that nobody knows harms nobody."""
        names = [node.name for node in self.plan.nodes if node.make_key]
        if not names:
            return
        self._progress(f"making keys on {len(names)} nodes")
        script = make_key_script(self.fleet.underlay.interface)
        try:
            answers = await self._run(dict.fromkeys(names, script), timeout=STEP_TIMEOUT)
        except StepFailed:
            raise UserError(
                Diagnostic(one.detail, where=str(one.name), hint="nothing was changed")
                for one in self._troubles.values()
            ) from None
        for name, answer in answers.items():
            state = self.seen[name]
            assert isinstance(state, NodeState)  # noqa: S101  # only nodes that were seen are planned
            key = PublicKey(answer["public_key"])
            self.seen[name] = replace(state, key_kind=KeyKind.GOOD, public_key=key, key_mode=0o600)

    def replan(self) -> None:
        """Plan again, now with every key: it must be the plan that was shown, but for the keys."""
        keyed = self.lock.with_keys(keys_seen(self.seen)).with_host_keys(self._crew.host_keys)
        network = weave(self.fleet, keyed)
        plan = make_plan(self.fleet, self.lock, network, self.seen)
        shown, now = _outline(self.plan), _outline(plan)
        if not now <= shown or any(action is not Action.CREATE for _, action, _ in shown - now):
            raise UserError.one(
                "the machines have changed while the plan was looked at",
                hint="nothing was changed: plan again",
            )
        self.plan = plan
        self._nodes = {node.name: node for node in pending(plan)}
        self._desired = {name: render_node(network, name) for name in self._nodes}
        self.lock = replace(keyed, generation=plan.generation, network=network_digest(network))

    async def stage(self) -> None:
        """Put the new files beside the old ones and check them."""
        self._progress(f"staging on {len(self._nodes)} nodes")
        scripts = {}
        for name, plan in self._nodes.items():
            key = self.lock.nodes[name].public_key
            assert key is not None  # noqa: S101  # enrolled above
            scripts[name] = stage_script(self._desired[name], plan, key)
        self._touched = set(scripts)
        await self._run(scripts, timeout=STEP_TIMEOUT)

    async def commit(self) -> None:
        """Change the running state: first the nodes that are dialled, then those that only dial."""
        nat = {name for name in self._nodes if self.fleet.nodes[name].nat}
        for wave in (sorted(set(self._nodes) - nat), sorted(nat)):
            if not wave:
                continue
            self._progress(f"committing on {', '.join(wave[:4])}{' …' if len(wave) > 4 else ''}")
            scripts = {name: commit_script(self._desired[name].interface, self._nodes[name]) for name in wave}
            self._begun |= set(scripts)
            answers = await self._run(scripts, timeout=STEP_TIMEOUT)
            self._since |= {name: int(answer["since"]) for name, answer in answers.items()}

    async def prove(self) -> None:
        """Over fresh connections: neighbours answer, new ones by a handshake newer than the change."""
        self._progress("proving over fresh connections")
        await self._crew.hang_up(self._nodes)
        neighbours = choose_neighbours(self._desired, self.seen)
        scripts = {
            name: prove_script(desired.interface, PROVE_SECONDS, self._since[name], neighbours[name])
            for name, desired in self._desired.items()
        }
        await self._run(scripts, timeout=STEP_TIMEOUT + PROVE_SECONDS, refused_by="unproven")

    async def confirm(self) -> None:
        """Make the staged files the ones that a reboot reads."""
        self._progress("confirming")
        scripts = {
            name: confirm_script(
                desired.interface,
                desired.config,
                fleet=self.fleet.name,
                generation=self.lock.generation,
                network=self.lock.network,
            )
            for name, desired in self._desired.items()
        }
        answers = await self._crew.run(scripts, timeout=STEP_TIMEOUT)
        self._confirmed = {
            name
            for name, answer in answers.items()
            if not isinstance(answer, TransportError) and not answer.status
        }
        self._note_troubles(answers)
        if self._troubles:
            raise StepFailed

    async def roll_back(self) -> None:
        """Undo the running state of every node that is not confirmed, and take staged files away."""
        undone = sorted(self._touched - self._confirmed)
        self._progress(f"rolling back {len(undone)} nodes")
        scripts = {name: self._undo_script(name) for name in undone}
        answers = await self._crew.run(scripts, timeout=STEP_TIMEOUT)
        for name, answer in answers.items():
            trouble = _trouble(name, answer)
            if trouble:
                hint = "its running state may be new: `wireloom plan` tells, once it answers"
                self._troubles[name] = replace(self._troubles.get(name, trouble), hint=hint)
            elif name in self._troubles:
                failed = self._troubles[name]
                hint = "; ".join(filter(None, [failed.hint, self._describe_return(name)]))
                self._troubles[name] = replace(failed, hint=hint)

    def _describe_return(self, name: NodeName) -> str:
        """How far a node is back: what a new one was given harms nobody, the next apply goes on from it."""
        if self._nodes[name].first_config and name in self._begun:
            return "taken back, but for its key and an interface without peers"
        return "taken back: it is as it was"

    def _undo_script(self, name: NodeName) -> str:
        """For a node whose commit was begun, however far it came: all of it is undone."""
        desired = self._desired[name]
        if name not in self._begun:
            return unstage_script(desired.interface)
        return undo_script(desired.interface, self._nodes[name], desired.config)

    async def _run(
        self, scripts: Mapping[NodeName, str], *, timeout: float, refused_by: str = ""
    ) -> dict[NodeName, dict[str, str]]:
        """A step on all its nodes: the ``name=value`` answers, or StepFailed with the troubles noted.

        ``refused_by`` is an answer that means failure, its value the reason.
        """
        answers = await self._crew.run(scripts, timeout=timeout)
        self._note_troubles(answers)
        read = {}
        for name, answer in answers.items():
            if isinstance(answer, TransportError):
                continue
            read[name] = dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
            if refused_by in read[name]:
                detail = self._describe_unproven(answer.stdout)
                self._troubles[name] = NodeOutcome(name, Ending.FAILED, detail)
        if self._troubles:
            raise StepFailed
        return read

    def _note_troubles(self, answers: Mapping[NodeName, object]) -> None:
        for name, answer in answers.items():
            trouble = _trouble(name, answer)
            if trouble:
                self._troubles[name] = trouble

    def _describe_unproven(self, text: str) -> str:
        """``unproven=ADDRESS,KEY`` lines → whom the node did not hear from."""
        owners = {str(address): name for name, node in self.lock.nodes.items() for address in node.addresses}
        pairs = [
            line.removeprefix("unproven=").partition(",") for line in text.splitlines() if "unproven=" in line
        ]
        names = [f"{owners.get(address, '?')} ({address})" for address, _, _ in pairs]
        return f"no answer over the underlay from {', '.join(names)}"

    def outcome(self) -> Outcome:
        """How it ended, for every node of the plan and every one that did not answer."""
        endings = [self._ending(node) for node in self.plan.nodes]
        waiting = [NodeOutcome(one.name, Ending.PENDING, one.what, one.hint) for one in self.plan.unreachable]
        return Outcome(self.lock.generation, tuple(endings + waiting))

    def _ending(self, node: NodePlan) -> NodeOutcome:
        if node.name in self._troubles:
            return self._troubles[node.name]
        if node.name in self._confirmed:
            return NodeOutcome(node.name, Ending.CHANGED)
        if not node.changes:
            return NodeOutcome(node.name, Ending.UNCHANGED)
        return NodeOutcome(node.name, Ending.ROLLED_BACK, self._describe_return(node.name))


def _trouble(name: NodeName, answer: object) -> NodeOutcome | None:
    """What went wrong with a script, in the words of the node where it has some."""
    if isinstance(answer, TransportError):
        return NodeOutcome(name, Ending.FAILED, answer.what, answer.hint)
    status, stderr = getattr(answer, "status", 0), str(getattr(answer, "stderr", ""))
    if status == 0:
        return None
    said = [line.removeprefix("wireloom: ") for line in stderr.splitlines() if line.startswith("wireloom: ")]
    return NodeOutcome(
        name, Ending.FAILED, "; ".join(said) or f"exit status {status}: {stderr.strip()[-300:]}"
    )


def _outline(plan: Plan) -> set[tuple[NodeName, Action, str]]:
    return {(name, change.action, change.target) for name, change in plan.changes()}
