"""A systemd machine without a kernel of its own: booted by systemd-nspawn in seconds."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.machines.machine import ENVIRONMENT, RUN_SECONDS, Machine, put
from tests.machines.namespaces import HERE
from tests.machines.traces import below


class Container(Machine):
    """A machine whose image is a directory; what it writes is kept in memory."""

    def prepare(self) -> None:
        disk = self._directory
        self.space.run("mkdir", "-p", f"{disk}/changes", f"{disk}/work", f"{disk}/root")
        layers = f"lowerdir={self.image},upperdir={disk}/changes,workdir={disk}/work"
        self.space.run("mount", "-t", "overlay", "-o", layers, f"machine-{self.name}", f"{disk}/root")
        self._personalise(self._root)

    @property
    def _root(self) -> Path:
        """Its root file system, as seen by us, running or not."""
        return self._outside(f"{self._directory}/root")

    def write(self, path: str, text: str) -> None:
        """Put a file on its disk, running or not."""
        put(self._root / path.lstrip("/"), text)

    def _boot_command(self) -> list[str]:
        cgroup = f"{self.space.cgroup}/{self.name}"
        return ["sh", str(HERE / "boot.sh"), self.name, f"{self._directory}/root", self.wire.bridge, cgroup]

    @property
    def init(self) -> int | None:
        """Its first process, by our number; None while it has none."""
        return find_init(self._outside(f"{self.space.cgroup}/{self.name}"))

    @property
    def boot(self) -> str | None:
        """Its first process, by our number."""
        init = self.init
        return None if init is None else str(init)

    def lose_power(self) -> None:
        """End all of it in one moment; ``switch_on`` boots it again, from its disk."""
        assert self.init is not None
        assert self._power is not None
        os.kill(self.init, signal.SIGKILL)
        self._power.wait(timeout=20)
        self._power = None

    def replace(self) -> None:
        """Another machine, with nothing on it, has its name and address; it is switched off."""
        self.lose_power()
        self.space.run("umount", f"{self._directory}/root")
        self.space.run("rm", "-rf", f"{self._directory}/changes", f"{self._directory}/work")
        self.prepare()

    def _execute(self, words: tuple[str, ...], stdin: str) -> "subprocess.CompletedProcess[str] | None":
        init = self.init
        if init is None:
            return None
        return subprocess.run(
            ["nsenter", "--all", f"--target={init}", "--", *words],
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=RUN_SECONDS,
            env=ENVIRONMENT,
        )


def find_init(cgroup: Path) -> int | None:
    """The first process of the machine whose cgroup this is; None where it has none.

    Not only that is in init.scope: what systemd starts is there for a moment, and may have a lower number.
    """
    for file in below(cgroup):
        if file.parts[-2:] != ("init.scope", "cgroup.procs"):
            continue
        with suppress(OSError):
            for process in file.read_text().split():
                if _is_first(process):
                    return int(process)
    return None


def _is_first(process: str) -> bool:
    """Whether it is number 1 in its own PID namespace (proc(5), NSpid)."""
    with suppress(OSError):
        status = Path(f"/proc/{process}/status").read_text()
        return any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in status.splitlines())
    return False
