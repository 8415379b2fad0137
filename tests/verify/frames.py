"""Captures made by hand: the bytes that tcpdump would write."""

import shutil
import struct
import subprocess
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

SLL2 = 276
DEVICES = {1: "lo", 2: "eth0", 3: "wg0"}
OUT, IN = 4, 0
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58


def udp(payload: bytes = b"", *, source: int = 51820, target: int = 51820) -> bytes:
    return struct.pack("!HHHH", source, target, 8 + len(payload), 0) + payload


def tcp(payload: bytes = b"", *, source: int = 40000, target: int = 6443, options: bytes = b"") -> bytes:
    offset = (20 + len(options)) // 4 << 4
    return struct.pack("!HHIIBBHHH", source, target, 1, 0, offset, 0x18, 1024, 0, 0) + options + payload


def icmp(payload: bytes = b"", kind: int = 8) -> bytes:
    return struct.pack("!BBHHH", kind, 0, 0, 7, 1) + payload


def ipv4(
    body: bytes,
    *,
    protocol: int = UDP,
    source: str = "192.0.2.1",
    target: str = "192.0.2.2",
    options: bytes = b"",
    offset: int = 0,
    more: bool = False,
) -> bytes:
    """``offset`` of a fragment is in bytes."""
    words, part = 5 + len(options) // 4, (0x2000 if more else 0) | offset // 8
    ends = ip_address(source).packed + ip_address(target).packed
    length = 4 * words + len(body)
    return struct.pack("!BBHHHBBH", 0x40 | words, 0, length, 1, part, 64, protocol, 0) + ends + options + body


def ipv6(
    body: bytes, *, protocol: int = UDP, source: str = "2001:db8::1", target: str = "2001:db8::2"
) -> bytes:
    ends = ip_address(source).packed + ip_address(target).packed
    return struct.pack("!IHBB", 0x60000000, len(body), protocol, 64) + ends + body


def extension(following: int, size: int = 8) -> bytes:
    """A hop-by-hop, routing or destination header."""
    return struct.pack("!BB", following, size // 8 - 1) + bytes(size - 2)


def fragment(following: int, *, offset: int = 0, more: bool = False) -> bytes:
    return struct.pack("!BBHI", following, 0, offset | more, 7)


def frame(packet: bytes, *, device: int = 2, direction: int = OUT, ethertype: int | None = None) -> bytes:
    known = 0x86DD if packet[:1] and packet[0] >> 4 == 6 else 0x0800
    return struct.pack("!HHIHBB8s", ethertype or known, 0, device, 1, direction, 6, bytes(8)) + packet


def capture(
    frames: Sequence[bytes],
    *,
    link_type: int = SLL2,
    order: str = "<",
    nanoseconds: bool = False,
    snap: int = 0,
) -> bytes:
    """A file: one frame a second, from the second 1,000 on, each half a second later than that."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, link_type)]
    half = 500_000_000 if nanoseconds else 500_000
    for place, one in enumerate(frames):
        kept = one[: snap or None]
        parts += [struct.pack(f"{order}IIII", 1000 + place, half, len(kept), len(one)), kept]
    return b"".join(parts)


def passes(wanted: str, packet: bytes) -> bool:
    """Whether tcpdump, reading a capture, lets a packet through its filter."""
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed")
    done = subprocess.run(
        ["tcpdump", "-n", "-r", "-", "-w", "-", wanted],
        input=capture([frame(packet, direction=OUT)]),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return len(done.stdout) > 24
