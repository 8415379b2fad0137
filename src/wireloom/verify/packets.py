"""What tcpdump wrote, as packets. Pure; the only place that knows how captures are laid out.

By hand, not by a library: the ones weighed make an object of every header, and lose the true length of
packets that were captured in part.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from wireloom.values import Address, Endpoint, NodeName
from wireloom.verify.claim import PacketSeen

SLL2 = 276
"""The link type of a capture on all interfaces: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html"""

_HEADER = struct.Struct("!HxxIHBB8x")
_OUTGOING = 4

_FILE_HEADER, _RECORD_HEADER = 24, 16
_MAGIC = {
    struct.pack(f"{order}I", number): (order, fraction)
    for order in "<>"
    for number, fraction in ((0xA1B2C3D4, 1e-6), (0xA1B23C4D, 1e-9))
}
"""How a file begins: the byte order of its numbers, and the seconds in the second number of a time.

https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-03.html
"""

_IPV4 = struct.Struct("!BxHxxHxBxx4s4s")
_IPV6 = struct.Struct("!BxxxHBx16s16s")
_PORTS = struct.Struct("!HH")
_FRAGMENT = 44
_EXTENSIONS = {0, 43, _FRAGMENT, 60}
"""Hop-by-hop, routing, fragment and destination options: headers before the packet's own (RFC 8200, 4.1)."""
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
"""Numbers of the IP header."""

_NAMES = {ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMP6: "ICMPv6"} | {
    4: "IP in IP",
    41: "IPv6 in IP",
    47: "GRE",
    50: "ESP",
}

DATA = b"\x04\x00\x00\x00"
"""How a WireGuard message that carries a packet begins (the paper, section 5.4.6)."""

DATA_OVERHEAD = 32
"""Bytes that such a message has more than the packet in it, which it fills up to a multiple of 16."""


class CaptureError(Exception):
    """The file is not a capture that can be read."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One captured packet. ``length`` is in bytes from the IP header on; ``payload`` is what was kept of it.

    ``at`` is in seconds since 1970. ``protocol`` is the number of the IP header; ports are 0 where there are
    none. ``payload`` begins after the header of UDP or TCP, otherwise after that of IP. ``fragment``: it is
    a part of a larger one.
    """

    at: float
    device: str
    outgoing: bool
    source: Address
    target: Address
    protocol: int
    source_port: int
    target_port: int
    length: int
    payload: bytes
    fragment: bool

    @property
    def what(self) -> str:
        """Protocol and both ends, for a person."""
        name = _NAMES.get(self.protocol, f"IP protocol {self.protocol}")
        if self.is_wireguard_data:
            name = "WireGuard data"
        near, far = _end(self.source, self.source_port), _end(self.target, self.target_port)
        return f"{name}{' fragment' if self.fragment else ''} {near} → {far}"

    def seen_by(self, node: NodeName) -> PacketSeen:
        """The packet as a verdict shows it."""
        return PacketSeen(self.at, node, self.device, self.outgoing, self.what, self.length)

    @property
    def is_wireguard_data(self) -> bool:
        """Whether it is a WireGuard message that carries a packet."""
        return self.protocol == UDP and not self.fragment and self.payload.startswith(DATA)

    @property
    def carried(self) -> int:
        """Bytes of the packet that a WireGuard message carries, filled up to a multiple of 16."""
        return self.length - (28 if self.source.version == 4 else 48) - DATA_OVERHEAD


def read_capture(data: bytes, devices: Mapping[int, str]) -> Iterator[Packet]:
    """The IP packets of a capture on all interfaces; ``devices`` are the machine's, by index.

    Raises CaptureError where it is no such capture. A last packet that was cut short is left out.
    """
    for at, start, end in _records(data):
        packet = _read_frame(at, data[start + _RECORD_HEADER : end], devices)
        if packet is not None:
            yield packet


def count_frames(data: bytes) -> int:
    """How many packets of any kind a capture has, whole ones. Raises CaptureError."""
    return sum(1 for _ in _records(data))


def cut_capture(data: bytes, keep: Iterable[float]) -> bytes:
    """The same capture with only the packets of these times: evidence to keep. Raises CaptureError."""
    times = frozenset(keep)
    return data[:_FILE_HEADER] + b"".join(data[start:end] for at, start, end in _records(data) if at in times)


