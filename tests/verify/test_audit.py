"""What goes on beside the tunnel, put into classes: what somebody on the way can read, and what not."""

import os
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from tests.apply.pair import OTHER_KEY
from tests.verify.frames import (
    DEVICES,
    ICMP,
    ICMP6,
    IN,
    TCP,
    UDP,
    capture,
    fragment,
    frame,
    icmp,
    ipv4,
    ipv6,
    passes,
    tcp,
    udp,
)
from tests.verify.pair import holding, pair
from wireloom.network.network import Peer
from wireloom.values import Endpoint, NodeName
from wireloom.verify.audit import (
    MOST_HOSTS,
    Listener,
    audit_filter,
    control_script,
    describe,
    find_ssh_ports,
    judge_clear,
    judge_traffic,
    known_addresses,
    sort_traffic,
)
from wireloom.verify.capture import unpack
from wireloom.verify.claim import Traffic, TrafficClass, Verdict
from wireloom.verify.packets import read_capture
from wireloom.verify.wire import Watch

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
KNOWN = {
    ip_address("192.0.2.2"): B,
    ip_address("2001:db8::2"): B,
    ip_address("10.99.0.2"): B,
    ip_address("192.0.2.3"): C,
}
PROGRAMS = {("tcp", 40000): "curl", ("tcp", 6443): "k3s-server"}
LISTENER = Listener(A, "wg0", (51820,), KNOWN, PROGRAMS)


def sort(*frames: bytes) -> list[Traffic]:
    return sort_traffic(LISTENER, Watch(list(read_capture(capture(frames), DEVICES))))


HELLO = bytes.fromhex("16030100ee010000ea0303") + bytes(40)
RECORD = bytes.fromhex("17030300a0") + bytes(60)
DATA, HANDSHAKE, ANSWER, COOKIE = (bytes((kind, 0, 0, 0)) for kind in (4, 1, 2, 3))


def within_vxlan(packet: bytes, ethertype: str = "0800") -> bytes:
    """RFC 7348: 8 bytes with the flag of a valid number, then an Ethernet frame."""
    ethernet = bytes.fromhex("020000000002" + "020000000001" + ethertype)
    return bytes.fromhex("0800000000000100") + ethernet + packet


POD = ipv4(udp(b"query", source=5353, target=53), source="10.42.0.3", target="10.42.1.7")
POD6 = ipv6(udp(b"query"), source="fd42:42::3", target="fd42:42:1::7")

