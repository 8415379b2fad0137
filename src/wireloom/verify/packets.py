"""What tcpdump wrote, as packets. Pure; the only place that knows dpkt."""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from ipaddress import IPv4Address, IPv6Address

import dpkt

from wireloom.values import Address, Endpoint, NodeName
from wireloom.verify.claim import PacketSeen

SLL2 = 276
"""The link type of a capture on all interfaces: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html"""

_HEADER = struct.Struct("!HxxIHBB8x")
_OUTGOING = 4
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
    try:
        reader = dpkt.pcap.Reader(BytesIO(data))
    except (ValueError, dpkt.dpkt.Error) as error:
        raise CaptureError(f"not a capture: {error}") from None
    if reader.datalink() != SLL2:
        raise CaptureError(f"a capture of link type {reader.datalink()}, not of all interfaces")
    records = iter(reader)
    while True:
        try:
            at, frame = next(records)
        except (StopIteration, dpkt.dpkt.Error):
            return
        packet = _read_frame(float(at), frame, devices)
        if packet is not None:
            yield packet


def cut_capture(data: bytes, keep: Iterable[float]) -> bytes:
    """The same capture with only the packets of these times: evidence to keep."""
    times = frozenset(keep)
    cut = BytesIO()
    writer = dpkt.pcap.Writer(cut, snaplen=262144, linktype=SLL2)
    for at, frame in dpkt.pcap.Reader(BytesIO(data)):
        if float(at) in times:
            writer.writepkt(frame, float(at))
    return cut.getvalue()


def _read_frame(at: float, frame: bytes, devices: Mapping[int, str]) -> Packet | None:
    if len(frame) < _HEADER.size:
        return None
    ethertype, index, _, direction, _ = _HEADER.unpack_from(frame)
    body = frame[_HEADER.size :]
    device = devices.get(index, f"interface {index}")
    try:
        match ethertype:
            case dpkt.ethernet.ETH_TYPE_IP:
                return _read_ipv4(at, device, direction == _OUTGOING, body)
            case dpkt.ethernet.ETH_TYPE_IP6:
                return _read_ipv6(at, device, direction == _OUTGOING, body)
    except (struct.error, IndexError, dpkt.dpkt.Error):
        pass
    return None


def _read_ipv4(at: float, device: str, outgoing: bool, body: bytes) -> Packet:
    header = dpkt.ip.IP.__hdr_len__
    first, length, offset, protocol = struct.unpack_from("!BxHxxHxB", body)
    source, target = IPv4Address(body[12:16]), IPv4Address(body[16:20])
    start = (first & 15) * 4
    if start < header:
        raise IndexError("a header that is too short")
    ports = (0, 0)
    if not offset & 0x1FFF:
        ports, start = _read_ports(body, start, protocol)
    fragment = bool(offset & 0x3FFF)
    return Packet(at, device, outgoing, source, target, protocol, *ports, length, body[start:], fragment)


def _read_ipv6(at: float, device: str, outgoing: bool, body: bytes) -> Packet:
    length, protocol = struct.unpack_from("!xxxxHB", body)
    source, target = IPv6Address(body[8:24]), IPv6Address(body[24:40])
    start, fragment, first = 40, False, True
    while protocol in {0, 43, 44, 60}:  # hop-by-hop, routing, fragment, destination options: RFC 8200, 4.1
        if protocol == 44:
            fragment = True
            first = not struct.unpack_from("!xxH", body, start)[0] & 0xFFF8
            size = 8
        else:
            size = 8 + body[start + 1] * 8
        protocol = body[start]
        start += size
    ports = (0, 0)
    if first:
        ports, start = _read_ports(body, start, protocol)
    return Packet(at, device, outgoing, source, target, protocol, *ports, 40 + length, body[start:], fragment)


def _read_ports(body: bytes, start: int, protocol: int) -> tuple[tuple[int, int], int]:
    """The ports, and where the payload begins."""
    if protocol == UDP:
        return struct.unpack_from("!HH", body, start), start + 8
    if protocol == TCP:
        near, far, offset = struct.unpack_from("!HHxxxxxxxxB", body, start)
        return (near, far), start + (offset >> 4) * 4
    return (0, 0), start


def _end(address: Address, port: int) -> str:
    return str(Endpoint(address, port) if port else address)
