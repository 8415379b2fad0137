"""An operator whom something happens to: wireloom's command line with a fault at one step on one node.

    python -m tests.faults.operator '{"step": "commit", "node": "cp2", "when": "after", "do": "kill"}' apply

``do``: ``kill`` ends this process with SIGKILL, ``interrupt`` is a Ctrl-C, ``drop`` breaks the SSH
connection, and anything else is a shell command that does something to the world. ``before`` is before the
script is sent, ``after`` is when its answer is back and nobody has read it. ``node`` null: the first that
comes to the step. ``keepalive``: seconds between two signs of life on a connection, to wait less for its end.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from wireloom.cli import terms
from wireloom.cli.main import run
from wireloom.transport import ssh
from wireloom.transport.port import Completed, Connection, TransportError
from wireloom.transport.session import SshConnection
from wireloom.transport.ssh import SshTransport
from wireloom.values import NodeName

STEPS = ("look", "make_key", "stage", "commit", "prove", "confirm", "withdraw", "hold", "beat")
"""What a script can be; the first whose call it ends with."""

K3S_STEPS = ("wants", "grow", "finish", "enable", "make_token", "hand_on", "wake", "gate", "ask")
"""The same of k3s; what only writes files is ``put NAME``, by the last of them."""

CALLS = {"commit": "arm"}


def step_of(script: str) -> str:
    """The step that a script belongs to: by the calls after the last function in it."""
    lines = [line.split(" ") for line in script.rpartition("\n}\n")[2].splitlines() if line]
    calls = {words[0] for words in lines}
    written = [f"put {words[1].rpartition('/')[2]}" for words in lines if words[0] == "put"]
    found = [step for step in (*STEPS, *K3S_STEPS) if CALLS.get(step, step) in calls]
    return [*found, *reversed(written), "look"][0]


@dataclass
class Fault:
    """What happens, once."""

    step: str
    node: str | None
    when: str
    do: str
    done: bool = False

    def meets(self, node: NodeName, script: str, when: str) -> bool:
        return not self.done and (
            (self.step, self.when) == (step_of(script), when) and self.node in {None, str(node)}
        )

    async def strike(self, connection: SshConnection) -> None:
        self.done = True
        print(f"fault: {self.do} {self.when} {self.step}", file=sys.stderr, flush=True)
        match self.do:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0.05)
            case "drop":
                connection.ssh.abort()
                if self.when == "after":
                    raise TransportError(f"the connection to {connection.who} broke", unreachable=True)
            case command:
                await asyncio.to_thread(subprocess.run, command, shell=True, check=True)


@dataclass
class Watched:
    """A connection to a node, with an eye on the fault."""

    node: NodeName
    real: SshConnection
    fault: Fault

    @property
    def host_key(self) -> str:
        return self.real.host_key

    async def run(self, script: str, *, timeout: float, data: bytes = b"") -> Completed:
        if self.fault.meets(self.node, script, "before"):
            await self.fault.strike(self.real)
        answer = await self.real.run(script, timeout=timeout, data=data)
        if self.fault.meets(self.node, script, "after"):
            await self.fault.strike(self.real)
        return answer

    async def close(self) -> None:
        await self.real.close()


def arrange(fault: Fault) -> None:
    """Have every connection of this process watched."""
    connect = SshTransport.connect

    async def watch(self: SshTransport, node: NodeName) -> Connection:
        connection = await connect(self, node)
        assert isinstance(connection, SshConnection)
        return Watched(node, connection, fault)

    SshTransport.connect = watch  # type: ignore[method-assign]


def main(words: list[str]) -> int:
    terms.SHORTEST = 1
    told: Mapping[str, str] = json.loads(words[0])
    ssh.KEEPALIVE_SECONDS = int(told.get("keepalive", ssh.KEEPALIVE_SECONDS))
    if told:
        arrange(Fault(told["step"], told.get("node"), told["when"], told["do"]))
    return run(words[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