def _records(data: bytes) -> Iterator[tuple[float, int, int]]:
    """When each packet was captured, and where its record begins and ends."""
    order, fraction = _MAGIC.get(data[:4], ("", 0.0))
    if not order or len(data) < _FILE_HEADER:
        raise CaptureError("not a capture")
    (link_type,) = struct.unpack_from(f"{order}H", data, 20 if order == "<" else 22)
    if link_type != SLL2:
        raise CaptureError(f"a capture of link type {link_type}, not of all interfaces")
    header = struct.Struct(f"{order}IIII")
    start = _FILE_HEADER
    while start + _RECORD_HEADER <= len(data):
        seconds, parts, kept, _ = header.unpack_from(data, start)
        end = start + _RECORD_HEADER + kept
        if end > len(data):
            return
        yield seconds + parts * fraction, start, end
        start = end


def _read_frame(at: float, frame: bytes, devices: Mapping[int, str]) -> Packet | None:
    if len(frame) < _HEADER.size:
        return None
    ethertype, index, _, direction, _ = _HEADER.unpack_from(frame)
    body = frame[_HEADER.size :]
    device = devices.get(index) or f"interface {index}"
    read = _READERS.get(ethertype)
    if read is None:
        return None
    try:
        return read(at, device, direction == _OUTGOING, body)
    except (struct.error, IndexError, ValueError):
        return None


def _read_ipv4(at: float, device: str, outgoing: bool, body: bytes) -> Packet:
    first, length, offset, protocol, source, target = _IPV4.unpack_from(body)
    start = (first & 15) * 4
    if first >> 4 != 4 or start < _IPV4.size:
        raise ValueError("no IPv4 header")
    # Short frames are filled up on Ethernet: what follows the packet is not of it.
    body = body[: length or None]
    ports = (0, 0)
    if not offset & 0x1FFF:
        ports, start = _read_ports(body, start, protocol)
    return Packet(
        at,
        device,
        outgoing,
        _ipv4(source),
        _ipv4(target),
        protocol,
        *ports,
        length,
        body[start:],
        bool(offset & 0x3FFF),
    )


def _read_ipv6(at: float, device: str, outgoing: bool, body: bytes) -> Packet:
    first, length, protocol, source, target = _IPV6.unpack_from(body)
    if first >> 4 != 6:
        raise ValueError("no IPv6 header")
    body = body[: length + _IPV6.size if length else None]
    start, fragment, first_part = _IPV6.size, False, True
    while protocol in _EXTENSIONS and first_part:
        if protocol == _FRAGMENT:
            offset = struct.unpack_from("!xxH", body, start)[0]
            # One that is whole all the same is an "atomic fragment" (RFC 6946).
            fragment, first_part = bool(offset & 0xFFF9), not offset & 0xFFF8
            size = 8
        else:
            size = 8 + body[start + 1] * 8
        protocol = body[start]
        start += size
    ports = (0, 0)
    if first_part:
        ports, start = _read_ports(body, start, protocol)
    return Packet(
        at,
        device,
        outgoing,
        _ipv6(source),
        _ipv6(target),
        protocol,
        *ports,
        40 + length,
        body[start:],
        fragment,
    )


def _read_ports(body: bytes, start: int, protocol: int) -> tuple[tuple[int, int], int]:
    """The ports, and where the payload begins; no ports where too little of the header was captured."""
    if protocol == UDP and len(body) >= start + 8:
        return _PORTS.unpack_from(body, start), start + 8
    if protocol == TCP and len(body) >= start + 20:
        return _PORTS.unpack_from(body, start), start + (body[start + 12] >> 4) * 4
    return (0, 0), start


# The same few addresses come again and again.
_ipv4 = lru_cache(maxsize=4096)(IPv4Address)
_ipv6 = lru_cache(maxsize=4096)(IPv6Address)


_READERS = {0x0800: _read_ipv4, 0x86DD: _read_ipv6}
"""By the type of the frame (EtherType)."""


def _end(address: Address, port: int) -> str:
    return str(Endpoint(address, port) if port else address)
