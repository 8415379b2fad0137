"""How a lab comes to life: its files are written, its first process started, its steps listened to.

The builder and the lab hold the two ends of a pipe until the lab is complete. A builder that dies, by
whatever signal, lets go of its end, and the lab ends itself: a half-built lab does not survive.
"""

import os
import secrets
import select
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO

from wireloom.errors import UserError
from wireloom.grammar import count
from wireloom.lab.plan import LabPlan
from wireloom.lab.processes import LAB_MARKER
from wireloom.lab.requirements import PATH
from wireloom.lab.script import digest, files

Progress = Callable[[str], None]

SILENCE_LIMIT = 30.0
"""Seconds without a sign of life after which a lab that is being built has failed."""

TAIL = 15
"""Lines of the log that an error shows."""

ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C"}
"""All that a lab's processes get of their environment: nothing of the operator's own."""


class _Failed(Exception):
    """The lab did not do its next step; the text says which."""


def build(plan: LabPlan, fleet_path: Path, directory: Path, progress: Progress) -> None:
    """Bring up the lab of a plan; its keys are in ``directory`` already. Returns when it is complete.

    Raises UserError with the end of the lab's log when it fails.
    """
    text = files(plan)
    for path, content in text.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(content, "utf-8")
    log = directory / "log"
    try:
        with log.open("wb") as sink, _start(plan.name, fleet_path, directory, sink) as starter:
            _converse(starter, plan, digest(text), progress)
    except _Failed as failure:
        raise UserError.one(f"lab {plan.name} did not come up: {failure}", hint=_advice(log)) from None


def _start(lab: str, fleet_path: Path, directory: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the lab's first process in its namespaces, apart from our own session."""
    apart = [
        "setsid",
        "--fork",
        "unshare",
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    argv = [*apart, "sh", f"{directory}/init.sh", LAB_MARKER, lab, str(fleet_path)]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, cwd=directory, stdin=pipe, stdout=pipe, stderr=log, env=ENVIRONMENT)


def _converse(starter: subprocess.Popen[bytes], plan: LabPlan, plan_digest: str, progress: Progress) -> None:
    """Let the lab begin, follow its steps, and tell it that it is complete."""
    assert starter.stdin is not None  # noqa: S101 - both are pipes
    assert starter.stdout is not None  # noqa: S101
    _say(starter.stdin, "go")
    waiting: dict[str, None] = dict.fromkeys(plan.machines)
    steps = _steps(starter.stdout, waiting)
    _expect(next(steps), "networks")
    progress(f"{len(plan.namespaces) - len(plan.machines)} routers and their networks are in place")
    while waiting:
        match next(steps).split():
            case ["machine", name, "up"]:
                del waiting[name]
                progress(
                    f"{len(plan.machines) - len(waiting)} of {count(len(plan.machines), 'machine')} answer"
                )
            case other:
                raise _Failed(" ".join(other))
    _say(starter.stdin, f"ready {plan_digest} {secrets.token_hex(8)}")
    _expect(next(steps), "complete")


def _say(pipe: IO[bytes], line: str) -> None:
    try:
        pipe.write(f"{line}\n".encode())
        pipe.flush()
    except BrokenPipeError:
        raise _Failed("its first process ended") from None


def _expect(step: str, expected: str) -> None:
    if step != expected:
        raise _Failed(step)


def _steps(pipe: IO[bytes], waiting: Collection[str]) -> Iterator[str]:
    """The lines that the lab reports, each within SILENCE_LIMIT of the one before."""
    events = select.poll()
    events.register(pipe, select.POLLIN)
    rest = b""
    deadline = time.monotonic() + SILENCE_LIMIT
    while True:
        if not events.poll(max(0.0, deadline - time.monotonic()) * 1000):
            silent = f"; no answer yet from {', '.join(waiting)}" if waiting else ""
            raise _Failed(f"nothing happened for {SILENCE_LIMIT:.0f} s{silent}")
        chunk = os.read(pipe.fileno(), 4096)
        if not chunk:
            raise _Failed("its first process ended")
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            deadline = time.monotonic() + SILENCE_LIMIT
            yield line.decode("utf-8", "replace")


def _advice(log: Path) -> str:
    """The end of the log, and what it usually means."""
    lines = log.read_text("utf-8", "replace").splitlines()[-TAIL:]
    if not lines:
        return "its log is empty: was it killed?"
    said = "the log ends:\n" + "\n".join(f"    {line}" for line in lines)
    if "Operation not permitted" in said:
        return f"this root may not make namespaces or mounts (a container needs --privileged); {said}"
    return said
