"""The processes of labs, found by their arguments: no file says what runs, so no file can be stale."""

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from wireloom.errors import UserError

LAB_MARKER = "wireloom-lab"
MACHINE_MARKER = "wireloom-machine"

PROC = Path("/proc")
TAKE_DOWN_LIMIT = 10.0
"""Seconds after which a lab that does not go away is an error."""

BURIAL_LIMIT = 2.0
"""Seconds to wait for PID 1 to take note of what died."""

# How deep a process is in PID namespaces, seen from here, tells a lab of ours from a lab that somebody
# runs inside of a container on this computer, and the first process of a machine from its children.
_OUTSIDE, _IN_THE_LAB, _IN_A_MACHINE = 1, 2, 3


class Kind(StrEnum):
    """What a process is to its lab: the one that starts it, its init, or the init of a machine."""

    STARTER = "starter"
    LAB = "lab"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class LabProcess:
    """A process of a lab. ``detail`` is the fleet file's path, or a machine's name."""

    pid: int
    kind: Kind
    lab: str
    detail: str


def scan() -> list[LabProcess]:
    """Every starter, lab init and machine init that runs on this computer as root."""
    return list(_scan())


def classify(pid: int, argv: list[str], pids: tuple[int, ...]) -> LabProcess | None:
    """What a process is, by its arguments and its PIDs (as ``NSpid`` has them, outermost first)."""
    match argv:
        case ["sh", script, marker, lab, detail] if marker == LAB_MARKER and script.endswith("/init.sh"):
            depth, kind = _IN_THE_LAB, Kind.LAB
        case ["sh", _, marker, lab, detail, _] if marker == MACHINE_MARKER:
            depth, kind = _IN_A_MACHINE, Kind.MACHINE
        case ["setsid" | "unshare", *_, marker, lab, detail] if marker == LAB_MARKER:
            return LabProcess(pid, Kind.STARTER, lab, detail) if len(pids) == _OUTSIDE else None
        case _:
            return None
    return LabProcess(pid, kind, lab, detail) if len(pids) == depth and pids[-1] == 1 else None


def take_down(lab: str) -> bool:
    """Kill a lab, complete or not, and wait until its last process is gone. False: there was none."""
    starters: set[int] = set()
    found = False
    deadline = time.monotonic() + TAKE_DOWN_LIMIT
    while alive := [one for one in _scan() if one.lab == lab]:
        found = True
        starters |= {one.pid for one in alive if one.kind is Kind.STARTER}
        if time.monotonic() >= deadline:
            raise UserError.one(
                f"lab {lab} does not go away: {len(alive)} of its processes are still there",
                hint=f"see what holds them: cat /proc/{alive[0].pid}/stack",
            )
        # With a lab's init, all that it contains dies; a starter may be about to make one.
        for one in alive:
            if one.kind is not Kind.MACHINE:
                _kill(one, deadline)
    _await_burial(starters)
    return found


def is_alive(process: LabProcess) -> bool:
    """Whether the PID still belongs to the same process of the same lab."""
    return _look_at(process.pid) == process


def _kill(process: LabProcess, deadline: float) -> None:
    """Kill one process, and be sure that it is this one; returns when it is gone or the time is up."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        # Checked after the handle is open: from here on the PID can't come to mean another process.
        if not is_alive(process):
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        waiting.poll(max(0.0, deadline - time.monotonic()) * 1000)
    finally:
        os.close(handle)


def _await_burial(starters: set[int]) -> None:
    """Wait a little until dead starters have left the process table too.

    They are nobody's children but PID 1's, and some that run containers look after theirs only every
    second or so. They hold nothing, so this gives up quietly.
    """
    deadline = time.monotonic() + BURIAL_LIMIT
    while any(_is_dead(pid) for pid in starters) and time.monotonic() < deadline:
        time.sleep(0.02)


def _is_dead(pid: int) -> bool:
    """Whether the PID belongs to a process that ended and that PID 1 has not waited for yet."""
    try:
        status = (PROC / str(pid) / "status").read_text("utf-8", "replace")
    except OSError:
        return False
    return "\nState:\tZ" in status and "\nPPid:\t1\n" in status


def _each() -> Iterator[int]:
    return (int(one.name) for one in PROC.iterdir() if one.name.isdigit())


def _scan() -> Iterator[LabProcess]:
    for pid in _each():
        process = _look_at(pid)
        if process is not None:
            yield process


def _look_at(pid: int) -> LabProcess | None:
    """What the process is to a lab, None for every other process and for one that is gone."""
    directory = PROC / str(pid)
    try:
        raw = (directory / "cmdline").read_bytes()
        if b"wireloom-" not in raw or directory.stat().st_uid != 0:
            return None
        status = (directory / "status").read_text("utf-8", "replace")
    except OSError:
        return None
    argv = [os.fsdecode(one) for one in raw.split(b"\0")[:-1]]
    return classify(pid, argv, _namespace_pids(status))


def _namespace_pids(status: str) -> tuple[int, ...]:
    """The ``NSpid`` line of ``/proc/PID/status``: the PID in every namespace, outermost first."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "NSpid":
            return tuple(int(one) for one in value.split())
    return ()
