"""From the bytes of a capture to packets: what stands in them, or that it is no capture."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verify.frames import (
    DEVICES,
    ICMP,
    ICMP6,
    IN,
    TCP,
    UDP,
    capture,
    extension,
    fragment,
    frame,
    icmp,
    ipv4,
    ipv6,
    tcp,
    udp,
)
from wireloom.values import NodeName
from wireloom.verify.packets import (
    CaptureError,
    Packet,
    count_frames,
    cut_capture,
    read_capture,
)

MARK = b"twelve bytes"
DATA = b"\x04\x00\x00\x00"


def read(*frames: bytes) -> list[Packet]:
    return list(read_capture(capture(frames), DEVICES))


def read_one(packet: bytes) -> Packet:
    (found,) = read(frame(packet))
    return found


# source port, target port, protocol, length, fragment, payload
PACKETS = {
    "udp": ((51820, 51820, UDP, 40, False, MARK), ipv4(udp(MARK))),
    "udp, nothing in it": ((51820, 51820, UDP, 28, False, b""), ipv4(udp())),
    "tcp": ((40000, 6443, TCP, 52, False, MARK), ipv4(tcp(MARK), protocol=TCP)),
    "tcp with options": (
        (40000, 6443, TCP, 64, False, MARK),
        ipv4(tcp(MARK, options=bytes(12)), protocol=TCP),
    ),
    "icmp": ((0, 0, ICMP, 40, False, icmp(MARK)), ipv4(icmp(MARK), protocol=ICMP)),
    "options of ip": ((51820, 51820, UDP, 48, False, MARK), ipv4(udp(MARK), options=bytes(8))),
    "esp": ((0, 0, 50, 32, False, MARK), ipv4(MARK, protocol=50)),
    "first fragment": ((51820, 51820, UDP, 40, True, MARK), ipv4(udp(MARK), more=True)),
    "second fragment": ((0, 0, UDP, 32, True, MARK), ipv4(MARK, offset=1400)),
    "filled up on the wire": (
        (40000, 6443, TCP, 40, False, b""),
        ipv4(tcp(), protocol=TCP) + bytes(6),
    ),
    "udp over ipv6": ((51820, 51820, UDP, 60, False, MARK), ipv6(udp(MARK))),
    "tcp over ipv6": ((40000, 6443, TCP, 72, False, MARK), ipv6(tcp(MARK), protocol=TCP)),
    "icmpv6": ((0, 0, ICMP6, 60, False, icmp(MARK, 128)), ipv6(icmp(MARK, 128), protocol=ICMP6)),
    "filled up on the wire, ipv6": (
        (51820, 51820, UDP, 48, False, b""),
        ipv6(udp()) + bytes(6),
    ),
    "headers before the header": (
        (51820, 51820, UDP, 92, False, MARK),
        ipv6(extension(43) + extension(60, 16) + extension(UDP) + udp(MARK), protocol=0),
    ),
    "first fragment, ipv6": (
        (51820, 51820, UDP, 68, True, MARK),
        ipv6(fragment(UDP, more=True) + udp(MARK), protocol=44),
    ),
    "second fragment, ipv6": (
        (0, 0, UDP, 60, True, MARK),
        ipv6(fragment(UDP, offset=1400) + MARK, protocol=44),
    ),
    "second fragment of what begins with options": (
        (0, 0, 60, 60, True, MARK),
        ipv6(fragment(60, offset=1400) + MARK, protocol=44),
    ),
    "whole, but with a fragment's header": (
        (51820, 51820, UDP, 68, False, MARK),
        ipv6(fragment(UDP) + udp(MARK), protocol=44),
    ),
    "too little of udp": ((0, 0, UDP, 40, False, udp()[:5]), ipv4(udp(MARK))[:25]),
    "too little of tcp": ((0, 0, TCP, 52, False, tcp()[:19]), ipv4(tcp(MARK), protocol=TCP)[:39]),
    "length unknown to the kernel yet": (
        (51820, 51820, UDP, 0, False, MARK),
        ipv4(udp(MARK))[:2] + bytes(2) + ipv4(udp(MARK))[4:],
    ),
}


@pytest.mark.parametrize(("expected", "packet"), PACKETS.values(), ids=PACKETS)
def test_a_packet_is_read(expected: tuple[object, ...], packet: bytes) -> None:
    found = read_one(packet)
    assert expected == (
        found.source_port,
        found.target_port,
        found.protocol,
        found.length,
        found.fragment,
        found.payload,
    )
    prefix = "2001:db8::" if packet[0] >> 4 == 6 else "192.0.2."
    assert (found.source, found.target) == (ip_address(f"{prefix}1"), ip_address(f"{prefix}2"))


NO_PACKETS = {
    "arp": frame(bytes(28), ethertype=0x0806),
    "shorter than the frame's header": frame(b"")[:19],
    "nothing in the frame": frame(b""),
    "too little of ipv4": frame(ipv4(udp())[:19]),
    "too little of ipv6": frame(ipv6(udp())[:39]),
    "a header too short": frame(b"\x44" + ipv4(udp())[1:]),
    "another version in ipv4's place": frame(ipv6(udp()), ethertype=0x0800),
    "another version in ipv6's place": frame(ipv4(udp(MARK * 4)), ethertype=0x86DD),
    "cut in the headers before the header": frame(ipv6(extension(UDP), protocol=0)[:41]),
    "cut in a fragment's header": frame(ipv6(fragment(UDP), protocol=44)[:43]),
}


@pytest.mark.parametrize("bad", NO_PACKETS.values(), ids=NO_PACKETS)
def test_what_is_no_packet_is_left_out_and_the_next_is_read(bad: bytes) -> None:
    assert [one.payload for one in read(bad, frame(ipv4(udp(MARK))))] == [MARK]


def test_device_direction_and_time() -> None:
    found = read(frame(ipv4(udp())), frame(ipv4(udp()), device=3, direction=IN), frame(ipv4(udp()), device=9))
    assert [(one.at, one.device, one.outgoing) for one in found] == [
        (1000.5, "eth0", True),
        (1001.5, "wg0", False),
        (1002.5, "interface 9", True),
    ]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_captures_of_every_machine_are_read(order: str, nanoseconds: bool) -> None:
    made = capture([frame(ipv4(udp(MARK)))], order=order, nanoseconds=nanoseconds)
    assert [(one.at, one.payload) for one in read_capture(made, DEVICES)] == [(1000.5, MARK)]


GOOD = capture([frame(ipv4(udp(MARK)))])
NO_CAPTURES = {
    "empty": (b"", "not a capture"),
    "text": (b"tcpdump: permission denied\n", "not a capture"),
    "its first bytes alone": (GOOD[:20], "not a capture"),
    "of one interface": (capture([], link_type=1), "a capture of link type 1, not of all interfaces"),
    "of one interface, the other order": (
        capture([], link_type=1, order=">"),
        "a capture of link type 1, not of all interfaces",
    ),
}


@pytest.mark.parametrize(("data", "why"), NO_CAPTURES.values(), ids=NO_CAPTURES)
def test_what_is_no_capture_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(CaptureError, match=why):
        list(read_capture(data, DEVICES))
    with pytest.raises(CaptureError, match=why):
        cut_capture(data, [1000.5])
    with pytest.raises(CaptureError, match=why):
        count_frames(data)


@given(st.binary(max_size=200))
def test_garbage_in_a_frame_is_never_more_than_no_packet(garbage: bytes) -> None:
    for ethertype in (0x0800, 0x86DD):
        assert len(read(frame(garbage, ethertype=ethertype))) <= 1


@given(st.sampled_from([packet for _, packet in PACKETS.values()]), st.data())
def test_a_real_packet_with_bytes_changed_is_never_more_than_no_packet(
    packet: bytes, data: st.DataObject
) -> None:
    changed = bytearray(packet)
    for place in data.draw(st.lists(st.integers(0, len(packet) - 1), max_size=8)):
        changed[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(packet)))
    assert len(read(frame(bytes(changed[:cut]), ethertype=0x86DD if packet[0] >> 4 == 6 else 0x0800))) <= 1


@given(st.binary(max_size=300), st.booleans())
def test_garbage_in_a_file_is_a_capture_error_or_packets(garbage: bytes, begins_well: bool) -> None:
    data = GOOD[:24] + garbage if begins_well else garbage
    try:
        found = list(read_capture(data, DEVICES))
    except CaptureError:
        assert not begins_well
    else:
        assert len(found) <= count_frames(data)


@given(st.integers(24, len(GOOD) - 1))
def test_a_last_packet_that_was_cut_short_is_left_out(length: int) -> None:
    assert not list(read_capture(GOOD[:length], DEVICES))
    assert not count_frames(GOOD[:length])
    assert cut_capture(GOOD[:length], [1000.5]) == GOOD[:24]


@pytest.mark.parametrize("order", ["<", ">"])
def test_evidence_is_the_same_bytes(order: str) -> None:
    """The true length of what was captured in part is among them."""
    one, two, three = (frame(ipv4(udp(bytes(size)))) for size in (100, 200, 300))
    made = capture([one, two, three], order=order, snap=60)
    assert cut_capture(made, [1000.5, 1001.5, 1002.5]) == made
    assert cut_capture(made, [1001.5]) == made[:24] + made[24 + 76 : 24 + 2 * 76]
    assert cut_capture(made, []) == made[:24]


def test_frames_of_every_kind_are_counted() -> None:
    assert count_frames(capture([frame(bytes(28), ethertype=0x0806), frame(ipv4(udp()))])) == 2


WORDS = {
    "ports": ("UDP 192.0.2.1:51820 → 192.0.2.2:51820", ipv4(udp(MARK))),
    "no ports": ("ICMP 192.0.2.1 → 192.0.2.2", ipv4(icmp(), protocol=ICMP)),
    "ipv6": ("TCP [2001:db8::1]:40000 → [2001:db8::2]:6443", ipv6(tcp(), protocol=TCP)),
    "a number": ("IP protocol 99 192.0.2.1 → 192.0.2.2", ipv4(b"", protocol=99)),
    "data": ("WireGuard data 192.0.2.1:51820 → 192.0.2.2:51820", ipv4(udp(DATA + bytes(28)))),
    "part": ("UDP fragment 192.0.2.1 → 192.0.2.2", ipv4(MARK, offset=1400)),
    # Its beginning may say that, the whole can't be told.
    "part of data": ("UDP fragment 192.0.2.1:51820 → 192.0.2.2:51820", ipv4(udp(DATA), more=True)),
}


@pytest.mark.parametrize(("expected", "packet"), WORDS.values(), ids=WORDS)
def test_a_packet_in_words(expected: str, packet: bytes) -> None:
    assert read_one(packet).what == expected
    assert read_one(packet).seen_by(NodeName("a")).what == expected


@pytest.mark.parametrize(("size", "make"), [(60, ipv4), (80, ipv6)])
def test_a_wireguard_message_is_as_much_larger_as_the_tunnel_costs(size: int, make: type) -> None:
    message = DATA + bytes(12) + bytes(640) + bytes(16)
    found = read_one(make(udp(message)))
    assert found.length == 640 + size
    assert found.carried == 640
