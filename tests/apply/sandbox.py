"""A machine of its own for the shell scripts: empty directories, and a network with nobody else in it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The directories of a node, each of them its own small disk, so that one of them can fill up. The first
# process goes on with a sleep that no test replaces: it may begin only when the test has.
SETUP = """\
set -e
mount -t tmpfs -o mode=755 run /run
mkdir -m 700 /run/wireguard
mount -t tmpfs -o mode=700,size=1m wireguard /etc/wireguard
mount -t tmpfs -o mode=755,size=1m state /var/lib
mount -t sysfs sysfs /sys
ip link set lo up
echo ready
exec 1>&-
/bin/sleep infinity & wait
"""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Namespaces that are gone with their first process. ``pid`` is that process, seen from here."""

    pid: int

    def sh(
        self, script: str, *, umask: str = "022", shell: tuple[str, ...] = ("dash", "-s")
    ) -> subprocess.CompletedProcess[str]:
        """Run a script as a transport would: on stdin, as root, in a session, with English messages."""
        command = ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", "--", "/usr/bin/setsid", "-w", *shell]
        return subprocess.run(
            command,
            input=f"umask {umask}\n{script}",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"PATH": PATH, "LC_ALL": "C", "HOME": "/root"},
        )

    def ask(self, script: str) -> str:
        """What a script prints; it must go well."""
        done = self.sh(script)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def link(self, other: "Sandbox", own: str, theirs: str) -> None:
        """A cable between two machines, with an address of each on its end."""
        subprocess.run(
            f"nsenter -t {self.pid} -n ip link add eth0 type veth peer eth0 netns {other.pid}".split(),
            check=True,
        )
        for machine, address in ((self, own), (other, theirs)):
            machine.ask(f"ip address add {address} dev eth0 && ip link set eth0 up")


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A new machine, gone afterwards with every process in it."""
    process = subprocess.Popen(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", SETUP],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": PATH, "LC_ALL": "C"},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
        yield Sandbox(int(children.split()[0]))
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, 9)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
