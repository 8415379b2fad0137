"""What a verb stands on: the fleet, its lock, the way to its machines."""

import contextlib
import errno
import os
import signal
import sys
import termios
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wireloom.cli.interruption import heeded, interruptible
from wireloom.cli.settings import Settings
from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet
from wireloom.intent.load import load_fleet
from wireloom.lock.allot import allot
from wireloom.lock.file import lock_path, read_lock
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.network.topology import weave
from wireloom.transport.sudo import FleetSudo
from wireloom.values import NodeName

if TYPE_CHECKING:
    from wireloom.lab.machine import Lab
    from wireloom.report.terminal import Progress
    from wireloom.transport.crew import Crew

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """One fleet file and its lock, addresses given out (in memory only).

    ``lab``: its machines are the lab's, and so is its lock. ``sudo``: what its machines' sudo wants.
    """

    settings: Settings
    fleet: Fleet
    lock: Lock
    lock_path: Path
    lab: bool
    sudo: FleetSudo

    @property
    def network(self) -> Network:
        """The network that fleet and lock make."""
        return weave(self.fleet, self.lock)

    @property
    def dialled(self) -> list[NodeName]:
        """The nodes that can be dialled: in a lab all, otherwise those with ``ssh``."""
        return [name for name, node in self.fleet.nodes.items() if self.lab or node.ssh is not None]


def open_world(settings: Settings, *, ahead: bool = False) -> World:
    """Load the fleet file and its lock; warnings go to stderr. Raises UserError.

    ``ahead``: a verb that does nothing takes also what the others can't do yet.
    """
    path = settings.fleet_path
    loaded = load_fleet(path, ahead=ahead)
    if loaded.warnings and not settings.quiet:
        from wireloom.report.terminal import show_diagnostics

        show_diagnostics(loaded.warnings)
    fleet = loaded.fleet
    in_lab = settings.lab or fleet.lab
    locked_at = lab_lock_path(fleet) if in_lab else lock_path(path)
    lock = allot(fleet, read_lock(locked_at, fleet.name))
    return World(settings, fleet, lock, locked_at, in_lab, FleetSudo())


def lab_lock_path(fleet: Fleet) -> Path:
    """The lock of a fleet's lab: its machines have other keys than the real ones."""
    return hidden_directory(fleet) / "lab" / f"{fleet.name}.lock"


def verdicts_path(world: World) -> Path:
    """Where the last verdicts about a fleet are kept; what its twin in the lab proves is not about it."""
    hidden = hidden_directory(world.fleet)
    twin = world.lab and not world.fleet.lab
    return (hidden / "lab" if twin else hidden) / "verified" / f"{world.fleet.name}.json"


