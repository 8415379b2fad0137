"""The same capture read by tshark says the same of every packet."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.verify.pair import holding, pair
from tests.verify.test_programs_live import ORDERS
from wireloom.verify import capture
from wireloom.verify.canary import sending_script
from wireloom.verify.packets import ICMP, ICMP6, TCP, UDP, Packet, cut_capture, read_capture

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

FIELDS = (
    *("frame.time_epoch", "sll.ifindex", "sll.pkttype", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst"),
    *("ip.proto", "ipv6.nxt", "ipv6.hopopts.nxt", "ipv6.fraghdr.nxt", "ip.len", "ipv6.plen"),
    *("udp.srcport", "udp.dstport", "tcp.srcport", "tcp.dstport"),
    *("ip.flags.mf", "ip.frag_offset", "ipv6.fraghdr.more", "ipv6.fraghdr.offset"),
)
"""tshark tells the outermost header by the first occurrence; a fragment is not to be put together again."""

TRAFFIC = """\
ping -n -c 1 -W 1 -s 3000 192.0.2.2
ping -n -c 1 -W 1 -s 3000 2001:db8::2
bash -c 'head -c 4000 /dev/zero >/dev/udp/192.0.2.2/51820'
bash -c 'head -c 4000 /dev/zero >/dev/udp/2001:db8::2/51820'
bash -c ': >/dev/tcp/192.0.2.2/6443' || :
bash -c ': >/dev/tcp/2001:db8::2/2379' || :
ip link add vx0 type vxlan id 42 remote 192.0.2.2 dstport 8472 dev eth0
ip address add 10.42.0.1/24 dev vx0; ip address add fd42:42::1/64 dev vx0 nodad; ip link set vx0 up
ip neighbour add 10.42.0.2 lladdr 02:00:00:00:00:02 dev vx0
ip neighbour add fd42:42::2 lladdr 02:00:00:00:00:02 dev vx0
ping -n -c 1 -W 1 10.42.0.2 || :
ping -n -c 1 -W 1 fd42:42::2 || :
ping -n -c 1 -W 1 127.0.0.1
"""


Caught = tuple[Path, list[Packet], Mapping[int, str]]


@pytest.fixture(scope="module")
def caught(tmp_path_factory: pytest.TempPathFactory) -> Caught:
    """A capture of all that wireloom itself sends, and of what it has to recognise, with its packets."""
    if shutil.which("tshark") is None:
        if os.environ.get("CI"):
            pytest.fail("tshark is missing: `scripts/setup --tests` installs it")
        pytest.skip("tshark is missing: `scripts/setup --tests` installs it where there is a package of it")
    with pair() as (a, _), holding(a) as held:
        held.await_ready()
        a.ask(sending_script(ORDERS))
        a.sh(TRAFFIC)
        around = held.await_ready()
        data, fault = capture.unpack(held.end())
    assert not fault
    file = tmp_path_factory.mktemp("tshark") / "seen.pcap"
    file.write_bytes(data)
    return file, list(read_capture(data, around.devices)), around.devices


@dataclass(frozen=True, slots=True)
class Row:
    """One packet, in what both readers tell of it."""

    at: float
    device: str
    outgoing: bool
    source: str
    target: str
    protocol: int
    ports: tuple[int, int]
    length: int
    fragment: bool


def told_by_us(packet: Packet) -> Row:
    return Row(
        round(packet.at, 6),
        packet.device,
        packet.outgoing,
        str(packet.source),
        str(packet.target),
        packet.protocol,
        (packet.source_port, packet.target_port),
        packet.length,
        packet.fragment,
    )


def told_by_tshark(line: str, devices: Mapping[int, str]) -> Row:
    told = dict(zip(FIELDS, line.split("\t"), strict=True))

    def number(*names: str) -> int:
        return next((int(told[name]) for name in names if told[name]), 0)

    protocol = number("ip.proto", "ipv6.hopopts.nxt", "ipv6.fraghdr.nxt", "ipv6.nxt")
    # Those of a packet that an ICMP error quotes are not its own.
    name = {UDP: "udp", TCP: "tcp"}.get(protocol)
    pieces = ("ip.flags.mf", "ip.frag_offset", "ipv6.fraghdr.more", "ipv6.fraghdr.offset")
    return Row(
        round(float(told["frame.time_epoch"]), 6),
        devices[number("sll.ifindex")],
        number("sll.pkttype") == 4,
        told["ip.src"] or told["ipv6.src"],
        told["ip.dst"] or told["ipv6.dst"],
        protocol,
        (number(f"{name}.srcport"), number(f"{name}.dstport")) if name else (0, 0),
        number("ip.len") or number("ipv6.plen") + 40,
        any(number(name) for name in pieces),
    )


def test_tshark_says_the_same_of_every_packet(caught: Caught) -> None:
    file, packets, devices = caught
    whole = ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]
    fields = [word for name in FIELDS for word in ("-e", name)]
    done = subprocess.run(
        ["tshark", "-n", "-r", file, *whole, "-T", "fields", "-E", "occurrence=f", *fields],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [told_by_us(one) for one in packets] == [
        told_by_tshark(line, devices) for line in done.stdout.splitlines()
    ]


def test_the_capture_has_all_that_matters(caught: Caught) -> None:
    """Or the readers would agree about little."""
    _, packets, _ = caught
    kinds = Counter(
        (one.source.version, one.protocol, one.fragment, one.device, one.outgoing) for one in packets
    )
    for version, echo in ((4, ICMP), (6, ICMP6)):
        for device in ("eth0", "wg0"):
            for protocol in (echo, UDP, TCP):
                assert kinds[version, protocol, False, device, True]
        assert kinds[version, UDP, True, "eth0", True]
        assert kinds[version, echo, True, "eth0", False]
    assert kinds[4, ICMP, False, "lo", False]
    assert kinds[4, ICMP, False, "vx0", True]
    assert any(one.target_port == 8472 and one.payload[:1] == b"\x08" for one in packets)


@pytest.mark.parametrize("keep", ["all", "some", "none"])
def test_tshark_reads_the_evidence_that_is_kept(keep: str, caught: Caught, tmp_path: Path) -> None:
    file, packets, _ = caught
    times = {"all": packets, "some": packets[::3], "none": []}[keep]
    kept = {one.at for one in times}
    (tmp_path / "cut.pcap").write_bytes(cut_capture(file.read_bytes(), kept))
    lengths = ["-T", "fields", "-e", "frame.len", "-e", "frame.cap_len"]
    told = subprocess.run(
        ["tshark", "-n", "-r", tmp_path / "cut.pcap", *lengths], capture_output=True, text=True, check=True
    )
    expected = [(one.length + 20, min(one.length + 20, capture.BYTES)) for one in packets if one.at in kept]
    assert [tuple(map(int, line.split("\t"))) for line in told.stdout.splitlines()] == expected
