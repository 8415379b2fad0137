"""``wireloom`` as it is, with a record of its steps: how long each took, and what it sent to whom.

``python bench/recorder.py RECORD WORD...`` runs ``wireloom WORD...`` and writes RECORD, a JSON list of steps.
A step begins where the program says what it does now. ``bench/machines.py`` reads it.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

START = time.perf_counter()

from wireloom.cli.main import leave, run  # noqa: E402  # its imports belong to the first step
from wireloom.report.terminal import Progress  # noqa: E402
from wireloom.transport.port import Completed  # noqa: E402
from wireloom.transport.session import SshConnection  # noqa: E402
from wireloom.transport.ssh import SshTransport  # noqa: E402
from wireloom.values import NodeName  # noqa: E402


@dataclass(slots=True)
class Step:
    """One step. Times are seconds since its begin; ``cpu`` is of this process.

    ``login``: the last login was done. ``answer``: the last script had answered; what comes after is reckoned
    here. ``sent``: bytes of scripts and data by machine (``user@host``); heartbeats are left
    out, since how many there are is a matter of time.
    """

    name: str
    begun: float
    cpu_begun: float
    seconds: float = 0.0
    cpu: float = 0.0
    login: float = 0.0
    answer: float = 0.0
    sent: dict[str, int] = field(default_factory=dict)


class Recorder:
    """The steps of one run so far; the last is under way."""

    def __init__(self) -> None:
        self.steps = [Step("starting", START, 0.0)]

    def begin(self, name: str) -> None:
        """End the step before, and begin this one."""
        self.end()
        self.steps.append(Step(name, time.perf_counter(), time.process_time()))

    def end(self) -> None:
        """Take the time of the step under way."""
        step = self.steps[-1]
        step.seconds = time.perf_counter() - step.begun
        step.cpu = time.process_time() - step.cpu_begun

    def watch(self) -> None:
        """Hear of what the program says, of its logins and of its scripts."""
        tell, connect, run_script = Progress.__call__, SshTransport.connect, SshConnection.run

        def told(progress: Progress, text: str) -> None:
            self.begin(text)
            tell(progress, text)

        async def connected(transport: SshTransport, node: NodeName) -> SshConnection:
            connection = await connect(transport, node)
            step = self.steps[-1]
            step.login = time.perf_counter() - step.begun
            return connection

        async def answered(
            connection: SshConnection, script: str, *, timeout: float, data: bytes = b""
        ) -> Completed:
            step = self.steps[-1]
            if not script.rpartition("\n}\n")[2].lstrip().startswith("beat "):
                step.sent[connection.who] = step.sent.get(connection.who, 0) + len(script) + len(data)
            completed = await run_script(connection, script, timeout=timeout, data=data)
            step.answer = time.perf_counter() - step.begun
            return completed

        for owner, name, watcher in (
            (Progress, "__call__", told),
            (SshTransport, "connect", connected),
            (SshConnection, "run", answered),
        ):
            setattr(owner, name, watcher)


def main(record: str, *words: str) -> int:
    """Run the verb, watched; its exit code."""
    recorder = Recorder()
    recorder.watch()
    code = run(list(words))
    recorder.end()
    Path(record).write_text(json.dumps([asdict(step) for step in recorder.steps]), encoding="utf-8")
    return code


if __name__ == "__main__":
    leave(main(*sys.argv[1:]))
