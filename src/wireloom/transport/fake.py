"""A transport without machines: canned answers, and a record of what was asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

Answer = Callable[[str], Completed] | TransportError
"""What a node does with a script, or why it can't be reached."""

FAKE_HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


@dataclass(slots=True)
class FakeConnection:
    """A connection of a FakeTransport. A Completed or TransportError of its answer is passed on."""

    node: NodeName
    answer: Callable[[str], Completed]
    scripts: list[tuple[NodeName, str]]
    host_key: str = FAKE_HOST_KEY
    closed: bool = False

    async def run(self, script: str, *, timeout: float, data: bytes = b"") -> Completed:  # noqa: ARG002
        """Record the script and give the node's answer; ``timeout`` must be positive, as for a real one."""
        if self.closed:
            raise TransportError(f"the connection to {self.node} is closed")
        if timeout <= 0:
            raise ValueError("a time-out is positive")
        self.scripts.append((self.node, script))
        return self.answer(script)

    async def close(self) -> None:
        """Refuse further scripts."""
        self.closed = True


@dataclass(slots=True)
class FakeTransport:
    """Answers as told. ``scripts``: every (node, script) run, in order; ``connections``: all ever opened.

    A node without an answer is unreachable. ``host_keys`` are what nodes show (FAKE_HOST_KEY by default).
    """

    answers: Mapping[NodeName, Answer]
    host_keys: Mapping[NodeName, str] = field(default_factory=dict)
    scripts: list[tuple[NodeName, str]] = field(default_factory=list)
    connections: list[FakeConnection] = field(default_factory=list)

    async def connect(self, node: NodeName) -> FakeConnection:
        """A connection, or the TransportError that the node was given."""
        answer = self.answers.get(node, TransportError(f"no answer from {node}", unreachable=True))
        if isinstance(answer, TransportError):
            raise answer
        connection = FakeConnection(node, answer, self.scripts, self.host_keys.get(node, FAKE_HOST_KEY))
        self.connections.append(connection)
        return connection

    def scripts_of(self, node: NodeName) -> list[str]:
        """The scripts that ran on one node, in order."""
        return [script for one, script in self.scripts if one == node]
