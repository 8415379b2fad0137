"""Commands in a virtual machine by its guest agent (qemu-ga), over a serial line: no network is needed.

The agent reads requests and writes answers, one JSON document a line:
https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html
"""

import json
import random
import socket
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Ask = Callable[[str, dict[str, Any]], Any]
"""A request's name and arguments → what the agent returns. Raises OSError where it does not answer."""

NOT_FOUND = 127
"""The exit status of a shell for a command that can't be run."""


class AgentError(OSError):
    """The agent refused: there is no such program, or what it is asked about was before a reboot."""


def run_by_agent(
    line: Path, words: tuple[str, ...], *, stdin: str, environment: Mapping[str, str], seconds: float
) -> "subprocess.CompletedProcess[str]":
    """Run a command, as root, in the machine that has the other end of ``line``, a Unix socket of QEMU's.

    Raises OSError when nobody answers in time, the command does not end in time, or the machine ends before.
    """
    deadline = time.monotonic() + seconds
    with _conversation(line, seconds) as ask:
        order = {
            "path": words[0],
            "arg": words[1:],
            "env": [f"{name}={value}" for name, value in environment.items()],
            "input-data": b64encode(stdin.encode()).decode(),
            "capture-output": True,
        }
        try:
            begun = ask("guest-exec", order)
        except AgentError as error:
            return subprocess.CompletedProcess(words, NOT_FOUND, "", f"{error}\n")
        while not (status := ask("guest-exec-status", begun))["exited"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{words[0]} has not ended within {seconds:g} s")
            time.sleep(0.05)
    out, err = (b64decode(status.get(name, "")).decode(errors="replace") for name in ("out-data", "err-data"))
    return subprocess.CompletedProcess(words, status.get("exitcode", -status.get("signal", 0)), out, err)


@contextmanager
def _conversation(line: Path, seconds: float) -> Iterator[Ask]:
    """Ask the agent things; each answer may take so long. QEMU lets in one conversation at a time."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(line))
        with connection.makefile("rwb") as stream:

            def ask(request: str, arguments: dict[str, Any]) -> Any:
                stream.write(json.dumps({"execute": request, "arguments": arguments}).encode() + b"\n")
                stream.flush()
                return _returned(stream.readline())

            # Answers to an earlier conversation, which had given up on them, come first.
            token = random.getrandbits(31)
            answer = ask("guest-sync", {"id": token})
            while answer != token:
                answer = _returned(stream.readline())
            yield ask


def _returned(line: bytes) -> Any:
    """The answer in a line that the agent wrote."""
    if not line:
        raise ConnectionError("the machine has been switched off")
    document = json.loads(line)
    if "error" in document:
        raise AgentError(document["error"]["desc"])
    return document["return"]
