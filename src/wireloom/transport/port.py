"""The port that the rest of wireloom speaks through: connect to a node, run a script, close."""

import socket
from dataclasses import dataclass, field
from typing import Protocol

from wireloom.values import NodeName


@dataclass(frozen=True, slots=True)
class Completed:
    """What a script left behind: its exit status (-1: ended by a signal) and its output as text.

    ``sent`` and ``received`` tell when, in seconds of this process's monotonic clock, it went out and its
    whole answer was there. A Crew notes them; no two answers are the same in this, so it is not compared.
    """

    status: int
    stdout: str
    stderr: str
    sent: float = field(default=0.0, compare=False)
    received: float = field(default=0.0, compare=False)


class TransportError(Exception):
    """A node could not be reached or spoken to. ``what`` and ``hint`` are written for the operator.

    ``unreachable`` tells a machine that did not answer (try again later) from one that refused
    us (wrong key, wrong user, no sudo: somebody must act).
    """

    def __init__(self, what: str, *, hint: str = "", unreachable: bool = False) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint
        self.unreachable = unreachable


class HostKeyUnknown(TransportError):
    """First contact: nobody has vouched for this machine's host key yet, and nothing was sent to it.

    ``host_key`` is ``type base64`` as in known_hosts; ``fingerprint`` is ``SHA256:…``. ``node`` is the
    node that showed the key: not always the one asked for, since a jump node on the way is checked first.
    """

    def __init__(self, what: str, *, node: NodeName, host_key: str, fingerprint: str, hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.node = node
        self.host_key = host_key
        self.fingerprint = fingerprint


class Connection(Protocol):
    """An open way to one machine, as root (by itself or through sudo)."""

    @property
    def host_key(self) -> str:
        """The host key that the machine proved to have: ``type base64``."""
        ...

    async def run(self, script: str, *, timeout: float, data: bytes = b"") -> Completed:
        """Run ``script`` with ``sh -s`` as root, the script on stdin; ``timeout`` in seconds.

        The script sees an empty stdin, ``LC_ALL=C`` and a plain PATH, and ``data`` on its descriptor 3. It
        runs whole or not at all; of the data a broken connection may bring a part, which ends as all of it
        would. What it starts for good has outputs of its own: what is printed after its end is nobody's.
        Raises TransportError when the connection breaks or the time is up; a script that fails is
        a Completed with its status.
        """
        ...

    async def close(self) -> None:
        """Close the connection; safe to call twice."""
        ...


class Transport(Protocol):
    """Opens connections to the nodes of one fleet."""

    async def connect(self, node: NodeName) -> Connection:
        """A fresh connection, from scratch. Raises TransportError, HostKeyUnknown among them."""
        ...


class Dialer(Protocol):
    """Another way to a machine's SSH port than the operator's own network: a lab's namespace, say."""

    def open_socket(self, node: NodeName) -> tuple[socket.socket, tuple[str, int]]:
        """A new TCP socket, not yet connected and non-blocking, and the address and port to connect it to.

        Raises OSError or TransportError when there is no way to the node; the socket is the caller's.
        """
        ...
