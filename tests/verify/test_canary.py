"""Which marked packets are sent, in what words a node is told so, and what it says of them."""

import re
import shutil
import subprocess
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verify.frames import (
    ICMP,
    ICMP6,
    TCP,
    fragment,
    icmp,
    ipv4,
    ipv6,
    passes,
    tcp,
    udp,
)
from tests.verify.test_probe import DUAL, SINGLE, WAITING, peer
from wireloom.transport.port import Completed
from wireloom.values import Endpoint, NodeName
from wireloom.verify.canary import (
    MARKER_BYTES,
    MOST_PORTS,
    SIZES,
    WINDOW,
    Canary,
    Chosen,
    Passport,
    Purpose,
    beside,
    capture_filter,
    find_passport,
    inside,
    read_sent,
    said_of_failure,
    sending_script,
)

RUN = bytes.fromhex("a55a001122334455")
MARKER = RUN + b"m" * 24
CHOSEN = Chosen(RUN, 640, 50001)
KUBERNETES = [("tcp", 2379), ("tcp", 2380), ("tcp", 6443), ("tcp", 9345), ("tcp", 10250), ("udp", 8472)]
FIRST = [("icmp", 0), ("udp", 50001), ("tcp", 50001), ("user", 50001)]


def told(canaries: list[Canary]) -> list[tuple[Purpose, str, str, int, int]]:
    return [(one.purpose, str(one.address), one.protocol, one.port, one.length) for one in canaries]


def test_inside_each_address_gets_each_protocol_each_port_and_a_full_one() -> None:
    ports = [("tcp", 22), ("tcp", 6443)]
    expected = [
        (purpose, address, protocol, port, length)
        for address in ("10.99.0.2", "fd42:99::2")
        for purpose, protocol, port, length in [
            *((Purpose.INSIDE, *kind, 640) for kind in (*FIRST, ("tcp", 22), *KUBERNETES)),
            (Purpose.FULL, "icmp", 0, 1420),
        ]
    ]
    assert told(list(inside(DUAL, MARKER, CHOSEN, ports, 1420))) == expected


def test_no_more_ports_than_a_machine_bears() -> None:
    ports = [("tcp", port) for port in range(1, 1000)]
    kinds = [(one.protocol, one.port) for one in inside(SINGLE, MARKER, CHOSEN, ports, 1420)]
    assert len(kinds) == len(FIRST) + MOST_PORTS + 1
    assert kinds[4:-1] == ports[:MOST_PORTS]


FOUND = Endpoint.parse("198.51.100.7:1234")
BESIDE = {
    "found where it is dialled": (
        [("icmp", 0), ("udp", 50001), ("tcp", 50001)],
        [("2001:db8::2", 51820)],
        DUAL,
        FOUND,
    ),
    "not found": ([], [("2001:db8::2", 51820)], DUAL, None),
    "not dialled": ([("icmp", 0), ("udp", 50001), ("tcp", 50001)], [], WAITING, FOUND),
    "neither": ([], [], WAITING, None),
}


@pytest.mark.parametrize(("controls", "dials", "to", "found"), BESIDE.values(), ids=BESIDE)
def test_beside_the_tunnel(
    controls: list[tuple[str, int]], dials: list[tuple[str, int]], to: object, found: Endpoint | None
) -> None:
    assert told(list(beside(to, MARKER, CHOSEN, found))) == [
        *((Purpose.CONTROL, "198.51.100.7", *kind, 640) for kind in controls),
        *((Purpose.DIAL, address, "udp", port, 640) for address, port in dials),
    ]


NAMES = {
    "icmp": ("icmp", "icmp", 0, 0),
    "udp port 53": ("udp", "udp", 53, 0),
    "udp as user 1000": ("user", "user", 50001, 1000),
}


@pytest.mark.parametrize(("expected", "given"), NAMES.items(), ids=NAMES)
def test_a_name_for_a_person(expected: str, given: tuple[str, str, int, int]) -> None:
    _, protocol, port, user = given
    one = Canary(NodeName("b"), Purpose.INSIDE, MARKER, ip_address("10.99.0.2"), protocol, port, 640)
    assert one.name(user) == expected


