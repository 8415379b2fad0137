"""Rules about one machine by itself: what it answers, tools, WireGuard, rights, disks, its make."""

from collections.abc import Iterator

from wireloom.errors import Severity
from wireloom.observe.probes import STATE_DIRECTORY
from wireloom.observe.state import DiskSeen, NodeState
from wireloom.preflight.finding import Check, Finding
from wireloom.preflight.packages import advise_install, find_family, is_known
from wireloom.preflight.tools import (
    OLDEST_IPROUTE,
    USERSPACE,
    WANTED,
    find_missing,
    find_wanted,
    has_old_iproute,
    needs_userspace,
)

ROOM = 4 * 1024**2
"""Bytes that must be free: the files of 1,000 peers, the old beside the new, are half a MiB."""

ROOM_FILES = 16
TUN = "/dev/net/tun"
ARCHITECTURES = frozenset(
    {
        *("x86_64", "i686", "i586", "aarch64", "armv8l", "armv7l", "armv6l"),
        *("ppc64le", "s390x", "riscv64", "loongarch64", "mips64"),
    }
)
"""What `uname -m` says where the kernel's WireGuard is known to run and distributions have the tools."""


def check_machine(state: NodeState, interface: str, *, underlay: bool = True) -> Iterator[Finding]:
    """All rules of this module; an answer that makes no sense is not judged any further.

    ``underlay``: one is built there, and not flannel's WireGuard alone, of whose kernel others judge.
    """
    if state.garbled:
        yield Finding(state.name, Check.PROBES, *tell_garbled(state, interface))
        return
    yield from _check_tools(state, underlay=underlay)
    yield from _check_iproute(state)
    if underlay:
        yield from _check_wireguard(state)
    yield from _check_capability(state)
    for disk in state.ground.disks:
        yield from _check_disk(state, disk)
    yield from _check_wanted(state)
    yield from _check_make(state)


def tell_garbled(state: NodeState, interface: str) -> tuple[str, str]:
    """What of an answer makes no sense, and what to do about it."""
    if state.garbled == ("stamp",):
        what = f"what {STATE_DIRECTORY}/{interface}.state says makes no sense"
        hint = "it is wireloom's own note of its last apply: move it away, and the next one writes it anew"
    else:
        what = f"the answer to {', '.join(state.garbled)} makes no sense"
        hint = "run the command again; if it says so again, look at the machine: nothing is done on a guess"
    return what, hint


def _check_tools(state: NodeState, *, underlay: bool) -> Iterator[Finding]:
    missing = find_missing(state, underlay=underlay)
    if missing:
        what = f"{', '.join(missing)} not found"
        yield Finding(state.name, Check.TOOLS, what, advise_install(state, missing))


def _check_iproute(state: NodeState) -> Iterator[Finding]:
    if has_old_iproute(state) and "ip" in state.system.tools:
        oldest = ".".join(map(str, OLDEST_IPROUTE))
        what = f"`ip` is not iproute2 {oldest} or later, which prints JSON: {state.ground.versions['ip']}"
        yield Finding(state.name, Check.TOOLS, what, advise_install(state, ["ip"]))


def _check_wireguard(state: NodeState) -> Iterator[Finding]:
    """In the kernel; or as a program, which needs a device."""
    if not needs_userspace(state):
        return
    without = f"no WireGuard: kernel {state.system.kernel} has none"
    if USERSPACE not in state.system.tools:
        family = find_family(state)
        packaged = family is None or USERSPACE in family.packages
        by_program = f"{advise_install(state, [USERSPACE])}, or " if packaged else ""
        yield Finding(
            state.name,
            Check.WIREGUARD,
            f"{without}, and {USERSPACE} is not installed",
            f"{by_program}update the kernel: from 5.6 on it has WireGuard",
        )
    if not state.ground.tun:
        yield Finding(
            state.name,
            Check.WIREGUARD,
            f"{without}, and {TUN}, which {USERSPACE} needs, can't be used",
            f"there: modprobe tun; mkdir -p /dev/net; mknod {TUN} c 10 200 (in a container: start it with"
            f" --device {TUN})",
        )


def _check_capability(state: NodeState) -> Iterator[Finding]:
    if not state.ground.net_admin:
        yield Finding(
            state.name,
            Check.CAPABILITY,
            "root may not change the network there: it lacks CAP_NET_ADMIN",
            "give it back: --cap-add NET_ADMIN for a container, CapabilityBoundingSet= in the unit of its SSH"
            " server (systemctl edit ssh)",
        )


def _check_disk(state: NodeState, disk: DiskSeen) -> Iterator[Finding]:
    place = disk.directory
    if disk.read_only:
        what = f"the file system of {place} is read-only"
        hint = (
            f"there: mount -o remount,rw $(df -P {place} | awk 'END {{ print $6 }}'); if nobody made it so,"
            " dmesg tells what happened to the disk"
        )
        yield Finding(state.name, Check.DISK, what, hint)
    elif disk.free is not None and disk.free < ROOM:
        what = f"{disk.free // 1024} KiB free in {place}: {ROOM // 1024} are needed"
        yield Finding(
            state.name, Check.DISK, what, f"make room there: df -h {place}; du -xh {place} | sort -h"
        )
    elif disk.free_files is not None and disk.free_files < ROOM_FILES:
        what = f"room for {disk.free_files} more files in {place}: {ROOM_FILES} are needed"
        yield Finding(
            state.name, Check.DISK, what, f"remove files there: df -i {place} says how many there are"
        )


def _check_wanted(state: NodeState) -> Iterator[Finding]:
    for tool in find_wanted(state):
        what = f"{tool} not found: {WANTED[tool]}"
        yield Finding(state.name, Check.TOOLS, what, advise_install(state, [tool]), Severity.WARNING)


def _check_make(state: NodeState) -> Iterator[Finding]:
    """Unknown is no mistake: it is told, so that whatever goes wrong later is no riddle."""
    if not is_known(state):
        what = f"{state.system.distribution} is no distribution that wireloom knows"
        hint = "files and tools may lie elsewhere there: try it with this one machine first"
        yield Finding(state.name, Check.SYSTEM, what, hint, Severity.WARNING)
    if state.system.architecture not in ARCHITECTURES:
        what = f"{state.system.architecture or 'nameless'} is no architecture that wireloom knows"
        hint = "nothing is known against it: WireGuard and its tools must be there for it"
        yield Finding(state.name, Check.SYSTEM, what, hint, Severity.WARNING)