CLASSES = {
    "handshake": (TrafficClass.WIREGUARD, ipv4(udp(HANDSHAKE + bytes(144)))),
    "its answer": (TrafficClass.WIREGUARD, ipv4(udp(ANSWER + bytes(88)))),
    "cookie": (TrafficClass.WIREGUARD, ipv4(udp(COOKIE + bytes(60)))),
    "data": (TrafficClass.WIREGUARD, ipv4(udp(DATA + bytes(60)))),
    "data over ipv6": (TrafficClass.WIREGUARD, ipv6(udp(DATA + bytes(60)))),
    "data to where the peer roamed": (TrafficClass.WIREGUARD, ipv4(udp(DATA + bytes(60), target=1234))),
    "what looks like it at another port": (
        TrafficClass.OTHER,
        ipv4(udp(DATA + bytes(60), source=1234, target=5678)),
    ),
    "something else at its port": (TrafficClass.OTHER, ipv4(udp(b"GET / HTTP/1.1"))),
    "tls": (TrafficClass.TLS, ipv4(tcp(HELLO, target=443), protocol=TCP)),
    "tls over ipv6": (TrafficClass.TLS, ipv6(tcp(HELLO, target=443), protocol=TCP)),
    "tls, long since begun": (TrafficClass.TLS, ipv4(tcp(RECORD, target=443), protocol=TCP)),
    "tls to the API server": (TrafficClass.TLS, ipv4(tcp(HELLO), protocol=TCP)),
    "etcd over tls": (TrafficClass.TLS, ipv4(tcp(RECORD, target=2380), protocol=TCP)),
    "etcd in clear": (TrafficClass.KUBERNETES, ipv4(tcp(b"PRI * HTTP/2.0\r\n", target=2379), protocol=TCP)),
    "kubelet in clear": (TrafficClass.KUBERNETES, ipv4(tcp(b"GET /pods", target=10250), protocol=TCP)),
    "API server's answer": (
        TrafficClass.KUBERNETES,
        ipv4(tcp(b"HTTP/1.1 200", source=6443, target=40000), protocol=TCP),
    ),
    "http": (TrafficClass.OTHER, ipv4(tcp(b"GET / HTTP/1.1", target=80), protocol=TCP)),
    "postgres": (TrafficClass.OTHER, ipv4(tcp(b"\0\0\0\x08\x04\xd2\x16/", target=5432), protocol=TCP)),
    "ssh": (TrafficClass.SSH, ipv4(tcp(b"SSH-2.0-OpenSSH_9.2\r\n", target=2222), protocol=TCP)),
    "ssh, long since begun": (TrafficClass.SSH, ipv4(tcp(os.urandom(64), target=22), protocol=TCP)),
    "nothing said": (TrafficClass.SILENT, ipv4(tcp(target=80), protocol=TCP)),
    "nothing said, filled up on the wire": (
        TrafficClass.SILENT,
        ipv4(tcp(target=80), protocol=TCP) + bytes(6),
    ),
    "ping": (TrafficClass.ICMP, ipv4(icmp(), protocol=ICMP)),
    "ping over ipv6": (TrafficClass.ICMP, ipv6(icmp(kind=128), protocol=ICMP6)),
    "vxlan": (TrafficClass.VXLAN, ipv4(udp(within_vxlan(POD), source=51234, target=8472))),
    "vxlan at its other port": (TrafficClass.VXLAN, ipv4(udp(within_vxlan(POD), target=4789))),
    "vxlan over ipv6": (TrafficClass.VXLAN, ipv6(udp(within_vxlan(POD), target=8472))),
    "something else at vxlan's port": (TrafficClass.OTHER, ipv4(udp(b"hello", target=8472))),
    "dns": (TrafficClass.OTHER, ipv4(udp(b"query", target=53))),
    "esp": (TrafficClass.IPSEC, ipv4(os.urandom(60), protocol=50)),
    "gre": (TrafficClass.TUNNEL, ipv4(bytes.fromhex("00000800") + POD, protocol=47)),
    "ip in ip": (TrafficClass.TUNNEL, ipv4(POD, protocol=4)),
    "ipv6 in ip": (TrafficClass.TUNNEL, ipv4(POD6, protocol=41)),
    "first fragment of vxlan": (
        TrafficClass.VXLAN,
        ipv4(udp(within_vxlan(POD), target=8472), more=True),
    ),
    "rest of fragments": (TrafficClass.FRAGMENT, ipv4(bytes(500), offset=1480)),
    "rest of fragments, ipv6": (
        TrafficClass.FRAGMENT,
        ipv6(fragment(UDP, offset=1448) + bytes(500), protocol=44),
    ),
    "sctp": (TrafficClass.OTHER, ipv4(bytes(20), protocol=132)),
}


@pytest.mark.parametrize(("kind", "packet"), CLASSES.values(), ids=CLASSES)
def test_a_packet_is_of_a_class(kind: TrafficClass, packet: bytes) -> None:
    assert [one.kind for one in sort(frame(packet))] == [kind]


def flow(*payloads: bytes, source: int = 40000, target: int = 443) -> list[bytes]:
    """A connection: what its two ends say in turn, from a first."""
    frames = []
    for place, payload in enumerate(payloads):
        if place % 2:
            back = tcp(payload, source=target, target=source)
            ends = {"source": "192.0.2.2", "target": "192.0.2.1"}
            frames.append(frame(ipv4(back, protocol=TCP, **ends), direction=IN))
        else:
            frames.append(frame(ipv4(tcp(payload, source=source, target=target), protocol=TCP)))
    return frames


