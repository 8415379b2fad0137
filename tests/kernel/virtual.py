"""A virtual machine with a kernel of its own, by QEMU."""

import subprocess
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from tests.kernel.agent import run_by_agent
from tests.machines.machine import ENVIRONMENT, RUN_SECONDS, Machine

QEMU = "qemu-system-x86_64"
ACCELERATOR = "tcg"
"""Software, the same everywhere: that there is a /dev/kvm says too little, in some virtual machines it starts
guests that never get on.
"""
CPU = "qemu64,rdrand=on,svm=off"
"""Plain, which software imitates fastest; with randomness at hand, and nothing to load KVM for."""
KERNEL_LINE = (
    "net.ifnames=0 console=ttyS0 quiet systemd.show_status=0 systemd.journald.forward_to_console=1"
    " systemd.journald.max_level_console=notice"
)


class VirtualMachine(Machine):
    """A machine whose image is a disk and a kernel; what it writes is kept in memory."""

    patience = 240.0  # 20 s where nothing else wants the processor
    pause = 0.5  # each look costs it a process

    megabytes: ClassVar[int] = 512
    processors: ClassVar[int] = 1
    translations: ClassVar[int] = 128
    """Megabytes for translated code: with more of them a second boot gets slower, with fewer the first."""

    def prepare(self) -> None:
        place = self._outside(self._directory)
        place.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=place) as root:
            self._personalise(Path(root))
            with tarfile.open(place / "personal.tar", "w") as archive:
                archive.add(root, arcname=".")
        self.space.run("ip", "tuntap", "add", "dev", self._cable, "mode", "tap")
        self.space.run("ip", "link", "set", self._cable, "master", self.wire.bridge, "up")

    def _boot_command(self) -> list[str]:
        place = self._directory
        # QEMU unlinks the file of what is written to a snapshot as soon as it has it open.
        return [
            *("env", f"TMPDIR={place}", QEMU, "-cpu", CPU, "-smp", str(self.processors)),
            *("-accel", f"{ACCELERATOR},tb-size={self.translations}", "-m", f"{self.megabytes}M"),
            *("-name", f"{self.space.name}/{self.name}"),
            *("-nodefaults", "-no-user-config", "-display", "none"),
            *("-serial", "stdio", "-kernel", f"{self.image}/kernel", "-initrd", f"{self.image}/early"),
            *("-append", KERNEL_LINE),
            *("-drive", f"file={self.image}/disk,format=raw,if=none,id=disk,snapshot=on"),
            *("-device", "virtio-blk-pci,drive=disk"),
            *("-drive", f"file={place}/personal.tar,format=raw,if=none,id=personal,readonly=on"),
            *("-device", "virtio-blk-pci,drive=personal"),
            *("-netdev", f"tap,id=wire,ifname={self._cable},script=no,downscript=no"),
            *("-device", f"virtio-net-pci,netdev=wire,mac={self._hardware_address}"),
            *("-chardev", f"socket,id=agent,path={place}/agent,server=on,wait=off"),
            *("-device", "virtio-serial,id=lines"),
            *("-device", "virtserialport,bus=lines.0,chardev=agent,name=org.qemu.guest_agent.0"),
        ]

    def lose_power(self) -> str:
        """Let it stop at once and start again: nothing ends in order, what is not on its disk yet is gone.

        Returns at once, with the boot that is to end.
        """
        boot = self.boot
        assert boot is not None, f"{self.name} is not running"
        # In a second, so that we hear that it was understood.
        self.run("systemd-run", "--quiet", "sh", "-c", "sleep 1; echo b >/proc/sysrq-trigger")
        return boot

    @property
    def _hardware_address(self) -> str:
        """A locally administered one that holds the address of the machine."""
        return ":".join(("02:00", *(f"{byte:02x}" for byte in self.address.ip.packed)))

    @property
    def boot(self) -> str | None:
        """The number that its kernel gave to this boot."""
        done = self._execute(("cat", "/proc/sys/kernel/random/boot_id"), seconds=5)
        return done.stdout.strip() if done else None

    def write(self, path: str, text: str) -> None:
        """Put a file on its disk, while it is running."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "sh", path, stdin=text)

    def _execute(
        self, words: tuple[str, ...], stdin: str = "", seconds: float = RUN_SECONDS
    ) -> "subprocess.CompletedProcess[str] | None":
        line = self._outside(f"{self._directory}/agent")
        with suppress(OSError):
            return run_by_agent(line, words, stdin=stdin, environment=ENVIRONMENT, seconds=seconds)
        return None
