"""Stdout and stderr as the program writes to them: what can't be written is no traceback."""

import codecs
import io
import os
import select
import sys
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STAND_INS = {"→": "->", "↔": "<->", "≤": "<=", "…": "...", "·": "-"}
"""What stands for our own letters in an encoding that has none of them; for all others a question mark."""

_ENCODABLE = "wireloom.encodable"


class OutputError(Exception):
    """Data could not be written to stdout. ``reader_left``: who read has had enough, and needs no telling."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"could not write the output: {error.strerror}")
        self.reader_left = isinstance(error, BrokenPipeError)


def open_streams() -> None:
    """Put streams of our own in the place of Python's, over the same descriptors and in the same encoding.

    They differ below all buffers, where it is known whose error it is, whoever has flushed: one of stdout is
    an OutputError, and one of stderr is passed over, because an apply must not stop in its middle when nobody
    listens to its progress. Whoever starts us without one of the three gets it from /dev/null.
    """
    _fill_gaps()
    codecs.register_error(_ENCODABLE, _encodable)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = _text(_Data(1, "w", closefd=False), like=sys.stdout)
    sys.stderr = _text(_Talk(2, "w", closefd=False), like=sys.stderr)


def close_stdout() -> None:
    """Let what is not written yet go nowhere: the interpreter flushes at exit, and would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class _Descriptor(io.FileIO):
    def write(self, data: "ReadableBuffer", /) -> int:
        """All bytes that the descriptor takes; waits for one that is full and does not wait by itself."""
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            self.fail(error)
            return memoryview(data).nbytes
        return written

    def fail(self, error: OSError) -> None:
        """What becomes of an error; where this returns, the bytes are lost."""


class _Data(_Descriptor):
    def fail(self, error: OSError) -> NoReturn:
        raise OutputError(error) from None


class _Talk(_Descriptor):
    """Nobody hears what can't be said."""


def _text(raw: _Descriptor, *, like: TextIO | None) -> TextIO:
    """``like`` again, over ``raw``; with an encoding error that is none."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=like.encoding if like else "utf-8",
        errors=_ENCODABLE,
        line_buffering=bool(getattr(like, "line_buffering", False)),
        write_through=bool(getattr(like, "write_through", False)),
    )


def _encodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Something else for a letter that the encoding lacks; for a byte of a file's name, that byte."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if "\udc80" <= letter <= "\udcff":
        return os.fsencode(letter), error.start + 1
    return STAND_INS.get(letter, "?"), error.start + 1


def _fill_gaps() -> None:
    """Open what is closed of 0, 1 and 2, or the next file that is opened would be taken for it."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(handle, True)
    os.close(handle)
