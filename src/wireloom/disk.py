"""The operator's own files, written whole or not at all."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def put_file(path: Path, content: bytes, *, mode: int, durable: bool = False) -> bool:
    """Put ``content`` at ``path`` by a rename; False, and nothing touched, where it stands so already.

    Nobody but the owner can read it while it is written. ``durable``: it outlives a power cut, its name
    too. A link stays one; a device or a pipe, like `/dev/null`, is written to and stays what it is. Raises
    OSError, and leaves nothing half-written.
    """
    target = os.fspath(path)
    seen = _look(target)
    if seen and not (stat.S_ISREG(seen.st_mode) or stat.S_ISDIR(seen.st_mode)):
        _pour(target, content)
        return True
    if seen and _stands(target, seen, content, mode):
        return False
    if os.path.islink(target):  # noqa: PTH114
        target = os.path.realpath(target)
    directory, name = os.path.split(target)
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.new")  # noqa: PTH118  # 400 of these count
    with suppress(OSError):
        os.unlink(temporary)  # noqa: PTH108  # a leftover may be readable by others
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        try:
            _write_all(handle, content)
            os.fchmod(handle, mode)
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
    if durable:
        _sync_directory(directory or ".")
    return True


def _look(target: str) -> os.stat_result | None:
    """What is there, behind links; None where nothing is, or nobody may look."""
    try:
        return os.stat(target)  # noqa: PTH116
    except OSError:
        return None


def _pour(target: str, content: bytes) -> None:
    handle = os.open(target, os.O_WRONLY)
    try:
        _write_all(handle, content)
    finally:
        os.close(handle)


def _stands(target: str, seen: os.stat_result, content: bytes, mode: int) -> bool:
    if seen.st_mode & 0o777 != mode or seen.st_size != len(content):
        return False
    try:
        with open(target, "rb") as file:  # noqa: PTH123
            return file.read() == content
    except OSError:
        return False


def _write_all(handle: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


def _sync_directory(directory: str) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
