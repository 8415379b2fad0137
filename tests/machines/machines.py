"""A group of systemd machines on one wire, made for a test and gone after it, whatever happens."""

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_interface
from pathlib import Path

from tests.machines.machine import BRIDGE, Machine
from tests.machines.namespaces import Namespaces
from tests.machines.workplace import Operator
from wireloom.values import Prefix

NETWORK = IPv4Network("203.0.113.0/24")
NETWORK6 = IPv6Network("2001:db8::/64")
"""Documentation addresses (RFC 5737, RFC 3849). The operator is at the end, machines begin at 1."""

COMMANDS = ("debootstrap", "systemd-nspawn", "nsenter", "unshare", "setpriv", "ip", "ssh-keygen")
MOST = 20
"""Machines of one group, as Linux comes: each takes some of a user's 128 inotify instances, and each pair of
them two of the 1024 entries of the ARP table. Who raises ``fs.inotify.max_user_instances`` and
``net.ipv4.neigh.default.gc_thresh3`` may have more.
"""


def find_obstacles() -> list[str]:
    """What is in the way of machines on this computer; empty where they can be tried."""
    obstacles = [f"the command {one} is missing" for one in COMMANDS if shutil.which(one) is None]
    if os.geteuid() != 0:
        obstacles.append("this is not root")
    if not Path("/dev/net/tun").exists():
        obstacles.append("there is no /dev/net/tun")
    return obstacles


class Machines:
    """The machines by name, their wire, and the operator's place on it.

    ``directory`` gets the consoles' logs and the operator's home; it is the caller's to remove.
    """

    def __init__(self, space: Namespaces, directory: Path, network: Prefix, *, most: int = MOST) -> None:
        self.space = space
        self.network = network
        self.most = most
        self.operator = Operator(directory / "operator", space.net)
        self._directory = directory
        self._machines: dict[str, Machine] = {}

    def __getitem__(self, name: str) -> Machine:
        """The machine of that name."""
        return self._machines[name]

    def __iter__(self) -> Iterator[Machine]:
        """Every machine, in the order that they were added."""
        return iter(self._machines.values())

    def add(self, name: str, *, image: Path, port: int = 22) -> Machine:
        """One more machine, switched off; ``port`` is its SSH server's."""
        number = len(self._machines) + 1
        assert number <= self.most, (
            "raise fs.inotify.max_user_instances, and the ARP table's gc_thresh3, for more"
        )
        self._machines[name] = Machine.install(
            name,
            ip_interface(f"{self.network[number]}/{self.network.prefixlen}"),
            image=image,
            space=self.space,
            log=self._directory / f"{name}.console",
            key=self.operator.public_key,
            port=port,
        )
        return self._machines[name]

    def boot(self) -> None:
        """Switch all of them on side by side, and wait until every one has settled."""
        for machine in self:
            machine.switch_on()
        for machine in self:
            machine.settle()

    def reboot(self) -> None:
        """Reboot all of them at once, and wait until every one is back."""
        before = [machine.reboot() for machine in self]
        for machine, init in zip(self, before, strict=True):
            machine.settle(not_as=init)

    def detour(self, name: str) -> None:
        """Let the operator have no way to a machine; the other machines still have theirs."""
        self.space.run("ip", "route", "add", "unreachable", str(self[name].address.ip))

    def consoles(self) -> dict[str, str]:
        """What each machine printed."""
        return {machine.name: machine.console() for machine in self}

    def close(self) -> None:
        """End all of it: processes, mounts, links, cgroups."""
        self.space.close()
        for machine in self:
            machine.buried()


IMPATIENCE = {"base_reachable_time_ms": 500, "delay_first_probe_time": 1, "retrans_time_ms": 100}
"""How the operator's side notices in a second or two that a machine is cut off: else three time-outs pass."""


def _lay_wire(space: Namespaces, network: Prefix) -> None:
    """A bridge with the operator's address."""
    own = f"{network[-2]}/{network.prefixlen}"
    # Nobody else can have it: it is not to be looked for first, as IPv6 does.
    claim = ["nodad"] if network.version == 6 else []
    space.run("ip", "link", "add", BRIDGE, "type", "bridge")
    space.run("ip", "address", "add", own, "dev", BRIDGE, *claim)
    for name, value in IMPATIENCE.items():
        file = f"/proc/sys/net/ipv{network.version}/neigh/{BRIDGE}/{name}"
        space.run("sh", "-c", 'echo "$1" >"$2"', "sh", str(value), file)
    space.run("ip", "link", "set", BRIDGE, "up")


@contextmanager
def machines(
    names: Iterable[str],
    *,
    image: Path,
    directory: Path,
    ports: Mapping[str, int] | None = None,
    network: Prefix = NETWORK,
    family: str = "wireloom-test",
    most: int = MOST,
) -> Iterator[Machines]:
    """Machines of these names, booted; nothing is left of them afterwards, also when they don't come up.

    ``ports`` are SSH servers' where they are not 22. ``family`` begins the group's name, which cgroups and
    processes of it bear. All addresses are of ``network``. ``most`` machines are allowed.
    """
    space = Namespaces.make(f"{family}-{uuid.uuid4().hex[:12]}", directory / "keeper.log")
    with ExitStack() as stack:
        stack.callback(space.close)
        _lay_wire(space, network)
        group = Machines(space, directory, network, most=most)
        stack.callback(group.close)
        for name in names:
            group.add(name, image=image, port=(ports or {}).get(name, 22))
        group.boot()
        yield group
