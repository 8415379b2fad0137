"""A virtual machine that a Kubernetes node can run on: its kernel, WireGuard and cgroups are its own."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from tests.k3s.machine import PACKAGES, ClusterMachine, find_k3s
from tests.kernel.image import find_kernel_recipe
from tests.kernel.virtual import VirtualMachine
from tests.machines.image import Recipe


def find_virtual_recipe() -> Recipe:
    """The image of tests/kernel, with what the stand-in needs beside itself, and room for images and pods."""
    base = find_kernel_recipe()
    return replace(base, packages=(*base.packages, *PACKAGES), pack=base.pack.replace("2G", "6G"))


class VirtualNode(ClusterMachine, VirtualMachine):
    """A machine of the size that k3s asks for. The programs of Kubernetes are a lot of code to translate.

    The program and the images are on its disk already: to decrypt and to decode them takes it a quarter of an
    hour, and tests on other machines do.
    """

    settling: ClassVar[float] = 1800.0
    patience = 600.0
    megabytes = 3072
    processors = 2
    translations = 512

    def _execute(
        self, words: tuple[str, ...], stdin: str = "", seconds: float = 300.0
    ) -> "subprocess.CompletedProcess[str] | None":
        return super()._execute(words, stdin, seconds)  # kubectl alone takes some seconds to begin

    def _personalise(self, root: Path) -> None:
        super()._personalise(root)
        program = find_k3s()
        assert program is not None
        place = root / "usr/local/bin/k3s"
        place.parent.mkdir(parents=True)
        shutil.copy(program, place)
        images = root / "var/lib/rancher/k3s/agent/images"
        images.mkdir(parents=True)
        for archive in (program.parent / "images").glob("*.tar*"):
            shutil.copy(archive, images)