FLOWS = {
    "acknowledgements are of their connection": ({TrafficClass.TLS}, flow(b"", b"", HELLO, b"", b"")),
    "both directions are one": ({TrafficClass.TLS}, flow(b"", HELLO)),
    "the middle of a record is of the same": (
        {TrafficClass.TLS},
        flow(b"\x99" * 60, b"", RECORD, b"", b"\x98" * 60),
    ),
    "only the middle of a record was seen": ({TrafficClass.OTHER}, flow(b"\x99" * 60, b"")),
    "never a word": ({TrafficClass.SILENT}, flow(b"", b"")),
    "two connections are two": (
        {TrafficClass.TLS, TrafficClass.OTHER},
        [*flow(HELLO, RECORD), *flow(b"GET /", b"200", source=40001, target=80)],
    ),
}


@pytest.mark.parametrize(("kinds", "frames"), FLOWS.values(), ids=FLOWS)
def test_a_connection_is_of_a_class(kinds: set[TrafficClass], frames: list[bytes]) -> None:
    assert {one.kind for one in sort(*frames)} == kinds


def test_ssh_at_another_port_is_known_though_nobody_saw_it_begin() -> None:
    """By the machine that serves it; a connection that its sshd forwards to a database is none."""
    listening = {("tcp", 2222), ("tcp", 5432), ("udp", 53)}
    programs = {("tcp", 2222): "sshd", ("tcp", 5432): "postgres", ("tcp", 45678): "sshd", ("udp", 53): "sshd"}
    ports = find_ssh_ports([(listening, programs), (set(), {})])
    assert ports == {22, 2222}
    listener = replace(LISTENER, ssh_ports=ports)
    frames = [*flow(b"\x99" * 60, target=2222), *flow(b"\x99" * 60, source=45678, target=5432)]
    found = sort_traffic(listener, Watch(list(read_capture(capture(frames), DEVICES))))
    assert [one.kind for one in found] == [TrafficClass.SSH, TrafficClass.OTHER]


UNHEARD = {
    "through the tunnel": frame(ipv4(udp(b"x"), target="10.99.0.2"), device=3),
    "to itself": frame(ipv4(udp(b"x")), device=1),
    "to somebody else": frame(ipv4(udp(b"x"), target="192.0.2.99")),
    "from somebody else": frame(ipv4(udp(b"x"), source="192.0.2.99", target="192.0.2.1"), direction=IN),
}


@pytest.mark.parametrize("unheard", UNHEARD.values(), ids=UNHEARD)
def test_what_is_not_between_machines_beside_the_tunnel_is_left_out(unheard: bytes) -> None:
    assert sort(unheard) == []


def test_what_goes_to_an_underlay_address_beside_the_tunnel_is_heard() -> None:
    (found,) = sort(frame(ipv4(tcp(b"GET /", target=80), protocol=TCP, target="10.99.0.2")))
    assert (found.target, found.kind) == (B, TrafficClass.OTHER)


def test_traffic_is_counted_by_ends_and_class() -> None:
    back = {"source": "192.0.2.2", "target": "192.0.2.1"}
    found = sort(
        frame(ipv4(udp(b"one", source=5000, target=53))),
        frame(ipv4(udp(b"three", source=5001, target=53))),
        frame(ipv4(udp(b"back", source=53, target=5000), **back), direction=IN),
        frame(ipv4(udp(b"x", target=53), target="192.0.2.3")),
        frame(ipv4(icmp(), protocol=ICMP)),
    )
    assert [(one.source, one.target, one.kind, one.packets, one.bytes, one.ports) for one in found] == [
        (A, B, TrafficClass.OTHER, 2, 64, {"udp/53"}),
        (B, A, TrafficClass.OTHER, 1, 32, {"udp/53"}),
        (A, C, TrafficClass.OTHER, 1, 29, {"udp/53"}),
        (A, B, TrafficClass.ICMP, 1, 28, set()),
    ]
    assert {one.heard_by for one in found} == {A}
    assert [len(one.examples) for one in found] == [2, 1, 1, 1]


def test_examples_are_few() -> None:
    (found,) = sort(*[frame(ipv4(udp(b"x", target=53)))] * 9)
    assert (found.packets, len(found.examples)) == (9, 4)


