"""A wire of a given rate between machines, and what a program can get of it. For ``bench/cluster.py``."""

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.machines.machines import Machines

INTERFACE = "host0"
"""A machine's end of the wire, as systemd-nspawn names it."""

TCP = 20 + 20 + 12
"""Bytes of a packet that are no payload: IPv4, TCP, and its timestamps (RFC 7323), which Linux sends."""
WIREGUARD = 20 + 8 + 16 + 16
"""Bytes more a packet: IPv4, UDP, the header, the tag (wireguard.com/protocol); a full one has no padding."""
VXLAN = 20 + 8 + 8 + 14
"""The same: IPv4, UDP, VXLAN, the header of the frame within (RFC 7348)."""
FRAME, UNSEEN = 14, 7 + 1 + 4 + 12
"""What Ethernet takes for each frame (IEEE 802.3): its header; preamble, delimiter, checksum and gap, which
``tc`` does not see."""

UNITS = {"mbit": 1, "gbit": 1000}


def parse_rate(text: str) -> int:
    """A rate as ``tc`` spells it, in Mbit/s; 0 is none. For argparse, whose error it raises."""
    found = re.fullmatch(r"([0-9]+)(mbit|gbit)|0", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is no rate: 100mbit and 1gbit are, and 0 is none")
    return int(found[1]) * UNITS[found[2]] if found[1] else 0


def reckon(rate: int, mtu: int, tunnels: int) -> float:
    """The Mbit/s that a program gets by one TCP connection which has a wire of ``rate`` Mbit/s to itself.

    Its packets are as large as ``mtu``, its interface's; ``tunnels`` is what is put around each, in bytes.
    """
    return rate * (mtu - TCP) / (mtu + tunnels + FRAME + UNSEEN)


@contextmanager
def slowed(group: Machines, rate: int) -> Iterator[None]:
    """While the block lasts no machine sends more than ``rate`` Mbit/s, as Ethernet counts; 0: no limit.

    By a token bucket (tc-tbf(8)) of a millisecond, or two frames, for which up to 20 ms of packets wait. TCP
    segments that Linux hands on in one piece which fits in the bucket are one frame to it: from 500 Mbit/s on
    all are, and 1.6 % more may get by.
    """
    if not rate:
        yield
        return
    burst = max(rate * 1000 // 8, 2 * (1500 + FRAME + UNSEEN))
    shape = ("tbf", "rate", f"{rate}mbit", "burst", str(burst), "latency", "20ms", "overhead", str(UNSEEN))
    for machine in group:
        machine.run("tc", "qdisc", "add", "dev", INTERFACE, "root", *shape)
    try:
        yield
    finally:
        for machine in group:
            machine.run("tc", "qdisc", "delete", "dev", INTERFACE, "root")
