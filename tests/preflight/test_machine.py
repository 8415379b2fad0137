# ruff: noqa: E501 - a row of a table stays a row
"""Rules about one machine: for each what was seen, what is found, and what is typed to mend it."""

import sys

import pytest

from tests.plan.machine import TOOLS
from tests.preflight.look import A, Changes, find, lines
from wireloom.observe.probes import TOOLS as LOOKED_FOR
from wireloom.observe.state import DiskSeen
from wireloom.preflight.machine import ARCHITECTURES, ROOM, ROOM_FILES
from wireloom.preflight.packages import FAMILIES
from wireloom.preflight.tools import REQUIRED, USERSPACE, WANTED

BARE = {"kernel_wireguard": False, "link": None}
"""A kernel without WireGuard, and nothing that runs."""

HERE = "(or here: wireloom check --nodes --install)"
UPDATE = "update the kernel: from 5.6 on it has WireGuard"


def disk(**values: object) -> Changes:
    sound = {"directory": "/var/lib", "read_only": False, "free": ROOM, "free_files": ROOM_FILES}
    return {"disks": (DiskSeen(**{**sound, **values}),)}  # type: ignore[arg-type]


def ip(said: str) -> Changes:
    return {"versions": {"ip": said}}


FOUND: dict[str, tuple[Changes, tuple[str, str, str], str]] = {
    "a garbled answer": (
        {"garbled": ("link", "os"), "net_admin": False},
        ("probes", "error", "the answer to link, os makes no sense"),
        "run the command again; if it says so again, look at the machine: nothing is done on a guess",
    ),
    "a garbled note": (
        {"garbled": ("stamp",), "net_admin": False},
        ("probes", "error", "what /var/lib/wireloom/wg0.state says makes no sense"),
        "it is wireloom's own note of its last apply: move it away, and the next one writes it anew",
    ),
    "no ip, no sha256sum": (
        {"tools": TOOLS - {"ip", "sha256sum"}},
        ("tools", "error", "ip, sha256sum not found"),
        f"install there: apt-get install coreutils iproute2 {HERE}",
    ),
    "no nft": (
        {"tools": TOOLS - {"nft"}},
        ("tools", "error", "nft not found"),
        f"install there: apt-get install nftables {HERE}",
    ),
    "no tcpdump": (
        {"tools": TOOLS - {"tcpdump"}},
        ("tools", "warning", "tcpdump not found: `verify` captures packets with it"),
        f"install there: apt-get install tcpdump {HERE}",
    ),
    "the ip of BusyBox": (
        ip("BusyBox v1.36.1 multi-call binary."),
        ("tools", "error", "`ip` is not iproute2 4.16 or later, which prints JSON: BusyBox v1.36.1 multi-call binary."),
        f"install there: apt-get install iproute2 {HERE}",
    ),
    "an ip of 2017": (
        ip("ip utility, iproute2-ss171113"),
        ("tools", "error", "`ip` is not iproute2 4.16 or later, which prints JSON: ip utility, iproute2-ss171113"),
        f"install there: apt-get install iproute2 {HERE}",
    ),
    "no WireGuard, neither in the kernel nor as a program": (
        BARE,
        ("wireguard", "error", "no WireGuard: kernel 6.1.0 has none, and wireguard-go is not installed"),
        f"install there: apt-get install wireguard-go {HERE}, or {UPDATE}",
    ),
    "no WireGuard, and none in a package": (
        {**BARE, "tools": TOOLS - {"apt-get"} | {"dnf"}, "families": ("fedora",)},
        ("wireguard", "error", "no WireGuard: kernel 6.1.0 has none, and wireguard-go is not installed"),
        UPDATE,
    ),
    "a program without its device": (
        {**BARE, "tools": TOOLS | {"wireguard-go"}, "tun": False},
        ("wireguard", "error", "no WireGuard: kernel 6.1.0 has none, and /dev/net/tun, which wireguard-go needs, can't be used"),
        "there: modprobe tun; mkdir -p /dev/net; mknod /dev/net/tun c 10 200 (in a container: start it with --device /dev/net/tun)",
    ),
    "no capability": (
        {"net_admin": False},
        ("capability", "error", "root may not change the network there: it lacks CAP_NET_ADMIN"),
        "give it back: --cap-add NET_ADMIN for a container, CapabilityBoundingSet= in the unit of its SSH server (systemctl edit ssh)",
    ),
    "a disk that is read-only, and therefore not full": (
        disk(read_only=True, free=0),
        ("disk", "error", "the file system of /var/lib is read-only"),
        "there: mount -o remount,rw $(df -P /var/lib | awk 'END { print $6 }'); if nobody made it so, dmesg tells what happened to the disk",
    ),
    "a full disk": (
        disk(free=ROOM - 1),
        ("disk", "error", "4095 KiB free in /var/lib: 4096 are needed"),
        "make room there: df -h /var/lib; du -xh /var/lib | sort -h",
    ),
    "a disk with too many files": (
        disk(free_files=ROOM_FILES - 1),
        ("disk", "error", "room for 15 more files in /var/lib: 16 are needed"),
        "remove files there: df -i /var/lib says how many there are",
    ),
    "an unknown distribution": (
        {"families": ("templeos",), "distribution": "TempleOS"},
        ("system", "warning", "TempleOS is no distribution that wireloom knows"),
        "files and tools may lie elsewhere there: try it with this one machine first",
    ),
    "an unknown architecture": (
        {"architecture": "pdp11"},
        ("system", "warning", "pdp11 is no architecture that wireloom knows"),
        "nothing is known against it: WireGuard and its tools must be there for it",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "expected", "hint"), FOUND.values(), ids=FOUND)