def test_a_program_is_told_by_the_port_that_is_the_machines_own() -> None:
    back = {"source": "192.0.2.2", "target": "192.0.2.1"}
    sent, got = sort(
        frame(ipv4(tcp(b"GET /", source=40000, target=80), protocol=TCP)),
        frame(ipv4(tcp(b"GET /", source=40000, target=6443), protocol=TCP, **back), direction=IN),
    )
    assert (sent.processes, got.processes) == ({"curl"}, {"k3s-server"})


INNER = {
    "ipv4": ({"10.42.0.3", "10.42.1.7"}, within_vxlan(POD)),
    "ipv6": ({"fd42:42::3", "fd42:42:1::7"}, within_vxlan(POD6, "86dd")),
    "arp": (set(), within_vxlan(bytes(28), "0806")),
    "cut short": (set(), within_vxlan(POD)[:40]),
    "cut short, ipv6": (set(), within_vxlan(POD6, "86dd")[:60]),
    "nothing": (set(), within_vxlan(b"")[:8]),
}


@pytest.mark.parametrize(("expected", "payload"), INNER.values(), ids=INNER)
def test_pods_within_vxlan_are_named(expected: set[str], payload: bytes) -> None:
    (found,) = sort(frame(ipv4(udp(payload, target=8472))))
    assert found.inner == expected


def test_traffic_in_words() -> None:
    found = Traffic(A, B, TrafficClass.VXLAN, A, 12, 1234, {"udp/8472"}, {"10.42.0.3"}, {"curl"})
    assert describe(found) == (
        "VXLAN in clear: 12 packets, 1,234 bytes (udp/8472; inside 10.42.0.3; by curl)"
    )
    assert describe(Traffic(A, B, TrafficClass.ICMP, A, 1, 84)) == "ICMP: 1 packet, 84 bytes"


# --- claims --------------------------------------------------------------------------------------

PING = frame(ipv4(icmp(bytes(56)), protocol=ICMP))
WEB = frame(ipv4(tcp(b"GET /", target=80), protocol=TCP))
ALL_WELL = "in 30 s, beside WireGuard's data: to b ICMP: 1 packet, 84 bytes"
PROVES_NOTHING = "nothing was seen beside the tunnel, not even a ping that was sent there: it proves nothing"
CLAIMS = {
    "all is well": ([("holds", None, ALL_WELL)], [PING], ""),
    "in clear": (
        [("falsified", B, "other in clear: 1 packet, 45 bytes (tcp/80; by curl)")],
        [PING, WEB],
        "",
    ),
    "a fault": ([("unknown", None, "killed")], [PING], "killed"),
    "in clear, and a fault": (
        [
            ("falsified", B, "other in clear: 1 packet, 45 bytes (tcp/80; by curl)"),
            ("unknown", None, "killed"),
        ],
        [WEB],
        "killed",
    ),
    "no control": ([("unknown", None, PROVES_NOTHING)], [], ""),
}


@pytest.mark.parametrize(("expected", "frames", "fault"), CLAIMS.values(), ids=CLAIMS)
def test_what_is_claimed(
    expected: list[tuple[str, NodeName | None, str]], frames: list[bytes], fault: str
) -> None:
    watch = Watch(list(read_capture(capture(frames), DEVICES)), fault)
    claims = list(judge_traffic(A, watch, sort_traffic(LISTENER, watch), 30))
    assert [(str(one.verdict), one.target, one.detail) for one in claims] == expected
    assert {(one.claim, one.source) for one in claims} == {("clear", A)}


def test_what_came_in_clear_is_claimed_of_its_sender() -> None:
    back = {"source": "192.0.2.2", "target": "192.0.2.1"}
    (found,) = sort(frame(ipv4(udp(b"x", target=53), **back), direction=IN))
    claim = judge_clear(found)
    assert (claim.source, claim.target, claim.verdict) == (B, A, Verdict.FALSIFIED)
    assert [one.node for one in claim.packets] == [A]


@pytest.mark.parametrize("kind", TrafficClass)
def test_classes_in_clear_say_so_in_their_name(kind: TrafficClass) -> None:
    assert kind.in_clear == kind.endswith("in clear")


# --- what tcpdump keeps --------------------------------------------------------------------------


