"""Looks at the machines of a fleet file again and again, over connections that stay open."""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from wireloom.cli.settings import Settings
from wireloom.cli.survey import look_around
from wireloom.cli.world import World, open_crew, open_world, verdicts_path
from wireloom.errors import Diagnostic, Severity, UserError
from wireloom.exporter.snapshot import NodeReading, Snapshot, read_nodes, read_reachable
from wireloom.exporter.verified import MAX_BYTES, LastVerify, read_verified
from wireloom.network.topology import weave
from wireloom.observe.state import Seen, Unreachable
from wireloom.plan.fleet import keys_seen, make_plan
from wireloom.report.terminal import Progress, say, show_diagnostics
from wireloom.transport.crew import Crew
from wireloom.values import NodeName


class Lookout:
    """One look at a time, each with the fleet file and its lock as they are then.

    Where these can't be read any more, they stay as they were: the network has not changed by that. What has
    become of them, and of the machines, is told on stderr when it changes.
    """

    def __init__(self, settings: Settings, *, yes: bool, patient: bool) -> None:
        self._settings = settings
        self._yes = yes
        self._patient = patient
        self._world = open_world(settings)
        self._way = contextlib.AsyncExitStack()
        self._crew: Crew | None = None
        self._before: Snapshot | None = None
        self._mistakes: tuple[Diagnostic, ...] = ()
        self._silent: dict[NodeName, str] = {}

    async def __aenter__(self) -> "Lookout":
        """Nothing is dialled until the first look. Raises UserError where there is no way to the machines."""
        await self._open(self._world)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        await self._way.aclose()

    async def look(self) -> Snapshot:
        """Look at all machines. Raises nothing for what becomes of them, or of the file."""
        await self._keep_up()
        began = time.monotonic()
        seen = await self._see()
        self._tell(seen)
        # Apart from the loop, which has readers to answer: the plan of a large fleet takes a while.
        now = await asyncio.to_thread(self._read, seen, time.monotonic() - began)
        self._before = now
        return now

    async def _open(self, world: World) -> None:
        """The way to the machines of this world, in the place of the one before. Raises UserError."""
        async with contextlib.AsyncExitStack() as way:
            progress = way.enter_context(Progress(quiet=True))
            crew = await way.enter_async_context(
                open_crew(world, yes=self._yes, progress=progress, patient=self._patient)
            )
            kept = way.pop_all()
        await self._way.aclose()
        self._way, self._crew, self._world = kept, crew, world

    async def _keep_up(self) -> None:
        """Go by the fleet file and its lock as they are now, if they have changed and make sense."""
        try:
            found = open_world(replace(self._settings, quiet=True))
            if (found.fleet, found.lock) != (self._world.fleet, self._world.lock):
                await self._open(replace(found, settings=self._settings, sudo=self._world.sudo))
            mistakes: tuple[Diagnostic, ...] = ()
        except UserError as error:
            mistakes = error.diagnostics
        if mistakes and mistakes != self._mistakes:
            show_diagnostics(mistakes)
            say("The fleet is looked at as it was before.")
        self._mistakes = mistakes

    async def _see(self) -> Seen:
        """What is on each machine. A broken connection says nothing of its machine: it is dialled again."""
        assert self._crew is not None  # noqa: S101  # __aenter__ has opened it
        kept = set(self._crew.host_keys)
        seen = await look_around(self._world, self._crew)
        broken = [
            name
            for name, state in seen.items()
            if name in kept and isinstance(state, Unreachable) and not state.refused
        ]
        return {**seen, **await look_around(self._world, self._crew, only=broken)}

    def _tell(self, seen: Seen) -> None:
        """Who does not answer any more, and why; who answers again."""
        silent = {name: state for name, state in seen.items() if isinstance(state, Unreachable)}
        show_diagnostics(
            Diagnostic(state.what, str(name), state.hint, Severity.WARNING)
            for name, state in silent.items()
            if self._silent.get(name) != state.what
        )
        back = [name for name in self._silent if name in seen and name not in silent]
        if back and not self._settings.quiet:
            say(f"Answering again: {', '.join(back)}.")
        self._silent = {name: state.what for name, state in silent.items()}

    def _read(self, seen: Seen, seconds: float) -> Snapshot:
        world = self._world
        return Snapshot(
            fleet=world.fleet.name,
            generation=world.lock.generation,
            nodes=tuple(self._read_nodes(seen)),
            verified=_find_verified(verdicts_path(world)),
            taken=time.time(),
            seconds=seconds,
            file_valid=not self._mistakes,
        )

    def _read_nodes(self, seen: Seen) -> Iterable[NodeReading]:
        world = self._world
        network = weave(world.fleet, world.lock.with_keys(keys_seen(seen)))
        if not world.fleet.has_underlay:
            return read_reachable(network, seen)
        plan = make_plan(world.fleet, world.lock, network, seen)
        return read_nodes(network, plan, seen, self._before)


def _find_verified(path: Path) -> LastVerify:
    try:
        with path.open("rb") as file:
            return read_verified(file.read(MAX_BYTES + 1))
    except FileNotFoundError:
        return read_verified(None)
    except OSError:
        return read_verified(b"")
