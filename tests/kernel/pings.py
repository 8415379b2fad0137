"""Pings that go on while something else happens."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.machines.machine import Machine

OUTPUT = "/run/pings"


@dataclass
class Pings:
    """The numbers of those that were answered, once it is over."""

    answered: set[int] = field(default_factory=set)

    @property
    def lost(self) -> set[int]:
        """Those before the last answer that have none: behind it they may have been on their way."""
        return set(range(1, max(self.answered, default=1))) - self.answered


@contextmanager
def pinging(machine: Machine, address: str) -> Iterator[Pings]:
    """Ping from a machine 200 times a second for as long as the block lasts; an address that answers then."""
    # ping writes out all that it has seen when it is interrupted.
    unit = ("--unit=pings", "--property=KillSignal=SIGINT", f"--property=StandardOutput=truncate:{OUTPUT}")
    machine.run("systemd-run", "--quiet", *unit, "ping", "-n", "-i", "0.005", address)
    pings = Pings()
    try:
        yield pings
        machine.run("ping", "-c", "1", "-W", "5", address)
    finally:
        machine.run("systemctl", "stop", "pings")
    pings.answered |= {int(one) for one in re.findall(r"icmp_seq=(\d+) ttl=", machine.run("cat", OUTPUT))}
