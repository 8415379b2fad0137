import subprocess

import pytest

from wireloom.errors import UserError
from wireloom.lab import requirements
from wireloom.lab.requirements import PACKAGES, require_everything


class Computer:
    """A computer that lacks nothing, until a test says so."""

    def __init__(self):
        self.missing = set()
        self.kernel_wireguard = True
        self.user = 0


@pytest.fixture
def computer(monkeypatch, tmp_path):
    one = Computer()
    monkeypatch.setattr(requirements.os, "geteuid", lambda: one.user)
    monkeypatch.setattr(
        requirements.shutil, "which", lambda name, path: None if name in one.missing else f"/usr/bin/{name}"
    )
    monkeypatch.setattr(
        requirements.subprocess,
        "run",
        lambda argv, **_: subprocess.CompletedProcess(argv, 0 if one.kernel_wireguard else 2),
    )
    monkeypatch.setattr(requirements, "TUN", tmp_path / "tun")
    return one


def _complaint():
    with pytest.raises(UserError) as caught:
        require_everything()
    return str(caught.value)


def test_a_computer_with_wireguard_in_its_kernel_needs_no_program(computer):
    computer.missing = {"wireguard-go"}
    assert require_everything() is None


def test_root_is_needed_and_why(computer):
    computer.user = 1000
    assert _complaint() == (
        "a lab needs root\n"
        "    it is made of network namespaces, mounts and WireGuard interfaces: run this with sudo"
    )


def test_all_missing_commands_are_named_at_once_with_their_packages(computer):
    computer.missing = {"nft", "wg", "wg-quick"}
    assert _complaint() == (
        "commands that a lab needs are missing: wg, wg-quick, nft\n"
        "    apt-get install --no-install-recommends nftables wireguard-tools"
    )


def test_without_wireguard_in_the_kernel_the_program_and_its_device_are_needed(computer):
    computer.kernel_wireguard = False
    computer.missing = {"wireguard-go"}
    complaint = _complaint()
    assert (
        "wireguard-go, which does without, is not installed" in complaint,
        "does not exist" in complaint,
    ) == (
        True,
        True,
    )


def test_the_program_and_its_device_are_enough(computer):
    computer.kernel_wireguard = False
    requirements.TUN.touch()
    assert require_everything() is None


@pytest.mark.parametrize("command", PACKAGES)
def test_each_command_is_missed(computer, command):
    computer.missing = {command}
    assert f"are missing: {command}\n" in _complaint()
