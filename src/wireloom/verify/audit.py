"""Every packet between the machines beside the tunnel, put into classes. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import islice

from wireloom.grammar import count
from wireloom.network.network import Peer
from wireloom.values import VXLAN_PORT, Address, Endpoint, NodeName
from wireloom.verify.claim import Claim, Traffic, TrafficClass, Verdict
from wireloom.verify.packets import ICMP, ICMP6, TCP, UDP, Packet
from wireloom.verify.wire import LOOPBACK, Watch

MOST_HOSTS = 100
"""Addresses that a capture filter names; of more it lets everything through, and they are sorted out here.

Of 150 of IPv6 the kernel does not take the program (net.core.optmem_max): tcpdump would filter by itself.
"""

MOST_EXAMPLES = 4
MOST_CONTROLS = 4
SSH_SERVERS = {"sshd", "dropbear"}
KUBERNETES = {2379: "etcd", 2380: "etcd", 6443: "API server", 9345: "k3s supervisor", 10250: "kubelet"}
VXLAN_PORTS = {VXLAN_PORT, 4789}
ESP = 50
TUNNELS = {4, 41, 47}
"""IP in IP, IPv6 in IP, GRE."""

_MESSAGES = {bytes((kind, 0, 0, 0)) for kind in (1, 2, 3, 4)}
"""How WireGuard's four messages begin (the paper, section 5.4)."""

_TLS = {bytes((kind, 3)) for kind in (20, 21, 22, 23)}
"""How a TLS record begins (RFC 8446, 5.1): its type and the first byte of the version."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A node that captures: the addresses of its peers, and which program has which of its ports.

    ``ports`` are WireGuard's: two while it changes from one to the other. ``ssh_ports`` are those on which
    SSH is served anywhere: of a connection that was there before, nobody sees the beginning.
    """

    node: NodeName
    interface: str
    ports: Sequence[int]
    known: Mapping[Address, NodeName]
    programs: Mapping[tuple[str, int], str]
    ssh_ports: frozenset[int] = frozenset({22})


def find_ssh_ports(
    around: Iterable[tuple[Collection[tuple[str, int]], Mapping[tuple[str, int], str]]],
) -> frozenset[int]:
    """The ports on which SSH is served, by what listens on each machine and which programs these are.

    Not all ports of sshd: what it forwards may be in clear.
    """
    served = {
        port
        for listening, programs in around
        for protocol, port in listening
        if protocol == "tcp" and programs.get((protocol, port)) in SSH_SERVERS
    }
    return frozenset({22, *served})


def known_addresses(
    peers: Iterable[Peer], found_at: Mapping[NodeName, Endpoint | None]
) -> dict[Address, NodeName]:
    """Where a node finds its peers: all their addresses beside the tunnel, and those inside."""
    known: dict[Address, NodeName] = {}
    for peer in peers:
        for endpoint in (peer.endpoint, found_at.get(peer.name)):
            if endpoint is not None:
                known[endpoint.address] = peer.name
        known |= dict.fromkeys(peer.sources, peer.name)
        known |= dict.fromkeys(peer.addresses, peer.name)
    return known


def audit_filter(known: Iterable[Address], ports: Iterable[int]) -> str:
    """What tcpdump keeps: all between the node and its peers but WireGuard's data, which itself counts.

    In the language of pcap-filter(7).
    """
    hosts = sorted(map(str, set(known)))
    among = " or ".join(f"host {one}" for one in hosts) if 0 < len(hosts) <= MOST_HOSTS else "ip or ip6"
    wireguard = " or ".join(f"udp port {port}" for port in ports)
    # The lengths first: whoever reads behind the end of a packet drops it (bpf(4)).
    data = (
        f"({wireguard}) and ((ip and udp[4:2] >= 12 and udp[8:4] = 0x04000000)"
        " or (ip6 and ip6[44:2] >= 12 and ip6[48:4] = 0x04000000))"
    )
    return f"({among}) and not ({data})"


def control_script(found_at: Iterable[Endpoint | None]) -> str:
    """Shell that pings a few peers beside the tunnel: what a capture must see that sees at all."""
    addresses = islice(dict.fromkeys(one.address for one in found_at if one is not None), MOST_CONTROLS)
    return "".join(f"ping -n -c 1 -W 1 {one} >/dev/null 2>&1 &\n" for one in addresses) + "wait\n"


def sort_traffic(listener: Listener, watch: Watch) -> list[Traffic]:
    """What the node sent its peers beside the tunnel, and what it got from them, by peer and class."""
    between = [
        (packet, other)
        for packet in watch.packets
        if packet.device not in {listener.interface, LOOPBACK}
        and (other := listener.known.get(packet.target if packet.outgoing else packet.source)) is not None
    ]
    flows = _classify_flows((packet for packet, _ in between), listener.ssh_ports)
    found: dict[tuple[NodeName, NodeName, TrafficClass], Traffic] = {}
    for packet, other in between:
        ends = (listener.node, other) if packet.outgoing else (other, listener.node)
        kind = _classify(packet, listener.ports, flows)
        _add(found.setdefault((*ends, kind), Traffic(*ends, kind, listener.node)), packet, listener)
    return list(found.values())


