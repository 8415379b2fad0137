"""The operator's own files, written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def put_file(path: Path, content: bytes, *, mode: int, durable: bool = False) -> bool:
    """Put ``content`` at ``path`` by a rename; False, and nothing touched, where it stands so already.

    Nobody but the owner can read it while it is written. ``durable``: it outlives a power cut, its name
    too. Raises OSError, and leaves nothing half-written.
    """
    target = os.fspath(path)
    if _stands(target, content, mode):
        return False
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


def _stands(target: str, content: bytes, mode: int) -> bool:
    try:
        seen = os.stat(target)  # noqa: PTH116
        if seen.st_mode & 0o777 != mode or seen.st_size != len(content):
            return False
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