def orders_of(canaries: list[Canary]) -> list[str]:
    script = sending_script(canaries)
    assert script.startswith("perl - 2 <<'CANARIES'\n")
    return script.partition("\n__END__\n")[2].removesuffix("CANARIES\n").splitlines()


def test_the_orders_are_numbers_addresses_and_hexadecimals() -> None:
    evil = peer("$(reboot)`reboot`", "10.99.0.2", "fd42:99::2")
    canaries = [*inside(evil, MARKER, CHOSEN, [("tcp", 22)], 1420), *beside(evil, MARKER, CHOSEN, FOUND)]
    orders = orders_of(canaries)
    assert len(orders) == len(canaries)
    assert orders[0] == f"0 inside {MARKER.hex()} 10.99.0.2 icmp 0 640"
    assert orders[-1] == f"{len(orders) - 1} beside {MARKER.hex()} 192.0.2.2 udp 51820 640"
    shape = re.compile(r"\d+ (inside|beside) [0-9a-f]{64} [0-9a-f.:]+ (icmp|udp|tcp|user) \d+ \d+")
    assert all(shape.fullmatch(one) for one in orders)
    assert "reboot" not in sending_script(canaries)


def test_the_program_is_perl_that_compiles() -> None:
    if shutil.which("perl") is None:
        pytest.skip("perl is not installed")
    program = sending_script([]).partition("\n")[2].removesuffix("CANARIES\n")
    done = subprocess.run(["perl", "-wc"], input=program, text=True, capture_output=True, check=False)
    assert done.stderr == "- syntax OK\n"


TWO = [
    Canary(NodeName(name), Purpose.INSIDE, RUN + name.encode() * 24, ip_address("10.99.0.2"), "icmp", 0, 640)
    for name in ("b", "c")
]


def passport(number: int, user: int = 0) -> Passport:
    return Passport(TWO[number].marker, number, user)


SENT = {
    "sent": ({passport(0): ""}, "sent 0 0\n"),
    "sent as a user": ({passport(0): "", passport(0, 1000): ""}, "sent 0 0\nsent 0 1000\n"),
    "refused": ({passport(1): "Network is unreachable"}, "refused 1 0 Network is unreachable\n"),
    "refused, and no reason": ({passport(1): "no reason given"}, "refused 1 0 \n"),
    "refused at first": ({passport(0): ""}, "refused 0 0 No buffer space available\nsent 0 0\n"),
    "refused at last": ({passport(0): ""}, "sent 0 0\nrefused 0 0 No buffer space available\n"),
    "refused twice": ({passport(0): "one"}, "refused 0 0 one\nrefused 0 0 two\n"),
    "never ordered": ({}, "sent 2 0\nsent 99999999999999999999 0\n"),
    "nothing": ({}, ""),
    "cut": ({passport(0): ""}, "sent 0 0\nsent 1"),
    "noise": ({}, "Welcome!\nsent\nsent x 0\nsent 0 x\nsent -1 0\n sent 0 0\nunsent 0 0\n"),
}


@pytest.mark.parametrize(("expected", "text"), SENT.values(), ids=SENT)
def test_what_became_of_them(expected: dict[Passport, str], text: str) -> None:
    assert read_sent(text, TWO) == expected


@given(st.text())
def test_noise_says_nothing_of_what_was_not_ordered(text: str) -> None:
    assert {one.number for one in read_sent(text, TWO)} <= {0, 1}
    assert read_sent(text, []) == {}


