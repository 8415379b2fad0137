"""Marked packets: which ones a node sends, the script that sends them, and what became of each. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from wireloom.network.network import Peer
from wireloom.observe.shell import read_functions
from wireloom.transport.port import Completed
from wireloom.values import Address, Endpoint, NodeName

MARKER_BYTES = 32
RUN_BYTES = 8
"""The first bytes of all markers of one run: what a capture is searched for."""

ROUNDS = 2
"""How often each packet is sent: one may get lost."""

SIZES = range(608, 736, 16)
"""Lengths of IP packets, rare in real traffic (acknowledgements are smaller, full segments larger)."""

WINDOW = 128
"""Bytes by which another tunnel may make them larger: WireGuard's 80, VXLAN's 70, GRE's and IP's own less."""

KUBERNETES = (
    *(("tcp", port) for port in (2379, 2380, 6443, 9345, 10250)),
    ("udp", 8472),
)
"""Ports that a rule is likely to treat apart: etcd, API server, k3s supervisor, kubelet, VXLAN."""

MOST_PORTS = 48
"""Ports of one machine that are tried; of more that it listens on the lowest."""

NOT_FOUND = 127
"""A shell's exit status where there is no such command."""

MEND = "wireloom check --nodes --install"

_SENDER = read_functions("wireloom.verify", "canary.pl")


class Purpose(Enum):
    """What a marked packet is to show."""

    INSIDE = "sent to an underlay address: must go through the tunnel"
    FULL = "as INSIDE, as large as the interface lets through"
    CONTROL = "sent beside the tunnel, to where it leads: the capture must see it"
    DIAL = "sent to the peer's WireGuard port: must arrive"
    POD = "from or to a pod of a cluster: must go through the tunnel"

    @property
    def way(self) -> str:
        """Inside or beside the tunnel.

        What has to do with pods has right checksums, as what goes beside it: kube-proxy drops packets that
        connection tracking finds invalid.
        """
        return "inside" if self in {Purpose.INSIDE, Purpose.FULL} else "beside"


@dataclass(frozen=True, slots=True)
class Canary:
    """One kind of marked packet from one node to another. ``protocol``: icmp, udp, tcp, or user.

    ``user`` is UDP, once as every user who runs something on the machine. ``length`` is the IP packet's, in
    bytes. ``port`` is 0 for icmp.
    """

    target: NodeName
    purpose: Purpose
    marker: bytes
    address: Address
    protocol: str
    port: int
    length: int

    def name(self, user: int = 0) -> str:
        """For a person: ``udp port 5432``."""
        if self.protocol == "user":
            return f"udp as user {user}"
        return f"{self.protocol} port {self.port}" if self.port else self.protocol


@dataclass(frozen=True, slots=True)
class Passport:
    """What tells a marked packet from all others: its marker, its number in what one node sends, the user."""

    marker: bytes
    number: int
    user: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """What one run draws by chance: how its markers begin, the packets' length, a port that nobody knows."""

    run: bytes
    length: int
    port: int


def inside(
    peer: Peer, marker: bytes, chosen: Chosen, ports: Iterable[tuple[str, int]], full: int
) -> Iterator[Canary]:
    """What is sent to a peer over the underlay: each protocol, ports that matter, every user, full size."""
    known = sorted({*KUBERNETES, *ports})[:MOST_PORTS]
    for address in peer.addresses:
        kinds = [("icmp", 0), ("udp", chosen.port), ("tcp", chosen.port), ("user", chosen.port), *known]
        for protocol, port in kinds:
            yield Canary(peer.name, Purpose.INSIDE, marker, address, protocol, port, chosen.length)
        yield Canary(peer.name, Purpose.FULL, marker, address, "icmp", 0, full)


def beside(peer: Peer, marker: bytes, chosen: Chosen, found_at: Endpoint | None) -> Iterator[Canary]:
    """What is sent beside the tunnel: a control to where it leads now, a datagram to where the plan dials."""
    if found_at is not None:
        for protocol, port in (("icmp", 0), ("udp", chosen.port), ("tcp", chosen.port)):
            yield Canary(peer.name, Purpose.CONTROL, marker, found_at.address, protocol, port, chosen.length)
    if peer.endpoint is not None:
        address, port = peer.endpoint.address, peer.endpoint.port
        yield Canary(peer.name, Purpose.DIAL, marker, address, "udp", port, chosen.length)


def sending_script(canaries: Sequence[Canary], *, first: int = 0, perl: str = "perl") -> str:
    """Shell that sends them all, in this order, numbered from ``first`` on. ``perl``: how it is called."""
    orders = "".join(
        f"{number} {one.purpose.way} {one.marker.hex()}"
        f" {one.address} {one.protocol} {one.port} {one.length}\n"
        for number, one in enumerate(canaries, first)
    )
    return f"{perl} - {ROUNDS} <<'CANARIES'\n{_SENDER}{orders}CANARIES\n"


_TOLD = re.compile(r"(sent|refused) (\d+) (\d+) ?(.*)")


def read_sent(text: str, canaries: Sequence[Canary]) -> Mapping[Passport, str]:
    """What the node said of each packet: nothing where the kernel took it, else why not.

    A packet that is missing in it was never tried.
    """
    told: dict[Passport, str] = {}
    for line in text.splitlines():
        match = _TOLD.fullmatch(line)
        if match is None or int(match[2]) >= len(canaries):
            continue
        number, user = int(match[2]), int(match[3])
        passport = Passport(canaries[number].marker, number, user)
        if match[1] == "sent":
            told[passport] = ""
        else:
            told.setdefault(passport, match[4] or "no reason given")
    return told


def said_of_failure(answer: Completed) -> str:
    """Why the sender did not come to its end; nothing where it did."""
    if not answer.status:
        return ""
    last = answer.stderr.strip().splitlines()[-1:] or ["it said nothing"]
    missing = "perl: not found" in last[0] or answer.status == NOT_FOUND
    return f"no perl there: {MEND}" if missing else f"the sender failed: {last[0]}"


def find_passport(payload: bytes, run: bytes) -> Passport | None:
    """The marked packet that is somewhere in a payload."""
    start = payload.find(run)
    rest = payload[start + MARKER_BYTES : start + MARKER_BYTES + 8]
    if start < 0 or len(rest) < 8:
        return None
    marker = payload[start : start + MARKER_BYTES]
    return Passport(marker, int.from_bytes(rest[:4]), int.from_bytes(rest[4:]))


def capture_filter(length: int, full: int, window: int = WINDOW) -> str:
    """What tcpdump keeps: IP packets of about that length, pings as long as ``full``, fragments of UDP.

    ``window``: how many bytes may come on top of it. In the language of pcap-filter(7).
    """
    most = length + window
    return (
        f"(ip and ip[2:2] >= {length} and ip[2:2] <= {most})"
        f" or (ip6 and ip6[4:2] >= {length - 40} and ip6[4:2] <= {most - 40})"
        f" or (ip and ip[9] = 1 and ip[2:2] = {full}) or (ip6 and ip6[6] = 58 and ip6[4:2] = {full - 40})"
        " or (ip and ip[9] = 17 and ip[6:2] & 0x3fff != 0) or (ip6 and ip6[6] = 44)"
    )
