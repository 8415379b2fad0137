"""A virtual machine that a Kubernetes node can run on: its kernel, WireGuard and cgroups are its own."""

from dataclasses import replace
from typing import ClassVar

from tests.k3s.machine import PACKAGES, ClusterMachine
from tests.kernel.image import find_kernel_recipe
from tests.kernel.virtual import VirtualMachine
from tests.machines.image import Recipe


def find_virtual_recipe() -> Recipe:
    """The image of tests/kernel, with what the stand-in needs beside itself, and room for images and pods."""
    base = find_kernel_recipe()
    return replace(base, packages=(*base.packages, *PACKAGES), pack=base.pack.replace("2G", "6G"))


class VirtualNode(ClusterMachine, VirtualMachine):
    """A machine of the size that k3s asks for. The programs of Kubernetes are a lot of code to translate."""

    settling: ClassVar[float] = 1800.0
    megabytes = 2048
    processors = 2
    translations = 512