def test_found(changes: Changes, expected: tuple[str, str, str], hint: str) -> None:
    [one] = find({A: changes})
    assert lines([one]) == [("a", *expected)]
    assert one.hint == hint


FINE: dict[str, Changes] = {
    "as settled": {},
    "just enough room": disk(),
    "room that nobody counts": disk(free=None, free_files=None),
    "a disk as large as can be": disk(free=sys.maxsize),
    "the first ip that prints routes as JSON": ip("ip utility, iproute2-ss180402"),
    "a later snapshot": ip("ip utility, iproute2-ss190708"),
    "an ip with a number": ip("ip utility, iproute2-4.16.0"),
    "an ip of today": ip("ip utility, iproute2-6.15.0, libbpf 1.6.0"),
    "an ip that tells no version": {"versions": {}},
    "a running interface is proof of WireGuard": {"kernel_wireguard": False},
    "a program with its device": {**BARE, "tools": TOOLS | {"wireguard-go"}},
    "a kernel with WireGuard needs no device": {"tun": False},
    "a distribution that is like a known one": {"families": ("pop", "ubuntu", "debian")},
    "another architecture": {"architecture": "aarch64"},
}


@pytest.mark.parametrize("changes", FINE.values(), ids=FINE)
def test_nothing_is_found(changes: Changes) -> None:
    assert find({A: changes}) == []


def test_a_missing_ip_is_not_an_old_one_too() -> None:
    changes = {"tools": TOOLS - {"ip"}, "versions": {"ip": "sh: ip: not found"}}
    assert [one.what for one in find({A: changes})] == ["ip not found"]


def test_no_program_and_no_device_are_two_findings() -> None:
    assert [str(one.check) for one in find({A: {**BARE, "tun": False}})] == ["wireguard", "wireguard"]


def test_everything_that_is_wrong_with_a_machine_is_found_errors_first() -> None:
    changes = {
        **{"tools": TOOLS - {"wg", "tcpdump"}, "net_admin": False, "architecture": "pdp11"},
        **disk(read_only=True),
    }
    assert [(str(one.check), one.is_error) for one in find({A: changes})] == [
        ("tools", True),
        ("capability", True),
        ("disk", True),
        ("tools", False),
        ("system", False),
    ]


def test_every_tool_that_rules_ask_for_is_looked_for() -> None:
    managers = {family.manager for family in FAMILIES}
    assert {*REQUIRED, *WANTED, USERSPACE, *managers} == set(LOOKED_FOR)


def test_the_architecture_of_a_recording_is_known() -> None:
    assert {"x86_64", "aarch64"} <= ARCHITECTURES
