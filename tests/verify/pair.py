"""Two machines with two cables between them: a physical one, and one that stands for the tunnel."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.apply.sandbox import PATH, Sandbox, sandbox
from wireloom.transport.port import Completed
from wireloom.verify import capture
from wireloom.verify.capture import Surroundings, read_surroundings

RUN = "0a1b2c3d4e5f6071"
PLACE = f"/run/wireloom/capture-{RUN}"

# No duplicate address detection: the addresses work at once.
ADDRESSES = """\
ip link set eth0 up; ip link set wg0 mtu 1420 up
ip address add 192.0.2.{n}/24 dev eth0; ip address add 2001:db8::{n}/64 dev eth0 nodad
ip address add 10.99.0.{n}/16 dev wg0; ip address add fd42:99::{n}/64 dev wg0 nodad
"""


@contextmanager
def pair() -> Iterator[tuple[Sandbox, Sandbox]]:
    """``a`` has the addresses that end in 1, ``b`` those that end in 2."""
    with sandbox() as a, sandbox() as b:
        for link in ("eth0", "wg0"):
            subprocess.run(
                f"nsenter -t {a.pid} -n ip link add {link} type veth peer {link} netns {b.pid}".split(),
                check=True,
            )
        a.ask(ADDRESSES.format(n=1))
        b.ask(ADDRESSES.format(n=2))
        yield a, b


def completed(machine: Sandbox, script: str) -> Completed:
    """What a transport would say of a script."""
    done = machine.sh(script)
    return Completed(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True, slots=True)
class Held:
    """A capture that is under way in a machine; ``process`` is the script that holds it."""

    machine: Sandbox
    process: "subprocess.Popen[str]"

    def await_ready(self) -> Surroundings:
        return read_surroundings(self.machine.ask(capture.await_ready(RUN, "wg0")))

    def answer(self) -> Completed:
        """What it printed when it came to its end."""
        stdout, stderr = self.process.communicate(timeout=60)
        return Completed(self.process.returncode, stdout, stderr)

    def end(self) -> Completed:
        self.machine.ask(capture.end(RUN))
        return self.answer()


@contextmanager
def holding(
    machine: Sandbox, wanted: str = "ip or ip6", *, seconds: int = 60, before: str = ""
) -> Iterator[Held]:
    """Hold a capture as a transport does: one script in a session of its own, after the shell ``before``."""
    words = ["nsenter", "-t", str(machine.pid), "-m", "-n", "-p", "--", "setsid", "-w", "dash", "-s"]
    script = f"{{\n{before}\nexec </dev/null\n{capture.hold(RUN, wanted, seconds=seconds)}exit\n}}\n"
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": PATH, "LC_ALL": "C"},
    )
    assert process.stdin is not None
    process.stdin.write(script)
    process.stdin.close()
    process.stdin = None
    try:
        yield Held(machine, process)
    finally:
        process.kill()
        process.wait()
        # Whoever is left behind in the machine may still have the other ends: not to be waited for.
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def left(machine: Sandbox) -> str:
    """The capture's directory and processes that are still there, after some patience."""
    for _ in range(40):
        found = machine.ask(
            f"ls -d {PLACE} 2>/dev/null; for p in /proc/[0-9]*; do"
            ' tr "\\0" " " <$p/cmdline 2>/dev/null | grep -E "tcpdump|^sleep [0-9]"; done; :'
        )
        if not found:
            break
        time.sleep(0.1)
    return found
