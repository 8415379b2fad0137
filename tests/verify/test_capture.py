"""The scripts that capture on a node, and what they printed: a capture, or why its silence proves nothing."""

import base64
import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apply.pair import OTHER_KEY
from tests.verify.frames import DEVICES, capture, frame, ipv4, udp
from wireloom.transport.port import Completed
from wireloom.verify.capture import (
    MOST_BYTES,
    PACKETS,
    Surroundings,
    await_ready,
    end,
    hold,
    read_programs,
    read_surroundings,
    read_watch,
    unpack,
)

GOOD = capture([frame(ipv4(udp(b"one"))), frame(ipv4(udp(b"two")))])


def packed(data: bytes) -> str:
    text = base64.b64encode(gzip.compress(data)).decode()
    return "".join(f"{text[start : start + 76]}\n" for start in range(0, len(text), 76))


def said(captured: int = 2, lost: int = 0, *more: str) -> str:
    return "".join(
        f"said {line}\n"
        for line in (
            "tcpdump: data link type LINUX_SLL2",
            "tcpdump: listening on any, link-type LINUX_SLL2 (Linux cooked v2), snapshot length 256 bytes",
            *more,
            f"{captured} packet{'s' if captured != 1 else ''} captured",
            f"{captured} packets received by filter",
            f"{lost} packet{'s' if lost != 1 else ''} dropped by kernel",
        )
    )


def printed(*parts: str, stderr: str = "") -> Completed:
    return Completed(0, "".join(parts), stderr)


def test_a_capture_comes_back_as_it_was() -> None:
    assert unpack(printed(said(), "pcap\n", packed(GOOD))) == (GOOD, "")


LISTENING = said().splitlines(keepends=True)[1]
EARLY = "tcpdump ended too early: "
FAULTS = {
    "nothing at all": (b"", "the capture did not come to its end: it said nothing", printed("")),
    "no directory for it": (
        b"",
        "the capture did not come to its end: mkdir: cannot create directory '/run/wireloom': Read-only",
        printed("", stderr="mkdir: cannot create directory '/run/wireloom': Read-only\n"),
    ),
    "no file": (b"", "tcpdump left no capture", printed(said(), "pcap\n")),
    "no tcpdump, dash": (
        b"",
        "no tcpdump there: wireloom check --nodes --install",
        printed("said sh: 30: tcpdump: not found\nearly\npcap\n"),
    ),
    "no tcpdump, timeout": (
        b"",
        "no tcpdump there: wireloom check --nodes --install",
        printed("said timeout: failed to run command 'tcpdump': No such file or directory\nearly\npcap\n"),
    ),
    "not allowed to": (
        b"",
        f"{EARLY}any: You don't have permission to perform this capture",
        printed("said tcpdump: any: You don't have permission to perform this capture\nearly\npcap\n"),
    ),
    "an old one": (
        b"",
        f"{EARLY}LINUX_SLL2 is not one of the DLTs supported by this device (it needs libpcap 1.10)",
        printed("said tcpdump: LINUX_SLL2 is not one of the DLTs supported by this device\nearly\npcap\n"),
    ),
    "out of time": (GOOD, f"{EARLY}out of time, or killed", printed(said(), "early\npcap\n", packed(GOOD))),
    "killed": (GOOD, f"{EARLY}out of time, or killed", printed(LISTENING, "early\npcap\n", packed(GOOD))),
    "killed when it was enough": (
        GOOD,
        "tcpdump did not say how many packets it captured, and how many it lost",
        printed(LISTENING, "pcap\n", packed(GOOD)),
    ),
    "too much": (
        GOOD,
        f"{EARLY}it had 100,000 packets, the most that are kept",
        printed(said(PACKETS), "early\npcap\n", packed(GOOD)),
    ),
    "lost one": (GOOD, "tcpdump lost 1 packet", printed(said(2, 1), "pcap\n", packed(GOOD))),
    "lost many": (GOOD, "tcpdump lost 1,234 packets", printed(said(2, 1234), "pcap\n", packed(GOOD))),
    "a full disk": (
        GOOD[:-1],
        "tcpdump captured 2 packets, and 1 came back: is the disk full?",
        printed(said(), "pcap\n", packed(GOOD[:-1])),
    ),
    "a full disk, between two packets": (
        GOOD[:24],
        "tcpdump captured 2 packets, and 0 came back: is the disk full?",
        printed(said(), "pcap\n", packed(GOOD[:24])),
    ),
    "no capture in it": (b"text", "not a capture", printed(said(), "pcap\n", packed(b"text"))),
    "no base64": (b"", "the capture came back garbled", printed(said(), "pcap\n", "A\n")),
    "not packed": (
        b"",
        "the capture came back garbled",
        printed(said(), "pcap\n", base64.b64encode(GOOD).decode()),
    ),
}


