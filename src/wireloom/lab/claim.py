"""The right to build or take down the lab of a name: one at a time on this computer."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wireloom.errors import UserError

LABS = Path("/run/wireloom/lab")
"""Where each lab has its directory (keys and log), only root can look, and nothing is left afterwards."""

ORPHANED_SECONDS = 1.0
"""A holder that was killed may have forked a moment before: its child has the claim until its exec(2)."""


@contextmanager
def claimed(name: str) -> Iterator[None]:
    """Hold the claim on a lab's name; the kernel lets go of it however the process ends.

    Raises UserError when somebody else holds it.
    """
    path = LABS / f"{name}.lock"
    descriptor = _take(path, name)
    try:
        yield
    finally:
        # Removed while it is still held: who waits for this very file finds out and opens the new one.
        path.unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):  # other labs are still there
            LABS.rmdir()
            LABS.parent.rmdir()


def _take(path: Path, name: str) -> int:
    given_up = time.monotonic() + ORPHANED_SECONDS
    while True:
        LABS.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the directory was removed just now by who let go of another lab
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip()
            os.close(descriptor)
            if holder and not Path("/proc", holder).exists() and time.monotonic() < given_up:
                time.sleep(0.01)
                continue
            who = f" (process {holder})" if holder else ""
            raise UserError.one(
                f"lab {name} is being built or taken down by another wireloom{who}",
                hint="wait for it to end, then try again",
            ) from None
        if _is_still(path, descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the file that we hold is the one that others will find."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
