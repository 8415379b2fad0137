"""A group of machines on their wires, made for a test and gone after it, whatever happens."""

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from tests.machines.container import Container
from tests.machines.machine import Machine, Wire
from tests.machines.namespaces import Namespaces
from tests.machines.workplace import Operator
from wireloom.values import Prefix

NETWORK = IPv4Network("203.0.113.0/24")
NETWORK6 = IPv6Network("2001:db8::/64")
"""Documentation addresses (RFC 5737, RFC 3849). The operator is at the end, machines begin at 1."""

COMMANDS = ("debootstrap", "systemd-nspawn", "nsenter", "unshare", "setpriv", "ip", "ssh-keygen")
FAMILY = "wireloom-test"
MOST = 20
"""Machines of one group, as Linux comes: each takes some of a user's 128 inotify instances, and each pair of
them two of the 1024 entries of the ARP table. Who raises ``fs.inotify.max_user_instances`` and
``net.ipv4.neigh.default.gc_thresh3`` may have more.
"""


def find_obstacles(commands: Iterable[str] = COMMANDS) -> list[str]:
    """What is in the way of machines on this computer; empty where they can be tried."""
    obstacles = [f"the command {one} is missing" for one in commands if shutil.which(one) is None]
    if os.geteuid() != 0:
        obstacles.append("this is not root")
    if not Path("/dev/net/tun").exists():
        obstacles.append("there is no /dev/net/tun")
    return obstacles


class Machines:
    """The machines by name, their wire, and the operator's place on it.

    ``directory`` gets the consoles' logs and the operator's home; it is the caller's to remove.
    """

    def __init__(self, space: Namespaces, directory: Path, *, most: int = MOST) -> None:
        self.space = space
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

    def add(self, kind: type[Machine], name: str, *, image: Path, wire: Wire, port: int = 22) -> Machine:
        """One more machine, switched off; ``port`` is its SSH server's."""
        assert len(self._machines) < self.most, (
            "raise fs.inotify.max_user_instances, and the ARP table's gc_thresh3, for more"
        )
        machine = kind(
            name,
            wire.address(1 + sum(other.wire == wire for other in self)),
            wire,
            image=image,
            space=self.space,
            log=self._directory / f"{name}.console",
            key=self.operator.public_key,
            port=port,
        )
        machine.prepare()
        self._machines[name] = machine
        return machine

    def boot(self) -> None:
        """Switch all of them on side by side, and wait until every one has settled."""
        for machine in self:
            machine.switch_on()
        for machine in self:
            machine.settle()

    def reboot(self) -> None:
        """Reboot all of them at once, and wait until every one is back."""
        before = [machine.reboot() for machine in self]
        for machine, boot in zip(self, before, strict=True):
            machine.settle(not_as=boot)

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


def _lay(wire: Wire, space: Namespaces) -> None:
    """A bridge with the operator's address."""
    # Nobody else can have it: it is not to be looked for first, as IPv6 does.
    claim = ["nodad"] if wire.network.version == 6 else []
    space.run("ip", "link", "add", wire.bridge, "type", "bridge")
    space.run("ip", "address", "add", str(wire.own), "dev", wire.bridge, *claim)
    for name, value in IMPATIENCE.items():
        space.tune(f"net/ipv{wire.network.version}/neigh/{wire.bridge}/{name}", value)
    space.run("ip", "link", "set", wire.bridge, "up")


@contextmanager
def group_of_machines(
    wires: Sequence[Wire], *, directory: Path, family: str = FAMILY, most: int = MOST
) -> Iterator[Machines]:
    """The operator's place on these wires, without machines yet; nothing is left of it afterwards.

    ``family`` begins the group's name, which cgroups and processes of it bear. ``most`` machines are allowed.
    """
    space = Namespaces.make(f"{family}-{uuid.uuid4().hex[:12]}", directory / "keeper.log")
    with ExitStack() as stack:
        stack.callback(space.close)
        for wire in wires:
            _lay(wire, space)
        space.tune("net/ipv4/ip_forward", int(any(wire.routed for wire in wires)))
        group = Machines(space, directory, most=most)
        stack.callback(group.close)
        yield group


@contextmanager
def machines(
    names: Iterable[str],
    *,
    image: Path,
    directory: Path,
    ports: Mapping[str, int] | None = None,
    network: Prefix = NETWORK,
    family: str = FAMILY,
    most: int = MOST,
) -> Iterator[Machines]:
    """Systemd machines of these names, booted; nothing is left of them, also when they don't come up.

    ``ports`` are SSH servers' where they are not 22. All addresses are of ``network``, on one wire.
    """
    wire = Wire("br0", network)
    with group_of_machines([wire], directory=directory, family=family, most=most) as group:
        for name in names:
            group.add(Container, name, image=image, wire=wire, port=(ports or {}).get(name, 22))
        group.boot()
        yield group
