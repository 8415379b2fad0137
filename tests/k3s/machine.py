"""A systemd machine that a Kubernetes node can run on, and the k3s that the environment names."""

import os
from pathlib import Path
from typing import ClassVar

from tests.machines.container import Container, find_init
from tests.machines.image import Recipe, find_recipe
from tests.machines.machine import Machine

HERE = Path(__file__).parent
VARIABLE = "WIRELOOM_K3S"
PACKAGES = ("runc", "containernetworking-plugins", "iptables", "conntrack")
"""What k3s carries itself and the stand-in takes from Debian."""

UNIT = """\
[Unit]
Description=Lightweight Kubernetes
After=network-online.target
Wants=network-online.target
[Service]
Type=notify
ExecStart=/usr/local/bin/k3s {role}
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=2s
[Install]
WantedBy=multi-user.target
"""
"""As the install script of k3s writes it, https://docs.k3s.io/installation, without its modprobe."""


SETTINGS = """\
[Unit]
Description=Settings of the kernel that a kubelet insists on, for the eyes of this machine alone
Before=k3s.service k3s-agent.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/kernel-settings.sh
[Install]
WantedBy=multi-user.target
"""
SETTINGS_SCRIPT = """\
set -eu
# They are this computer's, and no machine's to set. A kubelet does not try where they are as it wants them.
for one in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
    file=/run/kernel-settings/${one%=*}
    mkdir -p "${file%/*}"
    echo "${one#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${one%=*}"
done
# systemd-nspawn mounts the controllers read-only.
for one in /sys/fs/cgroup/*/tasks; do
    test ! -e "$one" || mount -o remount,rw,bind "${one%/tasks}"
done
"""


def find_k3s() -> Path | None:
    """The program that the environment names."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else None


def find_k3s_recipe() -> Recipe:
    """The machines' image: as for all others, with what the stand-in needs beside itself."""
    base = find_recipe()
    finish = "rm -rf /etc/resolv.conf /var/cache/apt/archives/*.deb /var/lib/apt/lists/*"
    return Recipe(base.suite, PACKAGES, finish, base=base)


class ClusterMachine(Machine):
    """What every kind of machine is asked that k3s runs on."""

    settling: ClassVar[float] = 240.0
    """Seconds that a cluster of such machines may take until it is as it should be."""

    def kubectl(self, *words: str, expect: int | None = 0, stdin: str = "") -> str:
        """Ask the API server of this server."""
        return self.run("/usr/local/bin/k3s", "kubectl", *words, expect=expect, stdin=stdin)

    def journal(self) -> str:
        """The end of what k3s said."""
        return self.run("journalctl", "--no-pager", "--lines=80", "--unit=k3s*", expect=None)


class Node(ClusterMachine, Container):
    """A machine that may do all that containers in it need, with the cgroup controllers of this computer."""

    patience = 180.0
    """Pods that don't heed SIGTERM hold a shutdown up for 90 s."""

    def prepare(self) -> None:
        super().prepare()
        self.write("/etc/kernel-settings.sh", SETTINGS_SCRIPT)
        self.write("/etc/systemd/system/kernel-settings.service", SETTINGS)
        self.space.run("systemctl", f"--root={self._directory}/root", "--quiet", "enable", "kernel-settings")

    def _boot_command(self) -> list[str]:
        # The filter of system calls would forbid what a container runtime does: bpf(2), keyctl(2).
        words = [
            "env",
            "SYSTEMD_SECCOMP=0",
            "unshare",
            "--mount",
            "sh",
            str(HERE / "cgroups.sh"),
            self._cgroup,
        ]
        # A kubelet reads the kernel's log for what it killed, and ends where there is none: here it is empty.
        options = ("--capability=all", "--bind=/dev/null:/dev/kmsg")
        return [*words, *super()._boot_command(), *options]

    @property
    def _cgroup(self) -> str:
        """Its cgroup in each hierarchy."""
        return f"{self.space.name}/{self.name}"

    @property
    def init(self) -> int | None:
        """Its first process, by our number; None while it has none."""
        return find_init(self._outside(f"/run/cgroup/systemd/{self._cgroup}")) or super().init

    def install(self, program: Path) -> None:
        """Put k3s and the images beside it where an air-gapped installation has them."""
        self._copy(program, "/usr/local/bin/k3s", 0o755)
        for archive in sorted((program.parent / "images").glob("*.tar*")):
            self._copy(archive, f"/var/lib/rancher/k3s/agent/images/{archive.name}", 0o644)

    def _copy(self, file: Path, path: str, mode: int) -> None:
        target = self._root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        self.space.run("cp", "--reflink=auto", str(file), f"{self._directory}/root{path}")
        target.chmod(mode)

    def configure(self, role: str, config: str) -> None:
        """Write k3s's configuration and unit by hand, as it is without wireloom."""
        self.write("/etc/rancher/k3s/config.yaml", config)
        self.write(f"/etc/systemd/system/{UNITS[role]}", UNIT.format(role=role))

    def start(self, role: str) -> None:
        """Start it and let it begin; ``wait_for`` its node to be Ready."""
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "--quiet", "enable", UNITS[role])
        self.run("systemctl", "start", "--no-block", UNITS[role])


UNITS = {"server": "k3s.service", "agent": "k3s-agent.service"}