def hidden_directory(fleet: Fleet) -> Path:
    """``.wireloom`` beside the fleet file: journal and labs; not for version control."""
    return fleet.path.parent / ".wireloom"


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a verb's asynchronous part. Raises KeyboardInterrupt where it was asked to end, and has.

    Every Ctrl-C cancels it, and so do SIGTERM and SIGHUP. asyncio's own second Ctrl-C would leave at once,
    in the middle of what must be carried through.
    """
    import asyncio

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # we are in one
        for number in before:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await coroutine

    before = {number: signal.getsignal(number) for number in heeded()}
    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def nonce() -> str:
    """A word that no machine prints by chance."""
    return f"wireloom-{os.urandom(8).hex()}"


@contextlib.asynccontextmanager
async def open_crew(
    world: World,
    *,
    yes: bool,
    progress: "Progress",
    vouched: dict[NodeName, str] | None = None,
    patient: bool = False,
) -> "AsyncIterator[Crew]":
    """The connections to the machines, or to their twins in the lab.

    ``yes``: nothing is asked, and host keys at first contact are accepted. ``vouched`` are host keys that the
    user has just accepted. ``progress`` makes room for a question, and names whom it takes long to hear from.
    ``patient``: for who asks again and again; a node that does not answer is dialled once at a time, and ever
    more seldom.
    """
    from wireloom.cli.password import ask_password
    from wireloom.transport.crew import Crew
    from wireloom.transport.patience import PatientTransport
    from wireloom.transport.ssh import ATTEMPTS, SshTransport

    pinned = {
        name: node.ssh_host_key for name, node in world.lock.nodes.items() if node.ssh_host_key is not None
    } | (vouched or {})
    targets = {name: node.ssh for name, node in world.fleet.nodes.items() if node.ssh is not None}
    attempts = 1 if patient else ATTEMPTS
    if world.lab:
        from wireloom.lab.dial import LabDialer

        lab = find_lab(world.fleet)
        transport = SshTransport(
            targets,
            pinned=pinned,
            accept_new=True,
            attempts=attempts,
            dial=LabDialer(lab, world.fleet),
            identity=lab.directory / "id_ed25519",
            use_config=False,
        )
    else:
        transport = SshTransport(
            targets,
            pinned=pinned,
            accept_new=yes,
            attempts=attempts,
            sudo=world.sudo,
            ask=partial(ask_password, world.settings, progress, yes=yes),
        )
    way = PatientTransport(transport) if patient else transport
    async with transport, Crew(way, awaited=progress.wait_for) as crew:
        yield crew


def find_lab(fleet: Fleet) -> "Lab":
    """The running lab of a fleet. Raises UserError where there is none."""
    from wireloom.lab.machine import find

    lab = find(fleet.name)
    if lab is None:
        raise UserError.one(
            f"the lab of `{fleet.name}` is not up",
            where=str(fleet.path),
            hint="build its machines on this computer: wireloom lab up",
        )
    require_own(lab, fleet)
    return lab


def require_own(lab: "Lab", fleet: Fleet) -> None:
    """Raise UserError for a lab of the fleet's name that was built from another file."""
    if lab.fleet_path != fleet.path.resolve():
        raise UserError.one(
            f"the lab of `{fleet.name}` that is up was built from {lab.fleet_path}",
            where=str(fleet.path),
            hint=f"take that one down (wireloom lab down {fleet.name}), or name this fleet otherwise",
        )


def ask(question: str, *, yes: bool) -> None:
    """Go on only if the user says so. Raises UserError where nobody can be asked."""
    if yes:
        return
    with _somebody(question, "--yes says yes to it"):
        agreed = click.confirm(question, err=True)
    if not agreed:
        raise UserError.one("stopped: nothing was changed")


def ask_name(question: str, name: str, *, said: str | None, option: str) -> None:
    """Go on only if the user types this name, or has ``said`` it with an option. Raises UserError."""
    if said is None:
        with _somebody(f"{question}.", f"{option} {name} says so"):
            said = click.prompt(question, err=True, default="", show_default=False)
    if said != name:
        raise UserError.one(f"stopped: that was not `{name}`, and nothing was changed")


@contextlib.contextmanager
def _somebody(question: str, hint: str) -> Iterator[None]:
    """Inside of it somebody is asked. Raises UserError where nobody can be."""
    if not sys.stdin.isatty():
        raise UserError.one(f"{question} Nobody can be asked here", hint=hint)
    # What was typed before the question was read is no answer to it.
    with contextlib.suppress(OSError, termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
    # asyncio's handler would only take note of a Ctrl-C, and the question would go on waiting.
    # It must not hear of it either: it would cancel the farewell to the machines.
    with interruptible():
        yield


def require_underlay(world: World, hint: str) -> None:
    """Raise UserError for a verb that is about the underlay, in a fleet where none is made."""
    if not world.fleet.has_underlay:
        raise UserError.one("no underlay is made (`encrypt: cni`)", where=str(world.fleet.path), hint=hint)


def require_directory(path: Path) -> None:
    """Raise UserError where there is no directory for a file, before anything is begun for it."""
    if not path.parent.is_dir():
        raise unwritable(path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))


def unwritable(path: Path, error: OSError) -> UserError:
    """What a user is told whose file could not be written. No directory is made for it: it may be a slip."""
    missing = not path.parent.exists()
    hint = f"there is no directory {path.parent}: make it first, or name another" if missing else ""
    return UserError.one(f"can't be written: {error.strerror}", where=str(path), hint=hint)


def with_lock(world: World, lock: Lock) -> World:
    """The same world with another lock."""
    return replace(world, lock=lock)
