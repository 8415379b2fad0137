"""What every test machine is: an address on a wire, a power switch, a cable, a way to run commands in it."""

import os
import shlex
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_interface
from pathlib import Path
from typing import ClassVar

from tests.machines.namespaces import Namespaces, run
from tests.machines.patience import wait_for
from wireloom.values import Interface, Prefix

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
RUN_SECONDS = 60.0

NETWORK = """\
[Match]
# The one is systemd-nspawn's name for it, the other a kernel's of its own.
Name=host0 eth0
[Network]
Address={address}
{gateway}
# Nobody here advertises anything, and network-online.target would wait 13 s for it.
IPv6AcceptRA=no
"""

GREETING = 'exec 3<>"/dev/tcp/$0/$1" && head -c 4 <&3'
"""What an SSH server says first; for bash, with address and port."""


class Sudo(StrEnum):
    """What sudo lets a user do: everything, everything after a password, nothing."""

    FREE = "ALL=(ALL:ALL) NOPASSWD: ALL"
    PASSWORD = "ALL=(ALL:ALL) ALL"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Wire:
    """A subnet that machines of a group are plugged into: a bridge in the group's namespaces.

    ``routed``: its machines send all else to the group's own side, which forwards between its wires.
    """

    bridge: str
    network: Prefix
    routed: bool = False

    @property
    def own(self) -> Interface:
        """The last address, which the group's own side has, where the operator sits."""
        return self.address(-2)

    def address(self, number: int) -> Interface:
        """The address of that number."""
        return ip_interface(f"{self.network[number]}/{self.network.prefixlen}")


@dataclass
class Machine(ABC):
    """A machine of a group, whose namespaces are ``space``; ``log`` is its console.

    ``image`` is what it starts from and never changes; what it writes is kept over a reboot. ``key`` is the
    public SSH key that root and every user added let in; ``port`` is where they do.
    """

    name: str
    address: Interface
    wire: Wire
    image: Path
    space: Namespaces
    log: Path
    key: str
    port: int = 22
    _power: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    patience: ClassVar[float] = 30.0
    """Seconds that booting may take."""
    pause: ClassVar[float] = 0.05
    """Seconds between two looks at whether it has booted."""

    # What a kind of machine has to know

    @abstractmethod
    def prepare(self) -> None:
        """Make its disk, with what makes it this machine on it; once, before it is switched on."""

    @abstractmethod
    def _boot_command(self) -> list[str]:
        """What runs in the group's namespaces as long as it is switched on; stdout is its console."""

    @property
    @abstractmethod
    def boot(self) -> str | None:
        """What tells one boot from the next; None while no command can be run in it."""

    @abstractmethod
    def _execute(self, words: tuple[str, ...], stdin: str) -> "subprocess.CompletedProcess[str] | None":
        """A command in it, as root, not over the network; None where it was not there, or not to the end."""

    @abstractmethod
    def write(self, path: str, text: str) -> None:
        """Put a file on its disk."""

    # Disk

    @property
    def _directory(self) -> str:
        """Where its disk and the like are, as the path is inside of the group's namespaces."""
        return f"/run/machines/{self.name}"

    def _outside(self, path: str) -> Path:
        """The same as seen by us."""
        return self.space.root / path.lstrip("/")

    def _personalise(self, root: Path) -> None:
        """Put into a root file system what no two machines have the same."""
        gateway = f"Gateway={self.wire.own.ip}" if self.wire.routed else ""
        for path, text in {
            "etc/hostname": f"{self.name}\n",
            "etc/machine-id": f"{os.urandom(16).hex()}\n",
            "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n",
            "etc/systemd/network/10-wire.network": NETWORK.format(address=self.address, gateway=gateway),
            "etc/ssh/sshd_config.d/port.conf": f"Port {self.port}\n",
            "root/.ssh/authorized_keys": self.key,
        }.items():
            put(root / path, text)
        host_key = str(root / "etc/ssh/ssh_host_ed25519_key")
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", host_key])

    # Power

    def switch_on(self) -> None:
        """Let it begin to boot; ``settle`` waits for the end of that."""
        assert self._power is None
        with self.log.open("ab") as console:
            self._power = subprocess.Popen(
                self.space.command(*self._boot_command()),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the test run
            )

    def settle(self, *, not_as: str | None = None) -> None:
        """Wait until systemd has started all that it wants to, nothing failed, and SSH answers.

        ``not_as``: the boot before a reboot.
        """
        self._wait(lambda: self.boot not in (None, not_as), "no boot")
        self._wait(lambda: self._state() == "running", "not settled")
        self._wait(self._greets, "no SSH server answers")

    def reboot(self) -> str:
        """Ask for a reboot as an operator does; returns at once, with the boot that is to end."""
        boot = wait_for(lambda: self.boot, lambda: f"{self.name} is not running", seconds=self.patience)
        # In a second: the command that asks must not be ended by the very shutdown that it asked for.
        soon = ("systemd-run", "--quiet", "--on-active=1s", "--timer-property=AccuracySec=100ms")
        self.run(*soon, "systemctl", "reboot")
        return boot

    def restart(self) -> None:
        """Reboot and wait until it is back."""
        self.settle(not_as=self.reboot())

    def buried(self) -> None:
        """Take note of its end, when the group is gone."""
        if self._power is not None:
            self._power.wait(20)
            self._power = None

    # Network

    @property
    def _cable(self) -> str:
        """Our end of its network cable, as systemd-nspawn names it."""
        return f"vb-{self.name}"

    def cut(self) -> None:
        """Cut it off in silence: it still has its address, and nothing that it sends arrives."""
        self.space.run("ip", "link", "set", self._cable, "nomaster")

    def restore(self) -> None:
        """Connect it again."""
        self.space.run("ip", "link", "set", self._cable, "master", self.wire.bridge)

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
        done = self._execute(words, stdin)
        if expect is not None:
            assert done is not None, f"{self.name} is not running, or ended under: {shlex.join(words)}"
            told = f"{self.name}: {shlex.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
            assert done.returncode == expect, told
        return done.stdout if done else ""

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

    def _wait(self, look: Callable[[], bool], what: str) -> None:
        """Wait for a step of booting."""
        wait_for(
            lambda: self._is_on() and look(),
            lambda: self._story(what),
            seconds=self.patience,
            pause=self.pause,
        )

    def _is_on(self) -> bool:
        """Fails where it has switched itself off: waiting for it would be in vain."""
        status = None if self._power is None else self._power.poll()
        assert status is None, f"{self.name} ended with exit status {status}:\n{self.console()[-2000:]}"
        return self._power is not None

    def _story(self, what: str) -> str:
        """What a failure to come up tells."""
        failed = self.run("systemctl", "--failed", expect=None)
        return f"{self.name}: {what}\n{self._state()}\n{failed}\n{self.console()[-2000:]}"

    def _state(self) -> str:
        """``systemctl is-system-running``: starting, running, degraded; empty while nobody answers."""
        return self.run("systemctl", "is-system-running", expect=None).strip()

    def _greets(self) -> bool:
        """Whether its SSH server says its name, to the machine itself: the operator may have no way to it."""
        words = ("timeout", "2", "bash", "-c", GREETING, str(self.address.ip), str(self.port))
        return self.run(*words, expect=None) == "SSH-"


def put(file: Path, text: str) -> None:
    """Write a file, and make the directories that it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
