"""Take a node out of the cluster, and k3s off machines: step by step, each safe to take again."""

import contextlib
import shlex
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from wireloom.apply.departure import Departure, holding_all_but, read_departure
from wireloom.apply.outcome import Ending
from wireloom.apply.script import LEASE, Hand
from wireloom.apply.step import STEP_TIMEOUT, read_all, trouble_of
from wireloom.apply.terms import Terms
from wireloom.cluster.places import BINARY, DATA, STATE
from wireloom.cluster.removal import Removal
from wireloom.errors import UserError
from wireloom.grammar import count
from wireloom.observe.shell import read_functions
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import ETCD_PORTS, NodeName

HANDS = read_functions("wireloom.cluster", "removal.sh")

LET_GO_SECONDS = 120
"""Until the cluster has let a node go, its member of etcd with it."""

PUT_OUT_SECONDS = 60
"""Until etcd has ended on a machine that the others have taken out."""

ERASE_TIMEOUT = 300.0
"""Seconds: pods are ended, and gigabytes of images deleted."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a node is taken out.

    ``seconds``: how long its pods may take to go. ``force``: also those that nothing makes anew elsewhere.
    ``keep``: what k3s has left on the machine stays.
    """

    seconds: int
    force: bool = False
    keep: bool = False


class Leave:
    """The machines, held for one removal, and what is sent to them."""

    def __init__(self, crew: Crew, hand: Hand, fleet: str) -> None:
        self._crew = crew
        self._hand = hand
        self._fleet = fleet

    async def run(
        self, names: Iterable[NodeName], *calls: str, timeout: float, takes: float = 0.0
    ) -> dict[NodeName, Completed | TransportError]:
        """The same calls of removal.sh on each machine, as long as it is held. ``takes``: as for the Crew."""
        script = self._script(*calls)
        return await self._crew.run(dict.fromkeys(names, script), timeout=timeout, takes=takes)

    def _script(self, *calls: str) -> str:
        head = f"interface={shlex.quote(self._hand.interface)} binary={BINARY} data={DATA} state={STATE}"
        keep = f"keep {shlex.quote(self._hand.id)}"
        return "\n".join([f"{head} etcd_port={ETCD_PORTS[1]}", LEASE, HANDS, keep, *calls, ""])

    async def take_off(
        self, names: Iterable[NodeName], *, keep: bool = False, first: Iterable[str] = ()
    ) -> dict[NodeName, Departure]:
        """End k3s on machines, side by side, and unless ``keep`` erase it. ``first``: calls before that."""
        last = () if keep else ("erase",)
        calls = (f"ours {shlex.quote(self._fleet)}", *first, "end_all", *last)
        answers = await self.run(names, *calls, timeout=ERASE_TIMEOUT)
        return {name: read_departure(name, answer) for name, answer in answers.items()}


@contextlib.asynccontextmanager
async def leaving(
    crew: Crew, terms: Terms, interface: str, fleet: str, machines: Collection[NodeName]
) -> AsyncIterator[tuple[Leave, Mapping[NodeName, Departure]]]:
    """Have machines for this removal alone, as an apply does; and why some could not be had."""
    hand = Hand(interface, terms.id, terms.who, terms.when)
    async with holding_all_but(crew, hand, machines) as missing:
        yield Leave(crew, hand, fleet), missing


async def uninstall(
    leave: Leave, missing: Mapping[NodeName, Departure], machines: Collection[NodeName]
) -> tuple[Departure, ...]:
    """Take k3s off machines, all side by side; those that could not be had are left."""
    done = await leave.take_off([name for name in machines if name not in missing])
    return tuple(missing.get(name) or done[name] for name in machines)


async def remove_node(
    leave: Leave,
    missing: Mapping[NodeName, Departure],
    removal: Removal,
    way: Way,
    progress: Callable[[str], None],
) -> Departure:
    """Take a node out: its pods, then the node with its member of etcd, then k3s on its machine.

    Raises UserError where one of the machines that this needs could not be had.
    """
    for one in filter(None, (removal.via, removal.name if removal.machine else None)):
        if one in missing:
            raise UserError.one(missing[one].detail, where=one, hint="nothing was changed")
    leaving = _Leaving(leave, removal, way, progress)
    did: tuple[str, ...] = ()
    for step in (leaving.drain, leaving.let_go, leaving.take_off):
        done = await step()
        did += done.did
        if done.ending in {Ending.FAILED, Ending.PENDING}:
            return replace(done, did=did)
    return Departure(removal.name, Ending.CHANGED if did else Ending.UNCHANGED, did)


@dataclass(frozen=True, slots=True)
class _Leaving:
    """One node on its way out."""

    leave: Leave
    removal: Removal
    way: Way
    progress: Callable[[str], None]

    async def drain(self) -> Departure:
        """It gets no new pods, and those that it has go elsewhere."""
        name, via, seconds = self.removal.name, self.removal.via, self.way.seconds
        if via is None or not self.removal.drain:
            return self._nothing()
        self.progress(f"draining {name}, for {count(seconds, 'second')} at most")
        call = f"drain {shlex.quote(name)} {seconds}{' --force' if self.way.force else ''}"
        answers = await self.leave.run([via], call, timeout=seconds + STEP_TIMEOUT, takes=seconds)
        hint = (
            "it is in the cluster as before, and gets no new pods. --force ends pods that nothing makes anew,"
            f" --drain-within gives them more time; `kubectl uncordon {name}` leaves it be"
        )
        return self._read(answers[via], "drain", hint)

    async def let_go(self) -> Departure:
        """The cluster forgets it. Before that its k3s is kept from coming back."""
        name, via = self.removal.name, self.removal.via
        if via is None:
            return self._nothing()
        self.progress(f"{via} lets {name} go")
        if self.removal.machine:
            answers = await self.leave.run([name], "retire", timeout=STEP_TIMEOUT)
            retired = self._read(answers[name], "retire", "it is in the cluster as before: run this again")
            if retired.ending is Ending.FAILED:
                return retired
        call = f"forget {shlex.quote(name)} {LET_GO_SECONDS}"
        timeout = LET_GO_SECONDS + STEP_TIMEOUT
        answer = (await self.leave.run([via], call, timeout=timeout, takes=LET_GO_SECONDS))[via]
        if self.removal.machine and isinstance(answer, Completed) and answer.status != 0:
            await self.leave.run([name], "reinstate", timeout=STEP_TIMEOUT)
        return self._read(answer, "delete", "run this again: it goes on from here")

    async def take_off(self) -> Departure:
        """K3s ends on its machine; where the others need its vote, only once they have taken it out."""
        name = self.removal.name
        if not self.removal.machine:
            return self._nothing()
        self.progress(f"taking k3s off {name}")
        first = [f"put_out {PUT_OUT_SECONDS}"] if self.removal.needed else []
        return (await self.leave.take_off([name], keep=self.way.keep, first=first))[name]

    def _nothing(self) -> Departure:
        return Departure(self.removal.name, Ending.UNCHANGED)

    def _read(self, answer: Completed | TransportError, step: str, hint: str) -> Departure:
        """What came of a step that must not be left out."""
        name, did = self.removal.name, tuple(read_all(answer, "did"))
        if trouble := trouble_of(name, answer, step):
            return Departure(name, Ending.FAILED, did, trouble.detail, trouble.hint or hint, step)
        return Departure(name, Ending.CHANGED, did)