@pytest.mark.parametrize(("data", "fault", "answer"), FAULTS.values(), ids=FAULTS)
def test_why_silence_would_prove_nothing(data: bytes, fault: str, answer: Completed) -> None:
    assert unpack(answer) == (data, fault)


@given(st.data())
def test_a_capture_that_was_cut_short_on_its_way_has_a_fault(data: st.DataObject) -> None:
    whole = "".join((said(), "pcap\n", packed(GOOD)))
    cut = whole[: data.draw(st.integers(0, len(whole.rstrip("=\n")) - 1))]
    assert unpack(printed(cut))[1]


@given(st.text(max_size=200))
def test_garbage_has_a_fault(garbage: str) -> None:
    assert unpack(printed(garbage))[1]
    assert unpack(printed(said(), "pcap\n", garbage))[1]


def test_a_bomb_is_not_unpacked() -> None:
    """Two hundred megabytes of nothing fit into as many kilobytes."""
    bomb = packed(bytes(3 * MOST_BYTES))
    tracemalloc.start()
    data, fault = unpack(printed(said(), "pcap\n", bomb))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(data), fault) == (MOST_BYTES, "only a part of the capture came back")
    assert most < 3 * MOST_BYTES


def test_packets_of_a_capture_with_a_fault_are_read_all_the_same() -> None:
    watch = read_watch(GOOD, "tcpdump lost 1 packet", DEVICES)
    assert ([one.payload for one in watch.packets], watch.fault) == (
        [b"one", b"two"],
        "tcpdump lost 1 packet",
    )


WATCHES = {
    "no capture": ("not a capture", b"text", "", DEVICES),
    "a fault before that": ("tcpdump lost 1 packet", b"text", "tcpdump lost 1 packet", DEVICES),
    "nothing captured, and why": ("tcpdump left no capture", b"", "tcpdump left no capture", DEVICES),
    # A packet of the tunnel would seem to be one in clear.
    "no names for the interfaces": ("its interfaces are not known", GOOD, "", {}),
}


@pytest.mark.parametrize(("fault", "data", "known", "devices"), WATCHES.values(), ids=WATCHES)
def test_what_cannot_be_read_is_a_fault(fault: str, data: bytes, known: str, devices: dict[int, str]) -> None:
    watch = read_watch(data, known, devices)
    assert (watch.packets, watch.fault) == ((), fault)


def test_the_surroundings_of_a_node() -> None:
    told = read_surroundings(
        "device 1 lo\ndevice 7 wg0\nlistening\nopen tcp 22\nopen udp 53\n"
        f"peer {OTHER_KEY}\t(none)\t192.0.2.2:51820\t10.99.0.2/32\t0\t1\t2\toff\n"
    )
    assert told.listening
    assert told.devices == {1: "lo", 7: "wg0"}
    assert told.open_ports == {("tcp", 22), ("udp", 53)}
    assert [str(one.endpoint) for one in told.peers.values()] == ["192.0.2.2:51820"]


@pytest.mark.parametrize(
    "line",
    [
        "deaf",
        "listening on",
        "device",
        "device x eth0",
        "device 1 a b",
        "open tcp",
        "open tcp x",
        "peer",
        "\0",
    ],
)
def test_lines_that_make_no_sense_are_left_out(line: str) -> None:
    assert read_surroundings(line) == Surroundings()


def test_programs_by_their_ports() -> None:
    text = "program tcp 22 sshd\nprogram udp 68 dhclient\nprogram sctp 1 x\nprogram tcp x y\nprogram tcp 1\n"
    assert read_programs(text) == {("tcp", 22): "sshd", ("udp", 68): "dhclient"}


def test_a_filter_is_one_word_for_the_shell() -> None:
    assert "hold_capture 70 100000 256 'ip or ip6'\n" in hold("0a", "ip or ip6", seconds=70)
    assert await_ready("0a", "wg0").startswith("capture=0a\n")
    assert end("0a").endswith("describe_programs\nend_capture\n")
