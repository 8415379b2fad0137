"""The capture on a node: the scripts that hold, await and end it, and what they printed. Pure."""

import base64
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wireloom.grammar import count
from wireloom.observe.parse import parse_peer
from wireloom.observe.probes import PEERS, RUNNING
from wireloom.observe.shell import read_functions
from wireloom.observe.state import PeerSeen
from wireloom.transport.port import Completed
from wireloom.values import PublicKey
from wireloom.verify.canary import MEND
from wireloom.verify.packets import CaptureError, Packet, count_frames, read_capture
from wireloom.verify.wire import Watch

PACKETS = 100_000
"""Of one capture at most: 50 nodes that send each other 50 kinds of packets are seen with half as many."""

BYTES = 256
"""Of each packet: enough for two headers, a marker, and another tunnel's headers before them."""

MOST_BYTES = 64 * 1024 * 1024
"""No capture is larger than that when it is unpacked; more is not read."""

_FUNCTIONS = read_functions("wireloom.verify", "capture.sh")
_PROGRAM = re.compile(r"program (tcp|udp) (\d{1,5}) (\S+)")
_CAPTURED = re.compile(r"said (\d+) packets? captured")
_LOST = re.compile(r"said (\d+) packets? dropped by kernel")
_NO_TCPDUMP = re.compile(r"tcpdump\S* (not found|no such file)", re.IGNORECASE)
_ROUTINE = re.compile(r"said (tcpdump: (data link type|listening on|verbose output) |\d+ packets? ).*")
"""What tcpdump says when all is well."""


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
    return f"{_begin(run)}interface={interface}\n{RUNNING}await_capture\ndescribe_node\n{PEERS}\n"


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


def unpack(answer: Completed) -> tuple[bytes, str]:
    """What ``hold`` printed: the capture, and why its silence would prove nothing (or nothing).

    What came of a capture with a fault is given all the same: what it shows was there.
    """
    head, begun, packed = answer.stdout.partition("pcap\n")
    unzip = zlib.decompressobj(wbits=31)
    try:
        data = unzip.decompress(base64.b64decode(packed), MOST_BYTES)
    except (ValueError, zlib.error):
        return b"", "the capture came back garbled"
    if not begun:
        last = answer.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return b"", f"the capture did not come to its end: {last[0]}"
    said = head.splitlines()
    if "early" in said:
        return data, _explain(said)
    if not packed:
        return data, "tcpdump left no capture"
    if not unzip.eof:
        return data, "only a part of the capture came back"
    return data, _count(data, said)


def _count(data: bytes, said: Iterable[str]) -> str:
    """Whether all packets are there, by tcpdump's own account: it says nothing of a full disk."""
    captured, lost = _find(_CAPTURED, said), _find(_LOST, said)
    if captured is None or lost is None:
        return "tcpdump did not say how many packets it captured, and how many it lost"
    if lost:
        return f"tcpdump lost {count(lost, 'packet')}"
    try:
        found = count_frames(data)
    except CaptureError as error:
        return str(error)
    if found != captured:
        return f"tcpdump captured {count(captured, 'packet')}, and {found:,} came back: is the disk full?"
    return ""


def _explain(said: Iterable[str]) -> str:
    """Why tcpdump ended before it was told to."""
    if any(_NO_TCPDUMP.search(line) for line in said):
        return f"no tcpdump there: {MEND}"
    if (_find(_CAPTURED, said) or 0) >= PACKETS:
        return f"tcpdump ended too early: it had {PACKETS:,} packets, the most that are kept"
    words = [line for line in said if line.startswith("said ") and not _ROUTINE.fullmatch(line)]
    last = words[-1].removeprefix("said ").removeprefix("tcpdump: ") if words else "out of time, or killed"
    hint = " (it needs libpcap 1.10)" if "LINUX_SLL2" in last else ""
    return f"tcpdump ended too early: {last}{hint}"


def _find(pattern: re.Pattern[str], said: Iterable[str]) -> int | None:
    return next((int(found[1]) for line in said if (found := pattern.fullmatch(line))), None)


def read_watch(data: bytes, fault: str, devices: Mapping[int, str]) -> Watch:
    """The packets of a capture; one that can't be read is a fault.

    Without names for the interfaces nobody could say what was beside the tunnel.
    """
    if not devices:
        return Watch((), fault or "its interfaces are not known")
    try:
        packets: tuple[Packet, ...] = tuple(read_capture(data, devices)) if data else ()
    except CaptureError as error:
        return Watch((), fault or str(error))
    return Watch(packets, fault)