def peer(name: str, endpoint: str | None, *addresses: str, sources: tuple[str, ...] = ()) -> Peer:
    where = Endpoint.parse(endpoint) if endpoint else None
    networks = tuple(ip_network(one) for one in addresses)
    return Peer(NodeName(name), OTHER_KEY, where, networks, sources=tuple(ip_address(one) for one in sources))


def test_a_peer_is_known_by_all_its_addresses() -> None:
    peers = [
        peer("b", "192.0.2.2:51820", "10.99.0.2", "fd42:99::2", sources=("192.0.2.2", "2001:db8::2")),
        peer("c", None, "10.99.0.3"),
    ]
    found_at = {B: None, C: Endpoint.parse("198.51.100.7:1234"), NodeName("gone"): None}
    assert {str(one): name for one, name in known_addresses(peers, found_at).items()} == {
        "192.0.2.2": B,
        "2001:db8::2": B,
        "10.99.0.2": B,
        "fd42:99::2": B,
        "198.51.100.7": C,
        "10.99.0.3": C,
    }


KEPT = {
    "to a peer": (True, ipv4(udp(b"x", target=53))),
    "to a peer by ipv6": (True, ipv6(udp(b"x", target=53))),
    "from a peer": (True, ipv4(udp(b"x", target=53), source="192.0.2.2", target="192.0.2.1")),
    "to somebody else": (False, ipv4(udp(b"x", target=53), target="192.0.2.99")),
    "data": (False, ipv4(udp(DATA + bytes(60)))),
    "data over ipv6": (False, ipv6(udp(DATA + bytes(60)))),
    "data of another port": (True, ipv4(udp(DATA + bytes(60), source=1, target=2))),
    "a handshake": (True, ipv4(udp(HANDSHAKE + bytes(144)))),
    "a handshake over ipv6": (True, ipv6(udp(HANDSHAKE + bytes(144)))),
    "something else at its port": (True, ipv4(udp(b"GET / HTTP/1.1"))),
    "something else at its port, ipv6": (True, ipv6(udp(b"GET / HTTP/1.1"))),
    "a word at its port": (True, ipv4(udp(b"x"))),
    "a word at its port, ipv6": (True, ipv6(udp(b"x"))),
    "the rest of fragments": (True, ipv4(bytes(500), offset=1480)),
    "tcp at its port": (True, ipv4(tcp(b"x", source=51820, target=51820), protocol=TCP)),
}


@pytest.mark.parametrize(("kept", "packet"), KEPT.values(), ids=KEPT)
def test_tcpdump_keeps_all_but_wireguards_data(kept: bool, packet: bytes) -> None:
    assert passes(audit_filter(KNOWN, [51820]), packet) is kept


@pytest.mark.parametrize("hosts", [0, 1, MOST_HOSTS, MOST_HOSTS + 1, 1000])
@pytest.mark.parametrize("version", [4, 6])
def test_the_filter_compiles_for_any_fleet(hosts: int, version: int) -> None:
    base = ip_address("198.18.0.0" if version == 4 else "2001:db8::")
    wanted = audit_filter([base + number for number in range(hosts)], [51820, 51821])
    unknown = ipv4(udp(b"x"), target="192.0.2.99")
    assert passes(wanted, unknown) is (hosts in {0, MOST_HOSTS + 1, 1000})


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
@pytest.mark.parametrize("version", [4, 6])
def test_the_kernel_takes_the_largest_filter(version: int) -> None:
    base = ip_address("198.18.0.0" if version == 4 else "2001:db8::")
    wanted = audit_filter([base + number for number in range(MOST_HOSTS)], [51820, 51821])
    with pair() as (a, _), holding(a, wanted) as held:
        assert held.await_ready().listening
        answer = held.end()
    assert unpack(answer)[1] == ""
    assert "filter" not in answer.stdout.replace("received by filter", "")


def test_the_control_is_a_ping_to_a_few_where_they_are_found() -> None:
    found = [Endpoint.parse(f"192.0.2.{number}:51820") for number in (1, 1, 2, 3, 4, 5)]
    assert control_script([None, *found]).splitlines() == [
        *(f"ping -n -c 1 -W 1 192.0.2.{number} >/dev/null 2>&1 &" for number in (1, 2, 3, 4)),
        "wait",
    ]