FAILURES = {
    "none": ("", Completed(0, "sent 0 0\n", "")),
    "no perl": (
        "no perl there: wireloom check --nodes --install",
        Completed(127, "", "sh: 3: perl: not found\n"),
    ),
    "no perl, bash": (
        "no perl there: wireloom check --nodes --install",
        Completed(127, "", "sh: line 3: perl: command not found\n"),
    ),
    "no module": (
        "the sender failed: Can't locate Socket.pm in @INC",
        Completed(2, "", "one\nCan't locate Socket.pm in @INC\n"),
    ),
    "killed": ("the sender failed: it said nothing", Completed(-1, "", "")),
}


@pytest.mark.parametrize(("expected", "answer"), FAILURES.values(), ids=FAILURES)
def test_why_the_sender_failed(expected: str, answer: Completed) -> None:
    assert said_of_failure(answer) == expected


STAMP = MARKER + (7).to_bytes(4) + (1000).to_bytes(4)
PAYLOADS = {
    "alone": (Passport(MARKER, 7, 1000), STAMP),
    "behind headers": (Passport(MARKER, 7, 1000), bytes(70) + STAMP + bytes(300)),
    "cut short": (None, bytes(70) + STAMP[:-1]),
    "its beginning only": (None, RUN),
    "another run's": (None, b"x" + STAMP[1:]),
    "nothing": (None, b""),
}


@pytest.mark.parametrize(("expected", "payload"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_mark_is_found(expected: Passport | None, payload: bytes) -> None:
    assert find_passport(payload, RUN) == expected


@given(st.binary(max_size=200))
def test_garbage_has_no_mark_or_one_of_this_run(payload: bytes) -> None:
    found = find_passport(payload, b"\0\0")
    assert found is None or found.marker.startswith(b"\0\0")


def test_markers_have_room_and_sizes_are_whole_blocks() -> None:
    """WireGuard fills up to 16 bytes: other sizes would not be told by their messages."""
    assert len(MARKER) == MARKER_BYTES
    assert all(size % 16 == 0 for size in SIZES)


# --- the filter ----------------------------------------------------------------------------------

LENGTH, FULL = 640, 1420


def sized(length: int, version: int = 4, protocol: int = 17) -> bytes:
    make, headers = (ipv4, 20) if version == 4 else (ipv6, 40)
    return make(bytes(length - headers), protocol=protocol)


KEPT = {
    "a marked one": (True, sized(LENGTH)),
    "a marked one of ipv6": (True, sized(LENGTH, 6)),
    "a marked one of tcp": (True, sized(LENGTH, protocol=TCP)),
    "its message": (True, sized(LENGTH + 60)),
    "its message over ipv6": (True, sized(LENGTH + 80, 6)),
    "within vxlan over ipv6": (True, sized(LENGTH + 70, 6)),
    "as large as the window": (True, sized(LENGTH + WINDOW)),
    "larger": (False, sized(LENGTH + WINDOW + 1)),
    "larger, ipv6": (False, sized(LENGTH + WINDOW + 1, 6)),
    "smaller": (False, sized(LENGTH - 1)),
    "smaller, ipv6": (False, sized(LENGTH - 1, 6)),
    "full": (True, sized(FULL, protocol=ICMP)),
    "full, ipv6": (True, sized(FULL, 6, protocol=ICMP6)),
    "full, of tcp": (False, sized(FULL, protocol=TCP)),
    "full, of its message": (False, sized(FULL + 60)),
    "first fragment": (True, ipv4(udp(bytes(1400)), more=True)),
    "last fragment": (True, ipv4(bytes(30), offset=1400)),
    "last fragment of tcp": (False, ipv4(bytes(30), protocol=TCP, offset=1400)),
    "fragment of ipv6": (True, ipv6(fragment(17, offset=1400) + bytes(30), protocol=44)),
    "a small ping": (False, ipv4(icmp(bytes(56)), protocol=ICMP)),
    "an acknowledgement": (False, ipv4(tcp(), protocol=TCP)),
}


@pytest.mark.parametrize(("kept", "packet"), KEPT.values(), ids=KEPT)
def test_tcpdump_keeps_what_matters(kept: bool, packet: bytes) -> None:
    assert passes(capture_filter(LENGTH, FULL), packet) is kept
