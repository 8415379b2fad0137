"""The commands that machines must have, and which of them one lacks."""

import re

from wireloom.observe.state import NodeState

REQUIRED = ("wg", "wg-quick", "ip", "ping", "awk", "sha256sum", "flock", "nft", "unshare")
"""Without these nothing is done to a machine. ``nft`` and ``unshare`` are for the guard."""

FOR_UNDERLAY = frozenset({"wg-quick", "nft", "unshare"})
"""Those of them that only an underlay needs. flannel speaks to the kernel itself; ``verify`` asks ``wg``."""

WANTED = {"tcpdump": "`verify` captures packets with it", "perl": "`verify` sends marked packets with it"}
"""What is only missed later, and by what."""

USERSPACE = "wireguard-go"
"""What makes tunnels where the kernel can't. wg-quick(8) looks for it by this name."""

OLDEST_IPROUTE = (4, 16)
"""The first iproute2 that prints routes as JSON (April 2018)."""

_IPROUTE = re.compile(r"iproute2-(?:ss(\d{6})|(\d+)\.(\d+))")
_FIRST_SNAPSHOT = 180402
"""How 4.16 names itself: until 5.9 iproute2 gave a date for its version."""


def needs_userspace(state: NodeState) -> bool:
    """Whether WireGuard must be a program there. An interface that runs needs nothing more."""
    return not state.system.kernel_wireguard and state.link is None


def find_missing(state: NodeState, *, underlay: bool = True) -> tuple[str, ...]:
    """The commands that a machine must have and has not."""
    needed = (tool for tool in REQUIRED if underlay or tool not in FOR_UNDERLAY)
    return tuple(tool for tool in needed if tool not in state.system.tools)


def find_wanted(state: NodeState) -> tuple[str, ...]:
    """The commands that it should have and has not."""
    return tuple(tool for tool in WANTED if tool not in state.system.tools)


def has_old_iproute(state: NodeState) -> bool:
    """Whether its ``ip`` is another's (BusyBox, say) or too old; an ``ip`` that says nothing is let pass."""
    said = state.ground.versions.get("ip")
    if said is None:
        return False
    found = _IPROUTE.search(said)
    if found is None:
        return True
    snapshot, major, minor = found.groups()
    if snapshot:
        return int(snapshot) < _FIRST_SNAPSHOT
    return (int(major), int(minor)) < OLDEST_IPROUTE


def find_installable(state: NodeState, *, underlay: bool = True) -> tuple[str, ...]:
    """All commands that an installation should bring. flannel's WireGuard is never a program."""
    program = underlay and needs_userspace(state) and USERSPACE not in state.system.tools
    userspace = (USERSPACE,) if program else ()
    old = ("ip",) if has_old_iproute(state) and "ip" in state.system.tools else ()
    return (*find_missing(state, underlay=underlay), *old, *userspace, *find_wanted(state))
