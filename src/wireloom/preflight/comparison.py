"""Rules that compare machines with each other: clocks around their median, and what no two may share."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from statistics import median
from typing import TypeVar

from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.observe.state import ClockSeen, NodeState
from wireloom.preflight.finding import Check, Finding
from wireloom.preflight.packages import find_family
from wireloom.render.desired import key_path
from wireloom.values import NodeName

MOST_OFF = 30.0
"""Seconds. A clock that is set back makes peers take a handshake for a replay (the WireGuard paper, 5.1)."""

Reached = Mapping[NodeName, NodeState]
T = TypeVar("T")


def compare_machines(network: Network, lock: Lock, reached: Reached) -> Iterator[Finding]:
    """All rules of this module. Machines that did not answer count with what the lock has of them."""
    yield from _compare_clocks(reached)
    yield from _compare_identities(reached)
    yield from _compare_host_keys(lock, network, reached)
    yield from _compare_keys(network, reached)


def _compare_clocks(reached: Reached) -> Iterator[Finding]:
    """Only what is certain, however long the answers took.

    The median grows with each of its values, so it lies between the medians of the least and of the most
    that they may be.
    """
    clocks = {name: state.ground.clock for name, state in reached.items() if state.ground.clock}
    if not clocks:
        return
    least = median(clock.offset - clock.doubt for clock in clocks.values())
    most = median(clock.offset + clock.doubt for clock in clocks.values())
    for name, clock in clocks.items():
        behind, ahead = least - (clock.offset + clock.doubt), clock.offset - clock.doubt - most
        if max(behind, ahead) > MOST_OFF:
            off = clock.offset - median(one.offset for one in clocks.values())
            yield Finding(
                name,
                Check.CLOCK,
                f"its clock is {_describe(off, clock)} the median of {len(clocks)} machines",
                _advise_clock(reached[name]),
            )


def _describe(off: float, clock: ClockSeen) -> str:
    doubt = f", give or take {clock.doubt:.0f} s," if clock.doubt >= 1 else ""
    return f"{abs(off):.0f} s{doubt} {'ahead of' if off > 0 else 'behind'}"


def _advise_clock(state: NodeState) -> str:
    family = find_family(state)
    client = f"{family.install} chrony" if family else "chrony, or another NTP client"
    if state.system.systemd:
        return f"there: timedatectl set-ntp true; if that finds no NTP client: {client}"
    return f"let an NTP client set it there: {client}"


def _compare_identities(reached: Reached) -> Iterator[Finding]:
    for name, original in _find_clones({name: state.ground.identity for name, state in reached.items()}, ()):
        systemd = reached[name].system.systemd
        maker = "systemd-machine-id-setup" if systemd else "dbus-uuidgen --ensure=/etc/machine-id"
        yield Finding(
            name,
            Check.IDENTITY,
            f"its machine-id is that of `{original}`, too: a clone, or one machine under two names",
            f"make a new one there: rm -f /etc/machine-id /var/lib/dbus/machine-id; {maker}; reboot",
        )


def _compare_host_keys(lock: Lock, network: Network, reached: Reached) -> Iterator[Finding]:
    """Who has one of them could pass for the other."""
    away = {name: lock.nodes[name].ssh_host_key for name in network.members if name not in reached}
    keys = {name: state.ground.host_key for name, state in reached.items()} | away
    for name, original in _find_clones(keys, away.keys()):
        restart = "systemctl restart ssh" if reached[name].system.systemd else "rc-service sshd restart"
        yield Finding(
            name,
            Check.IDENTITY,
            f"its SSH host key is that of `{original}`, too: a clone, or one machine under two names",
            f"make new ones there: rm /etc/ssh/ssh_host_*_key*; ssh-keygen -A; {restart}; and take"
            f" `ssh_host_key` of {name} out of the lock file",
        )


def _compare_keys(network: Network, reached: Reached) -> Iterator[Finding]:
    """One key on two machines: WireGuard would take them for one peer that roams for ever."""
    keys = {name: member.public_key for name, member in network.members.items()}
    for name, original in _find_clones(keys, keys.keys() - reached.keys()):
        yield Finding(
            name,
            Check.IDENTITY,
            f"its private key is that of `{original}`, too: a cloned machine?",
            f"remove it there (rm {key_path(network.interface)}): the next apply makes a new one",
        )


def _find_clones(
    marks: Mapping[NodeName, T | None], away: Collection[NodeName]
) -> Iterator[tuple[NodeName, NodeName]]:
    """Each machine whose mark another has, with that other: nobody, where a machine has none.

    One of those that share a mark may keep it: one that is away, which nobody can mend now, else the first.
    """
    holders: dict[T, list[NodeName]] = defaultdict(list)
    for name, mark in marks.items():
        if mark:
            holders[mark].append(name)
    for names in holders.values():
        original = next((name for name in names if name in away), names[0])
        for name in names:
            if name != original and name not in away:
                yield name, original
