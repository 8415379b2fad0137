"""One systemd machine: its disk, its power switch, its network cable, and a way to run commands in it."""

import os
import shlex
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from tests.machines.namespaces import HERE, Namespaces, run
from tests.machines.patience import wait_for
from wireloom.lab.netns import open_socket
from wireloom.values import Interface

BRIDGE = "br0"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}

HOST0 = """\
[Match]
Name=host0
[Network]
Address={address}
# Nobody here advertises anything, and network-online.target would wait 13 s for it.
IPv6AcceptRA=no
"""


class Sudo(StrEnum):
    """What sudo lets a user do: everything, everything after a password, nothing."""

    FREE = "ALL=(ALL:ALL) NOPASSWD: ALL"
    PASSWORD = "ALL=(ALL:ALL) ALL"
    NONE = ""


@dataclass
class Machine:
    """A machine of a group, whose namespaces are ``space``; ``log`` is its console.

    ``key`` is the public SSH key that root and every user added let in; ``port`` is where they do.
    """

    name: str
    address: Interface
    space: Namespaces
    log: Path
    key: str
    port: int = 22
    _power: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @classmethod
    def install(
        cls,
        name: str,
        address: Interface,
        *,
        image: Path,
        space: Namespaces,
        log: Path,
        key: str,
        port: int = 22,
    ) -> Self:
        """A machine of its own on the common image: what it writes is kept in memory, also over a reboot."""
        machine = cls(name, address, space, log, key, port)
        disk = machine._directory
        space.run("mkdir", "-p", f"{disk}/changes", f"{disk}/work", f"{disk}/root")
        layers = f"lowerdir={image},upperdir={disk}/changes,workdir={disk}/work"
        space.run("mount", "-t", "overlay", "-o", layers, f"machine-{name}", f"{disk}/root")
        machine.write("/etc/hostname", f"{name}\n")
        machine.write("/etc/machine-id", f"{os.urandom(16).hex()}\n")
        machine.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
        machine.write("/etc/systemd/network/10-host0.network", HOST0.format(address=address))
        machine.write("/root/.ssh/authorized_keys", key)
        machine.write("/etc/ssh/sshd_config.d/port.conf", f"Port {port}\n")
        host_key = str(machine._root / "etc/ssh/ssh_host_ed25519_key")
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", host_key])
        return machine

    @property
    def _directory(self) -> str:
        """Its disk, as the path is inside of the group's namespaces."""
        return f"/run/machines/{self.name}"

    @property
    def _root(self) -> Path:
        """Its root file system, as seen by us, running or not."""
        return self.space.root / self._directory.lstrip("/") / "root"

    @property
    def _cable(self) -> str:
        """Our end of its network cable, as systemd-nspawn names it."""
        return f"vb-{self.name}"

    def write(self, path: str, text: str) -> None:
        """Put a file on its disk, running or not."""
        file = self._root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    # Power

    def switch_on(self) -> None:
        """Let it begin to boot; ``settle`` waits for the end of that."""
        assert self._power is None
        words = (self.name, f"{self._directory}/root", BRIDGE, f"{self.space.cgroup}/{self.name}")
        with self.log.open("ab") as console:
            self._power = subprocess.Popen(
                self.space.command("sh", str(HERE / "boot.sh"), *words),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )

    def settle(self, *, not_as: int | None = None) -> None:
        """Wait until systemd has started all that it wants to, nothing failed, and SSH answers.

        ``not_as``: the first process that it had before a reboot.
        """
        wait_for(lambda: self._is_on() and self.init not in (None, not_as), self._story("no boot"))
        wait_for(lambda: self._is_on() and self._state() == "running", self._story("not settled"))
        wait_for(self._answers, self._story("no SSH server answers"))

    def reboot(self) -> int | None:
        """Ask for a reboot as an operator does; returns at once, with the first process that is to go."""
        init = self.init
        assert init is not None
        # The command may be ended by the very shutdown that it asked for.
        self.run("systemctl", "reboot", expect=None)
        return init

    def restart(self) -> None:
        """Reboot and wait until it is back."""
        self.settle(not_as=self.reboot())

    def buried(self) -> None:
        """Take note of its end, when the group is gone."""
        if self._power is not None:
            self._power.wait(20)
            self._power = None

    @property
    def init(self) -> int | None:
        """Its first process, by our number; None while it has none."""
        base = self.space.root / self.space.cgroup.lstrip("/") / self.name
        with suppress(OSError):
            for file in base.rglob("init.scope/cgroup.procs"):
                return min((int(one) for one in file.read_text().split()), default=None)
        return None

    # Network

    def cut(self) -> None:
        """Cut it off in silence: it still has its address, and nothing that it sends arrives."""
        self.space.run("ip", "link", "set", self._cable, "nomaster")

    def restore(self) -> None:
        """Connect it again."""
        self.space.run("ip", "link", "set", self._cable, "master", BRIDGE)

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Cut it off for as long as the block lasts."""
        self.cut()
        try:
            yield
        finally:
            self.restore()

    # Inside

    def run(self, *words: str, expect: int | None = 0, stdin: str = "") -> str:
        """A command in it, as root and not over the network; fails on another exit status than expected."""
        init = self.init
        assert init is not None, f"{self.name} is not running"
        done = subprocess.run(
            ["nsenter", "--all", f"--target={init}", "--", *words],
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            env=ENVIRONMENT,
        )
        if expect is not None:
            told = f"{self.name}: {shlex.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
            assert done.returncode == expect, told
        return done.stdout

    def shell(self, script: str, *, expect: int | None = 0) -> str:
        """The same with a script of ``sh``."""
        return self.run("sh", "-c", script, expect=expect)

    def add_user(self, name: str, *, sudo: Sudo = Sudo.FREE, shell: str = "/bin/bash") -> None:
        """A user whom the group's key lets in."""
        self.run("useradd", "--create-home", "--shell", shell, name)
        self.run("install", "-d", "-m", "700", "-o", name, f"/home/{name}/.ssh")
        self.write(f"/home/{name}/.ssh/authorized_keys", self.key)
        if sudo is not Sudo.NONE:
            self.write(f"/etc/sudoers.d/{name}", f"{name} {sudo}\n")

    def kill(self, command: str) -> int:
        """Kill the processes in it whose name is ``command``, by their numbers; how many there were."""
        script = (
            'for p in /proc/[0-9]*; do test "$(cat "$p/comm" 2>/dev/null)" = "$1" && echo "${p##*/}"; done; :'
        )
        found = self.run("sh", "-c", script, "sh", command).split()
        if found:
            self.run("kill", "-s", "KILL", *found)
        return len(found)

    def console(self) -> str:
        """What it printed since it was first switched on."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _is_on(self) -> bool:
        """Fails where it has switched itself off: waiting for it would be in vain."""
        status = None if self._power is None else self._power.poll()
        assert status is None, f"{self.name} ended with exit status {status}:\n{self.console()[-2000:]}"
        return self._power is not None

    def _story(self, what: str) -> Callable[[], str]:
        """What a failure to come up tells."""
        return lambda: (
            f"{self.name}: {what}\n{self._state()}\n"
            f"{self.run('systemctl', '--failed', expect=None) if self.init else ''}\n{self.console()[-2000:]}"
        )

    def _state(self) -> str:
        """``systemctl is-system-running``: starting, running, degraded; empty while nobody answers."""
        return self.run("systemctl", "is-system-running", expect=None).strip() if self.init else ""

    def _answers(self) -> bool:
        """Whether its SSH server says its name, to the machine itself: the operator may have no way to it."""
        kind = socket.AF_INET6 if self.address.version == 6 else socket.AF_INET
        with suppress(OSError), open_socket(Path(f"/proc/{self.init}/ns/net"), kind) as sock:
            sock.settimeout(2)
            sock.connect((str(self.address.ip), self.port))
            return sock.recv(4) == b"SSH-"
        return False
