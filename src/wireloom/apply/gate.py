"""A gate: machines that were started are waited for until they, and the cluster, say that they are ready."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wireloom.apply.k3s import K3sHand
from wireloom.apply.step import complaints, read_all, read_answer
from wireloom.cluster.places import Role
from wireloom.cluster.plan import K3sNodePlan
from wireloom.grammar import count
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

ROUND = 10
"""Seconds that one question waits on the machine itself, so that a broken connection costs no more."""

PATIENCE = 1.0
"""Seconds between two rounds of questions that came back at once."""

GIVEN_UP = 3
"""Times that systemd has started a k3s again which ended by itself: waiting does not help it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one machine stands. ``hopeless``: waiting does not help it. ``why``: what it waits for."""

    through: bool = False
    hopeless: bool = False
    why: str = "it has not answered yet"

    @property
    def settled(self) -> bool:
        """Nothing to wait for any more."""
        return self.through or self.hopeless


@dataclass(frozen=True, slots=True)
class Word:
    """What a server says: whether its API is ready, and of each node whether it is Ready, and votes in etcd.

    ``voters`` holds those of which it is told at all.
    """

    api: bool
    ready: Mapping[NodeName, bool]
    voters: Mapping[NodeName, bool]


class Gate:
    """Waits for machines, at most ``within`` seconds for those that are waited for together.

    ``embedded``: servers have an etcd, whose member must have become a voter.
    """

    def __init__(self, crew: Crew, hand: K3sHand, within: float, *, embedded: bool) -> None:
        self._crew = crew
        self._hand = hand
        self._within = within
        self._embedded = embedded

    async def wait(
        self, nodes: Sequence[K3sNodePlan], servers: Sequence[NodeName], *, progress: Callable[[str], None]
    ) -> dict[NodeName, str | None]:
        """Until all are through, or hopeless, or late: None for each that is through, for the others why not.

        A server tells of itself; of agents the first of ``servers`` that can.
        """
        standings = dict.fromkeys((one.name for one in nodes), Standing())
        until = time.monotonic() + self._within
        told = ""
        while waiting := [one for one in nodes if not standings[one.name].settled]:
            begun = time.monotonic()
            if begun > until:
                break
            standings |= await self._ask(waiting, servers)
            left = [one.name for one in waiting if not standings[one.name].settled]
            if left:
                before, told = told, _describe(left, standings)
                if told != before:
                    progress(told)
                await asyncio.sleep(max(0.0, PATIENCE - (time.monotonic() - begun)))
        return {name: self._verdict(standing) for name, standing in standings.items()}

    def _verdict(self, standing: Standing) -> str | None:
        if standing.through:
            return None
        return standing.why if standing.hopeless else f"not ready within {self._within:.0f} s: {standing.why}"

    async def _ask(
        self, nodes: Sequence[K3sNodePlan], servers: Sequence[NodeName]
    ) -> dict[NodeName, Standing]:
        """One round: each machine about its unit, then servers about who is ready."""
        scripts = {one.name: self._hand.gate(one.role, ROUND) for one in nodes}
        units = await self._crew.run(scripts, timeout=2 * ROUND, takes=ROUND)
        standings = {name: _read_unit(answer) for name, answer in units.items()}
        active = [one for one in nodes if standings[one.name].through]
        own = [one for one in active if one.role is Role.SERVER]
        words = await self._crew.run(
            {one.name: self._hand.ask(ROUND) for one in own}, timeout=3 * ROUND, takes=ROUND
        )
        standings |= {one.name: self._judge(one, _read_word(words[one.name]), one.name) for one in own}
        agents = [one for one in active if one.role is Role.AGENT]
        if agents:
            teller, word = await self._hear(servers)
            standings |= {one.name: self._judge(one, word, teller) for one in agents}
        return standings

    async def _hear(self, servers: Sequence[NodeName]) -> tuple[str, Word | None]:
        """The word of the first server that has one, and who that is."""
        for name in servers:
            answers = await self._crew.run({name: self._hand.ask(ROUND)}, timeout=3 * ROUND, takes=ROUND)
            word = _read_word(answers[name])
            if word is not None and (word.ready or len(servers) == 1):
                return name, word
        return ", ".join(servers) or "no server", None

    def _judge(self, one: K3sNodePlan, word: Word | None, teller: str) -> Standing:
        """What a server's word means for one machine whose unit is active."""
        if word is None:
            return Standing(why=f"{teller} could not tell whether it is Ready")
        if one.role is Role.SERVER and not word.api:
            return Standing(why="its API is not ready (/readyz)")
        if not word.ready.get(one.name, False):
            known = "is not Ready" if one.name in word.ready else "is not a node of the cluster yet"
            return Standing(why=f"it {known}, says {teller}")
        if one.role is Role.SERVER and self._embedded and not word.voters.get(one.name, False):
            return Standing(why="its etcd member has no vote yet")
        return Standing(through=True)


def _read_unit(answer: Completed | TransportError) -> Standing:
    """What a machine says of its unit; through where the unit is active."""
    if isinstance(answer, TransportError):
        return Standing(why=answer.what)
    if answer.status != 0:
        return Standing(why=complaints(answer) or "its unit could not be looked at")
    values = read_answer(answer)
    state = values.get("state", "")
    if state == "active":
        return Standing(through=True)
    said = "; ".join(read_all(answer, "said")) or "its log names no mistake"
    restarts = values.get("restarts", "")
    if state == "failed" or (restarts.isdigit() and int(restarts) >= GIVEN_UP):
        return Standing(hopeless=True, why=f"k3s ends by itself: {said}")
    return Standing(why=f"its unit is {state or 'not there'}: {said}")


def _read_word(answer: Completed | TransportError) -> Word | None:
    """What a server says, None where it could not."""
    if isinstance(answer, TransportError) or answer.status != 0:
        return None
    ready: dict[NodeName, bool] = {}
    voters: dict[NodeName, bool] = {}
    for line in read_all(answer, "node"):
        name, *told = line.split(" ")
        if len(told) == 2:
            ready[NodeName(name)] = told[0] == "True?"
            if told[1] != "?":
                voters[NodeName(name)] = told[1] == "True?"
    return Word("readyz=ok" in answer.stdout.splitlines(), ready, voters)


def _describe(left: Sequence[NodeName], standings: Mapping[NodeName, Standing]) -> str:
    first = left[0]
    others = f", and {count(len(left) - 1, 'other node')}" if len(left) > 1 else ""
    return f"waiting for {first}{others}: {standings[first].why[:80]}"
