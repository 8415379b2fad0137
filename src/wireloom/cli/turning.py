"""The steps of a rotation: a stand-in carries everything while the keys of the interface are changed.

    stand up ─► lead over it ─► new keys ─► lead back ─► take it away

Each is an apply, and does nothing where it is done already. So one that was cut off, anywhere, goes on from
the beginning, and a machine that is restarted meanwhile comes up as its last step has left it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from itertools import chain

from wireloom.apply.departure import Departure
from wireloom.apply.outcome import Ending, Outcome
from wireloom.apply.pairs import find_silent
from wireloom.apply.rotation import end_rotation, find_rekeyed, find_strays, rekey, restore_keys
from wireloom.apply.script import Hand
from wireloom.apply.teardown import tear_down
from wireloom.apply.terms import IN_ROTATION, Terms
from wireloom.cli.survey import look_around, survey_over
from wireloom.cli.walk import walk
from wireloom.cli.world import World, with_lock
from wireloom.errors import Diagnostic, UserError
from wireloom.grammar import count
from wireloom.lock.allot import allot
from wireloom.lock.file import read_lock, write_lock
from wireloom.network.stand_in import relieved, stand_in
from wireloom.network.topology import wanted_stance
from wireloom.observe.state import NodeState, Seen
from wireloom.plan.footing import learn_footing
from wireloom.plan.recovery import recover_lock
from wireloom.plan.teardown import Teardown, find_obstacle, plan_teardown
from wireloom.report.terminal import Progress
from wireloom.transport.crew import Crew
from wireloom.values import NodeName

GO_ON = "`wireloom rotate` goes on with it"

STEP_BACK = "What was not confirmed of this step is taken back."


class StepFailed(UserError):
    """An apply of a rotation failed. ``confirmed``: on some nodes it did not, and stays.

    What an apply would say of its aftermath is not true any more when the rotation has been taken back.
    """

    def __init__(self, outcome: Outcome) -> None:
        bad = [one for one in outcome.nodes if one.ending in {Ending.FAILED, Ending.PENDING}]
        left = [Diagnostic(f"left to do: {'; '.join(outcome.steps_left)}")] if outcome.steps_left else []
        super().__init__([*(Diagnostic(one.detail, where=one.name) for one in bad), *left])
        self.confirmed = any(one.ending is Ending.CHANGED for one in outcome.nodes)


@dataclass(slots=True)
class Turn:
    """One rotation under way. ``world`` is that of the fleet; ``port`` is the stand-in's.

    ``names``: who gets new keys; ``left``: who has got one in a rotation that was cut off. ``led``: packets
    may take the stand-in. ``changed``: some node may run with a new key, and others not: all have to take
    the stand-in until they do.
    """

    world: World
    crew: Crew
    port: int
    new_terms: Callable[[], Terms]
    progress: Progress
    names: set[NodeName]
    left: set[NodeName] = field(default_factory=set)
    led: bool = False
    changed: bool = False

    @property
    def interface(self) -> str:
        """The interface whose keys are changed."""
        return self.world.fleet.underlay.interface

    async def recall(self) -> None:
        """Find out how far another rotation has come, and whose new keys it has left.

        The lock of its stand-in may be on another operator's machine: it is made anew.
        """
        other = self._stand_in(led=False)
        seen = await look_around(other, self.crew)
        reached = [state for state in seen.values() if isinstance(state, NodeState)]
        if not other.lock_path.exists() and any(state.stamp for state in reached):
            lock = recover_lock(other.fleet.name, seen)
            write_lock(other.lock_path, learn_footing(lock, seen, wanted_stance(other.fleet)))
        ports = {state.link.port for state in reached if state.link and state.stamp}
        self.port = min(ports, default=self.port)
        members = self._stand_in(led=True).network.members.values()
        leads = {lead.to for member in members for lead in member.leads}
        routes = chain.from_iterable(state.routes for state in reached)
        interface = other.fleet.underlay.interface
        self.led = any(one.device == interface and one.to in leads for one in routes)
        self.left = await find_rekeyed(self.crew, self._hand(self.interface), self.world.dialled)
        self.changed = self.led and bool(self.left)

    async def forget(self) -> None:
        """What says of new keys that they are, without a rotation under way, is of one that is long over."""
        if self.left:
            await end_rotation(self.crew, self._hand(self.interface), self.left)
            self.left = set()

    async def stand_up(self) -> None:
        """Have the stand-in beside the interface, and every pair of nodes meet over it.

        Nothing takes it yet; but where something does already, all do.
        """
        other = self._stand_in(led=self.led)
        self.progress(f"setting {other.fleet.underlay.interface} up beside {self.interface}")
        if not self.led:
            await self._settle(beside=True)
        await self._meet(await self._bring(other))

    async def require_room(self) -> None:
        """Raise UserError where a stand-in can't be set up, before anything is changed for it."""
        found = await survey_over(self.crew, self._stand_in(led=False))
        if found.plan.refusals:
            raise UserError(found.plan.refusals)

    async def lead(self, *, over: bool) -> None:
        """Have packets take the stand-in, or the interface again."""
        other = self._stand_in(led=over)
        name = other.fleet.underlay.interface if over else self.interface
        self.progress(f"leading packets over {name}")
        self.led = True
        await self._bring(other)
        if over:
            await self._require_led(other)
        self.led = over

    async def _require_led(self, other: World) -> None:
        """Raise UserError where packets would go another way, whatever our routes say."""
        carried = other.fleet.carries
        assert carried is not None  # noqa: S101  # it is a stand-in
        everywhere = {
            name: [one.network_address if one.prefixlen == one.max_prefixlen else one[1] for one in prefixes]
            for name, prefixes in carried.behind.items()
        }
        addresses = {
            name: [one for peer, theirs in everywhere.items() if peer != name for one in theirs]
            for name in other.dialled
        }
        hand = self._hand(other.fleet.underlay.interface)
        if strays := await find_strays(self.crew, hand, addresses):
            raise UserError(strays)

    async def rekey(self) -> None:
        """New keys on the nodes, and every pair of nodes with one of them shakes hands by it."""
        hand = self._hand(self.interface)
        self.names |= self.left
        self.progress(f"making keys on {count(len(self.names), 'node')}")
        try:
            await rekey(self.crew, hand, self.names)
            self.progress(f"changing the keys of {self.interface}")
            await self._settle(beside=True)
        except UserError as error:
            self.changed |= isinstance(error, StepFailed) and error.confirmed
            if not self.changed:
                await self._restore(hand)
            raise
        self.changed = True
        await self._meet(self._relieved(), fresh=self.names)

    async def _restore(self, hand: Hand) -> None:
        """No node has run with its new key for longer than a moment: all keep the old ones."""
        self.changed = True
        await restore_keys(self.crew, hand, self.names)
        self.changed = False

    async def stand_down(self) -> None:
        """Take the stand-in away, and all that was made ready for it."""
        other = self._stand_in(led=False)
        interface = other.fleet.underlay.interface
        self.progress(f"taking {interface} away")
        seen = await look_around(other, self.crew)
        teardowns = _plan_teardowns(other, seen)
        done = await tear_down(self.crew, self.new_terms(), interface, teardowns)
        _require_gone(done.values())
        await end_rotation(self.crew, self._hand(self.interface), self.world.dialled)
        await self._settle(beside=False)
        other.lock_path.unlink(missing_ok=True)

    async def _settle(self, *, beside: bool) -> None:
        """The fleet itself, with its nodes' keys; ``beside``: its guard lets the stand-in pass."""
        what = IN_ROTATION if beside else "the keys were rotated"
        brought = await self._bring(self._relieved() if beside else self.world, what)
        self.world = with_lock(self.world, brought.lock)

    async def _bring(self, world: World, what: str = "") -> World:
        """One apply, and none where all is so already. Raises UserError where a node is left behind."""
        found = await survey_over(self.crew, world)
        if found.refusals:
            raise UserError(found.refusals)

        def new_terms() -> Terms:
            return replace(self.new_terms(), what=what)

        outcome, after = await walk(found, new_terms, self.progress, interrupted=STEP_BACK)
        if outcome.failed or outcome.pending or outcome.steps_left:
            raise StepFailed(outcome)
        return after

    async def _meet(self, world: World, fresh: Collection[NodeName] = ()) -> None:
        """Every pair, over the interface of this world, whose lock has their keys. Raises UserError."""
        network = world.network
        self.progress(f"asking every pair of nodes over {network.interface}")
        if silent := await find_silent(self.crew, self._hand(network.interface), network, fresh):
            raise UserError(silent)

    def _relieved(self) -> World:
        return replace(self.world, fleet=relieved(self.world.fleet))

    def _stand_in(self, *, led: bool) -> World:
        """The world of the stand-in, with a lock of its own beside that of the fleet."""
        fleet = stand_in(self.world.fleet, self.world.network, self.port, led=led)
        path = self.world.lock_path.with_suffix(".turn.lock")
        lock = allot(fleet, read_lock(path, fleet.name))
        return replace(self.world, fleet=fleet, lock=lock, lock_path=path)

    def _hand(self, interface: str) -> Hand:
        terms = self.new_terms()
        return Hand(interface, terms.id, terms.who, terms.when)


def _plan_teardowns(world: World, seen: Seen) -> dict[NodeName, Teardown]:
    """What goes off each machine; where nothing is there perhaps a key. Raises UserError where it can't."""
    teardowns, obstacles = {}, []
    for name, state in seen.items():
        if not isinstance(state, NodeState):
            obstacles.append(Diagnostic(state.what, where=name, hint=state.hint))
        elif obstacle := find_obstacle(world.network, world.lock, state):
            obstacles.append(obstacle)
        else:
            planned = plan_teardown(world.network, world.lock, state)
            teardowns[name] = planned or Teardown(state.fingerprint, ())
    if obstacles:
        raise UserError(obstacles)
    return teardowns


def _require_gone(departures: Collection[Departure]) -> None:
    bad = [one for one in departures if one.ending in {Ending.FAILED, Ending.PENDING}]
    if bad:
        raise UserError(Diagnostic(one.detail, where=one.name, hint=one.hint) for one in bad)
