"""The capture on a node: the scripts that hold, await and end it, and what they printed. Pure."""

import base64
import binascii
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from wireloom.observe.parse import parse_peer
from wireloom.observe.probes import RUNNING
from wireloom.observe.shell import read_functions
from wireloom.observe.state import PeerSeen
from wireloom.values import PublicKey
from wireloom.verify.packets import CaptureError, Packet, read_capture
from wireloom.verify.wire import Watch

PACKETS = 30_000
BYTES = 256
"""Of each packet: enough for two headers, a marker, and another tunnel's headers before them."""

MOST_BYTES = 64 * 1024 * 1024
"""No capture is larger than that when it is unpacked; more is not read."""

_FUNCTIONS = read_functions("wireloom.verify", "capture.sh")
_PROGRAM = re.compile(r"program (tcp|udp) (\d{1,5}) (\S+)")
_LOST = re.compile(r"(\d+) packets? dropped by kernel")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What one has to know of a node to send to it, and to read its packets.

    ``devices`` by their index; ``open_ports`` as ("tcp", 22); ``listening``: its tcpdump was ready.
    """

    listening: bool = False
    devices: Mapping[int, str] = field(default_factory=dict)
    open_ports: frozenset[tuple[str, int]] = frozenset()
    peers: Mapping[PublicKey, PeerSeen] = field(default_factory=dict)


def hold(run: str, wanted: str, *, seconds: int) -> str:
    """Capture what the filter ``wanted`` lets through until told that it is enough, and print it.

    It ends by itself after ``seconds``: the operator's connection may be gone.
    """
    return f"{_begin(run)}hold_capture {seconds} {PACKETS} {BYTES} '{wanted}'\n"


def await_ready(run: str, interface: str) -> str:
    """Wait until it listens, and describe the machine."""
    return f"{_begin(run)}interface={interface}\n{RUNNING}await_capture\ndescribe_node\n" + (
        "public_dump | sed '1d; s/^/peer /'\n"
    )


def end(run: str) -> str:
    """Tell it that it is enough, and tell which program has which port."""
    return f"{_begin(run)}describe_programs\nend_capture\n"


def _begin(run: str) -> str:
    return f"capture={run}\n{_FUNCTIONS}"


def read_surroundings(text: str) -> Surroundings:
    """What ``await_ready`` printed; lines that make no sense are left out."""
    devices: dict[int, str] = {}
    ports: set[tuple[str, int]] = set()
    peers: dict[PublicKey, PeerSeen] = {}
    lines = text.splitlines()
    for line in lines:
        word, _, rest = line.partition(" ")
        try:
            match word:
                case "device":
                    index, name = rest.split(" ")
                    devices[int(index)] = name
                case "open":
                    protocol, port = rest.split(" ")
                    ports.add((protocol, int(port)))
                case "peer":
                    peer = parse_peer(rest)
                    peers[peer.public_key] = peer
        except ValueError:
            continue
    return Surroundings("listening" in lines, devices, frozenset(ports), peers)


def read_programs(text: str) -> dict[tuple[str, int], str]:
    """What ``end`` printed: ("tcp", 22) → sshd."""
    found = (_PROGRAM.fullmatch(line) for line in text.splitlines())
    return {(one[1], int(one[2])): one[3] for one in found if one}


def unpack(text: str) -> tuple[bytes, str]:
    """What ``hold`` printed: the capture, and why its silence would prove nothing (or nothing)."""
    head, _, packed = text.partition("pcap\n")
    said = [line.removeprefix("said ") for line in head.splitlines() if line.startswith("said ")]
    try:
        data = zlib.decompressobj(wbits=31).decompress(base64.b64decode(packed), MOST_BYTES)
    except (binascii.Error, zlib.error):
        return b"", "the capture came back garbled"
    lost = next((int(found[1]) for line in said if (found := _LOST.search(line))), 0)
    if "early" in head.splitlines():
        words = said[-1] if said else "it said nothing"
        return data, f"tcpdump ended too early: {words.removeprefix('tcpdump: ')}"
    if not data:
        return data, "tcpdump left no capture"
    return data, f"tcpdump lost {lost} packets" if lost else ""


def read_watch(data: bytes, fault: str, devices: Mapping[int, str]) -> Watch:
    """The packets of a capture; one that can't be read is a fault."""
    try:
        packets: tuple[Packet, ...] = tuple(read_capture(data, devices)) if data else ()
    except CaptureError as error:
        return Watch((), fault or str(error))
    return Watch(packets, fault)
