"""Captures that are made here: what machines would see of marked packets when nothing goes wrong."""

import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.verify.frames import ICMP, IN, OUT, TCP, UDP, frame, icmp, ipv4, tcp, udp

from wireloom.network.network import Peer
from wireloom.values import Endpoint, NodeName
from wireloom.verify.canary import MARKER_BYTES, ROUNDS, Canary, Chosen, Passport, beside, inside
from wireloom.verify.capture import BYTES
from wireloom.verify.packets import DATA, SLL2
from wireloom.verify.wire import Sender

CHOSEN = Chosen(bytes.fromhex("a55a001122334455"), length=640, port=50_000)
FULL = 1440
OPEN = frozenset({("tcp", 22), ("tcp", 179), ("tcp", 443), ("tcp", 9100), ("udp", 53), ("udp", 68)})
"""What a machine listens on, beside Kubernetes."""

ETHERNET, TUNNEL = 2, 3
"""Numbers of interfaces, as the tests have them."""


def write_capture(packets: Sequence[bytes]) -> bytes:
    """Frames as tcpdump leaves them: the first bytes of each, and its true length."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, BYTES, SLL2)]
    for place, one in enumerate(packets):
        kept = one[:BYTES]
        seconds, parts_of_it = divmod(place, 10_000)
        parts += [struct.pack("<IIII", 1_700_000_000 + seconds, parts_of_it, len(kept), len(one)), kept]
    return b"".join(parts)


def mixed_traffic(count: int) -> bytes:
    """A capture of so many packets: WireGuard, TCP and ICMP."""
    message = ipv4(udp(DATA + bytes(12) + bytes(640)))
    kinds = [message, ipv4(tcp(bytes(600)), protocol=TCP), ipv4(icmp(bytes(600)), protocol=ICMP)]
    frames = [frame(one) for one in kinds]
    return write_capture([frames[place % len(frames)] for place in range(count)])


def make_peers(count: int) -> dict[NodeName, Peer]:
    """So many nodes, as all others know them; the last number of each address is the node's."""
    return {
        NodeName(f"n{number}"): Peer(
            NodeName(f"n{number}"),
            None,
            Endpoint(IPv4Address(f"192.0.2.{number}"), 51820),
            (IPv4Network(f"10.99.0.{number}/32"),),
        )
        for number in range(1, count + 1)
    }


def make_sender(name: NodeName, peers: Sequence[Peer]) -> Sender:
    """A node whose kernel took all marked packets to its peers."""
    canaries: list[Canary] = []
    for peer in peers:
        canaries += inside(peer, _marker(name, peer, b"inside"), CHOSEN, OPEN, FULL)
    for peer in peers:
        canaries += beside(peer, _marker(name, peer, b"beside"), CHOSEN, peer.endpoint)
    told = {Passport(one.marker, number, 0): "" for number, one in enumerate(canaries)}
    return Sender(canaries, told, {peer.name: peer.endpoint for peer in peers})


def _marker(name: NodeName, peer: Peer, way: bytes) -> bytes:
    return (CHOSEN.run + f"{name}{peer.name}".encode() + way).ljust(MARKER_BYTES, b".")


def make_captures(senders: Mapping[NodeName, Sender]) -> dict[NodeName, bytes]:
    """Each packet leaves by its sender's interface and comes in by its target's; some by the tunnel, too."""
    frames: dict[NodeName, list[bytes]] = {name: [] for name in senders}
    for name, sender in senders.items():
        for number, canary in enumerate(sender.canaries):
            for node, seen in _path(name, canary, number):
                frames[node] += [seen] * ROUNDS
    return {name: write_capture(seen) for name, seen in frames.items()}


def _path(name: NodeName, canary: Canary, number: int) -> Iterator[tuple[NodeName, bytes]]:
    far = f"192.0.2.{canary.target[1:]}"
    packet = _packet(canary, number)
    message = ipv4(udp(DATA + bytes(12 + canary.length + 16)), source=f"192.0.2.{name[1:]}", target=far)
    for node, direction in ((name, OUT), (canary.target, IN)):
        if canary.purpose.way == "inside":
            yield node, frame(packet, device=TUNNEL, direction=direction)
            yield node, frame(message, device=ETHERNET, direction=direction)
        else:
            yield node, frame(packet, device=ETHERNET, direction=direction)


def _packet(canary: Canary, number: int) -> bytes:
    payload = canary.marker + struct.pack("!II", number, 0)
    room = canary.length - 20
    target = str(canary.address)
    match canary.protocol:
        case "tcp":
            return ipv4(tcp(payload.ljust(room - 20, b"\0"), target=canary.port), protocol=TCP, target=target)
        case "icmp":
            return ipv4(icmp(payload.ljust(room - 8, b"\0")), protocol=ICMP, target=target)
    return ipv4(udp(payload.ljust(room - 8, b"\0"), target=canary.port), protocol=UDP, target=target)