def _add(traffic: Traffic, packet: Packet, listener: Listener) -> None:
    traffic.packets += 1
    traffic.bytes += packet.length
    if packet.target_port:
        name = "tcp" if packet.protocol == TCP else "udp"
        near = packet.source_port if packet.outgoing else packet.target_port
        traffic.ports.add(f"{name}/{min(packet.source_port, packet.target_port)}")
        program = listener.programs.get((name, near))
        traffic.processes |= {program} if program else set()
    if traffic.kind is TrafficClass.VXLAN:
        traffic.inner |= _inside_vxlan(packet.payload)
    if len(traffic.examples) < MOST_EXAMPLES:
        traffic.examples.append(packet.seen_by(listener.node))


def _classify(
    packet: Packet, wireguard: Sequence[int], flows: Mapping[frozenset[Endpoint], TrafficClass]
) -> TrafficClass:
    protocol = packet.protocol
    if packet.fragment and not packet.target_port:
        return TrafficClass.FRAGMENT
    if protocol == TCP:
        return flows.get(_ends(packet), TrafficClass.SILENT)
    if protocol == UDP:
        ports = {packet.source_port, packet.target_port}
        if not ports.isdisjoint(wireguard) and packet.payload[:4] in _MESSAGES:
            return TrafficClass.WIREGUARD
        # The flag says that the network's number is valid (RFC 7348, section 5).
        is_vxlan = packet.target_port in VXLAN_PORTS and packet.payload[:1] == b"\x08"
        return TrafficClass.VXLAN if is_vxlan else TrafficClass.OTHER
    if protocol in {ICMP, ICMP6}:
        return TrafficClass.ICMP
    if protocol == ESP:
        return TrafficClass.IPSEC
    return TrafficClass.TUNNEL if protocol in TUNNELS else TrafficClass.OTHER


def _classify_flows(
    packets: Iterable[Packet], ssh_ports: frozenset[int]
) -> dict[frozenset[Endpoint], TrafficClass]:
    """What each TCP connection is, by the first payload that says it, in either direction.

    A connection that was there before the capture is told by the records that happen to begin a segment.
    """
    flows: dict[frozenset[Endpoint], TrafficClass] = {}
    for packet in packets:
        if packet.protocol == TCP and packet.payload:
            ends = _ends(packet)
            if flows.get(ends, TrafficClass.OTHER).in_clear:
                flows[ends] = _classify_segment(packet, ssh_ports)
    return flows


def _classify_segment(packet: Packet, ssh_ports: frozenset[int]) -> TrafficClass:
    ports = {packet.source_port, packet.target_port}
    if packet.payload[:2] in _TLS:
        return TrafficClass.TLS
    if packet.payload.startswith(b"SSH-") or ports & ssh_ports:
        return TrafficClass.SSH
    return TrafficClass.KUBERNETES if ports & KUBERNETES.keys() else TrafficClass.OTHER


def _ends(packet: Packet) -> frozenset[Endpoint]:
    return frozenset(
        (Endpoint(packet.source, packet.source_port), Endpoint(packet.target, packet.target_port))
    )


def _inside_vxlan(payload: bytes) -> set[str]:
    """The addresses in an Ethernet frame behind 8 bytes of VXLAN; none where it is no IP."""
    frame = payload[8:]
    match frame[12:14], len(frame):
        case b"\x08\x00", size if size >= 34:
            return {str(IPv4Address(frame[26:30])), str(IPv4Address(frame[30:34]))}
        case b"\x86\xdd", size if size >= 54:
            return {str(IPv6Address(frame[22:38])), str(IPv6Address(frame[38:54]))}
    return set()


def judge_traffic(node: NodeName, watch: Watch, sent: Sequence[Traffic], seconds: float) -> Iterator[Claim]:
    """A claim for each peer that got something in clear from the node; else one about the node.

    ``sent`` has at least the pings of ``control_script``, or the capture saw nothing at all.
    """
    clear = [one for one in sent if one.kind.in_clear]
    for one in clear:
        yield judge_clear(one)
    if watch.fault:
        yield Claim("clear", node, None, Verdict.UNKNOWN, watch.fault)
    elif not sent:
        detail = "nothing was seen beside the tunnel, not even a ping that was sent there: it proves nothing"
        yield Claim("clear", node, None, Verdict.UNKNOWN, detail)
    elif not clear:
        rest = "; ".join(f"to {one.target} {describe(one)}" for one in sent)
        detail = f"in {seconds:g} s, beside WireGuard's data: {rest}"
        yield Claim("clear", node, None, Verdict.HOLDS, detail)


def judge_clear(traffic: Traffic) -> Claim:
    """What somebody on the way can read is a falsified claim, by whomever it was heard."""
    detail = describe(traffic)
    return Claim("clear", traffic.source, traffic.target, Verdict.FALSIFIED, detail, tuple(traffic.examples))


def describe(traffic: Traffic) -> str:
    """A class and its figures: ``VXLAN in clear: 12 packets, 1,234 bytes (udp/8472; inside 10.42.0.3)``."""
    inside = f"inside {', '.join(sorted(traffic.inner)[:4])}" if traffic.inner else ""
    by = f"by {', '.join(sorted(traffic.processes))}" if traffic.processes else ""
    told = "; ".join(filter(None, (", ".join(sorted(traffic.ports)[:4]), inside, by)))
    figures = f"{count(traffic.packets, 'packet')}, {count(traffic.bytes, 'byte')}"
    return f"{traffic.kind}: {figures}{f' ({told})' if told else ''}"
