"""Sockets made in another network namespace: a socket stays in the one that it was made in."""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
OWN = "/proc/thread-self/ns/net"

# os.setns exists from Python 3.12 on.
_libc = ctypes.CDLL(None, use_errno=True)


def open_socket(namespace: Path, family: socket.AddressFamily) -> socket.socket:
    """A TCP socket in the namespace of that file: not connected, not blocking.

    Raises OSError when there is no such namespace or we are not root.
    """
    with _inside(namespace):
        made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


@contextmanager
def _inside(namespace: Path) -> Iterator[None]:
    """Move the calling thread, and only it, into a network namespace and back."""
    own = os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        other = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(other)
        finally:
            os.close(other)
        try:
            yield
        finally:
            _setns(own)
    finally:
        os.close(own)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
