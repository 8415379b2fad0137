"""The sender and the capture as programs, on two machines with cables between them."""

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from tests.apply.sandbox import Sandbox
from tests.verify.frames import ICMP, ICMP6, TCP, UDP
from tests.verify.pair import PLACE, Held, completed, holding, left, pair
from tests.verify.pair import RUN as CAPTURE
from wireloom.values import NodeName
from wireloom.verify import capture
from wireloom.verify.canary import (
    ROUNDS,
    Canary,
    Passport,
    Purpose,
    find_passport,
    read_sent,
    said_of_failure,
    sending_script,
)
from wireloom.verify.packets import Packet, count_frames, read_capture

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

B = NodeName("b")
RUN = bytes(range(100, 108))
PORT = 50001
KINDS = [("icmp", 0), ("udp", PORT), ("tcp", PORT), ("tcp", 6443), ("udp", 8472)]
INSIDE = ["10.99.0.2", "fd42:99::2"]
BESIDE = ["192.0.2.2", "2001:db8::2"]
PROTOCOLS = {("icmp", 4): ICMP, ("icmp", 6): ICMP6, ("udp", 4): UDP, ("udp", 6): UDP} | {
    ("tcp", 4): TCP,
    ("tcp", 6): TCP,
}
ADDRESS_OF_A = {"10.99.0.2": "10.99.0.1", "fd42:99::2": "fd42:99::1", "192.0.2.2": "192.0.2.1"} | {
    "2001:db8::2": "2001:db8::1"
}


@pytest.fixture(scope="module")
def machines() -> Iterator[tuple[Sandbox, Sandbox]]:
    with pair() as made:
        yield made


@pytest.fixture
def a(machines: tuple[Sandbox, Sandbox]) -> Sandbox:
    return machines[0]


@pytest.fixture
def b(machines: tuple[Sandbox, Sandbox]) -> Sandbox:
    return machines[1]


def canary(purpose: Purpose, address: str, protocol: str, port: int, length: int = 640) -> Canary:
    marker = RUN + bytes([1 if purpose.way == "inside" else 2]) * 24
    return Canary(B, purpose, marker, ip_address(address), protocol, port, length)


ORDERS = [
    *(canary(Purpose.INSIDE, address, *kind) for address in INSIDE for kind in KINDS),
    *(canary(Purpose.FULL, address, "icmp", 0, 1420) for address in INSIDE),
    *(canary(Purpose.CONTROL, address, *kind) for address in BESIDE for kind in KINDS),
]


# --- the sender ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sent(machines: tuple[Sandbox, Sandbox]) -> dict[Passport, list[Packet]]:
    """What was captured of every order on its sender, by what marks it; echo replies left out."""
    a, _ = machines
    with holding(a) as held:
        around = held.await_ready()
        told = completed(a, sending_script(ORDERS))
        data, fault = capture.unpack(held.end())
    assert (said_of_failure(told), fault) == ("", "")
    assert set(read_sent(told.stdout, ORDERS).values()) == {""}
    assert len(read_sent(told.stdout, ORDERS)) == len(ORDERS)
    found: dict[Passport, list[Packet]] = {}
    for packet in read_capture(data, around.devices):
        passport = find_passport(packet.payload, RUN)
        if passport is not None and packet.outgoing:
            found.setdefault(passport, []).append(packet)
    return found


@pytest.mark.parametrize("number", range(len(ORDERS)))
def test_an_order_is_sent_as_it_stands(number: int, sent: dict[Passport, list[Packet]]) -> None:
    order = ORDERS[number]
    expected = (
        "wg0" if order.purpose.way == "inside" else "eth0",
        ip_address(ADDRESS_OF_A[str(order.address)]),
        order.address,
        PROTOCOLS[order.protocol, order.address.version],
        order.port,
        order.length,
        False,
    )
    found = sent[Passport(order.marker, number, 0)]
    assert [
        (one.device, one.source, one.target, one.protocol, one.target_port, one.length, one.fragment)
        for one in found
    ] == [expected] * ROUNDS


LISTENER = """
import socket, sys
listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
listener.bind(("::", int(sys.argv[1])))
listener.settimeout(2)
print("ready", flush=True)
heard = 0
try:
    while listener.recv(2000):
        heard += 1
except TimeoutError:
    print(heard)
"""


@pytest.mark.parametrize("address", INSIDE + BESIDE)
def test_checksums_are_wrong_inside_and_right_beside(address: str, a: Sandbox, b: Sandbox) -> None:
    """Told by who gets it: the kernel answers, and a service hears, only what has a right one."""
    purpose = Purpose.INSIDE if address in INSIDE else Purpose.CONTROL
    orders = [canary(purpose, address, "udp", PORT), canary(purpose, address, "tcp", PORT)]
    process = subprocess.Popen(
        ["nsenter", "-t", str(b.pid), "-n", "--", "python3", "-c", LISTENER, str(PORT)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    with holding(a) as held:
        around = held.await_ready()
        a.ask(sending_script(orders))
        data, _ = capture.unpack(held.end())
    heard = int(process.communicate(timeout=30)[0])
    resets = [one for one in read_capture(data, around.devices) if one.protocol == TCP and not one.outgoing]
    right = address in BESIDE
    assert heard == (ROUNDS if right else 0)
    assert len(resets) == (ROUNDS if right else 0)


def test_packets_are_sent_as_every_user_who_runs_something(a: Sandbox) -> None:
    a.ask("nft 'table inet t { chain c { type filter hook output priority 0; meta skuid 1234 counter; }; }'")
    users = (1234, 5678)
    as_each = (f"setpriv --reuid {user} --clear-groups sleep 30 >&- 2>&- & echo $!" for user in users)
    sleepers = a.ask("\n".join(as_each)).split()
    order = canary(Purpose.INSIDE, "10.99.0.2", "user", PORT)
    with holding(a, "ip or ip6") as held:
        around = held.await_ready()
        told = read_sent(a.ask(sending_script([order])), [order])
        data, _ = capture.unpack(held.end())
    counted = a.ask(f"nft list table inet t; nft delete table inet t; kill {' '.join(sleepers)}")
    seen = Counter(
        passport.user
        for one in read_capture(data, around.devices)
        if one.outgoing and (passport := find_passport(one.payload, RUN))
    )
    assert {passport.user: why for passport, why in told.items()} == dict.fromkeys(users, "")
    assert seen == dict.fromkeys(users, ROUNDS)
    assert f"packets {ROUNDS} " in counted


REFUSALS = {
    "no way there": ("Network is unreachable", "203.0.113.9", ":", ":"),
    "a fence": (
        "No route to host",
        "10.99.0.2",
        "ip route replace unreachable 10.99.0.2",
        "ip route del unreachable 10.99.0.2",
    ),
    "a firewall": (
        "Operation not permitted",
        "10.99.0.2",
        "nft 'table inet t { chain c { type filter hook output priority 0; ip daddr 10.99.0.2 drop; }; }'",
        "nft delete table inet t",
    ),
}


@pytest.mark.parametrize(("why", "address", "spoil", "mend"), REFUSALS.values(), ids=REFUSALS)
def test_what_the_kernel_refuses_is_told(why: str, address: str, spoil: str, mend: str, a: Sandbox) -> None:
    orders = [canary(Purpose.INSIDE, address, *kind) for kind in KINDS]
    a.ask(spoil)
    told = completed(a, sending_script(orders))
    a.ask(mend)
    assert said_of_failure(told) == ""
    assert set(read_sent(told.stdout, orders).values()) == {why}
    assert len(read_sent(told.stdout, orders)) == len(orders)


def test_without_perl_one_is_told_what_mends_it(a: Sandbox) -> None:
    told = completed(a, f"PATH=/nowhere\n{sending_script(ORDERS[:1])}")
    assert said_of_failure(told) == "no perl there: wireloom check --nodes --install"


# --- the capture ---------------------------------------------------------------------------------


def catches(a: Sandbox, held: Held) -> int:
    """Send one packet beside the tunnel, end the capture: how many frames it has."""
    a.ask(sending_script([canary(Purpose.CONTROL, "192.0.2.2", "icmp", 0)]))
    data, fault = capture.unpack(held.end())
    assert not fault
    return count_frames(data)


def test_a_capture_begins_catches_ends_and_leaves_nothing(a: Sandbox) -> None:
    with holding(a) as held:
        around = held.await_ready()
        assert around.listening
        assert {"lo", "eth0", "wg0"} <= set(around.devices.values())
        assert catches(a, held) >= 2 * ROUNDS
    assert left(a) == ""


def test_a_capture_that_nobody_ends_ends_by_its_clock(a: Sandbox) -> None:
    with holding(a, seconds=2) as held:
        assert held.await_ready().listening
        _, fault = capture.unpack(held.answer())
    assert fault == "tcpdump ended too early: out of time, or killed"
    assert left(a) == ""


def test_a_capture_ends_with_its_process_group(a: Sandbox) -> None:
    """As a transport ends a script that takes too long, or that nobody wants any more."""
    with holding(a) as held:
        assert held.await_ready().listening
        group = a.ask('ps -eo pgid=,args= | awk \'$2 == "dash" && $3 == "-s" { print $1 }\' | head -1')
        a.ask(f"kill -TERM -{group}")
        held.process.wait(timeout=20)
    assert left(a) == ""


def test_a_capture_whose_reader_is_gone_leaves_nothing(a: Sandbox) -> None:
    with holding(a, seconds=2) as held:
        assert held.await_ready().listening
        assert held.process.stdout is not None
        held.process.stdout.close()
        assert held.process.stderr is not None
        held.process.stderr.close()
        held.process.wait(timeout=20)
        held.process.stdout = held.process.stderr = None
    assert left(a) == ""


@pytest.mark.parametrize("name", ["TERM", "KILL", "INT"])
def test_a_tcpdump_that_is_killed_is_a_fault(name: str, a: Sandbox) -> None:
    with holding(a) as held:
        assert held.await_ready().listening
        a.ask(f"kill -{name} $(pgrep -P $(cat {PLACE}/catcher))")
        answer = held.answer()
        a.ask(capture.end(CAPTURE))  # somebody who does not know it yet tells it that it is enough
    assert capture.unpack(answer)[1] == "tcpdump ended too early: out of time, or killed"
    assert left(a) == ""


def test_no_directory_for_the_capture(a: Sandbox) -> None:
    a.ask("rm -rf /run/wireloom; : >/run/wireloom")
    try:
        with holding(a) as held:
            _, fault = capture.unpack(held.answer())
    finally:
        a.ask("rm -f /run/wireloom")
    assert fault.startswith("the capture did not come to its end: mkdir: cannot create directory")
    assert left(a) == ""


def test_a_full_disk_is_a_fault(a: Sandbox) -> None:
    a.ask("mkdir -p /run/wireloom && mount -t tmpfs -o size=64k small /run/wireloom")
    order = canary(Purpose.CONTROL, "192.0.2.2", "icmp", 0)
    try:
        with holding(a) as held:
            assert held.await_ready().listening
            a.ask(sending_script([order] * 200))
            _, fault = capture.unpack(held.end())
    finally:
        a.ask("umount /run/wireloom")
    assert "captured" in fault or "No space left" in fault
    assert left(a) == ""


STAND_INS = {
    "an old one": (
        "tcpdump ended too early: LINUX_SLL2 is not one of the DLTs supported by this device"
        " (it needs libpcap 1.10)",
        "echo 'tcpdump: LINUX_SLL2 is not one of the DLTs supported by this device' >&2; exit 1",
    ),
    "none": ("no tcpdump there: wireloom check --nodes --install", None),
    "one that may not": (
        "tcpdump ended too early: any: You don't have permission to perform this capture on that device",
        'echo "tcpdump: any: You don\'t have permission to perform this capture on that device" >&2; exit 1',
    ),
    "one of another link type": (
        "a capture of link type 113, not of all interfaces",
        'for w; do [ "$w" = LINUX_SLL2 ] && w=LINUX_SLL; set -- "$@" "$w"; shift; done; exec "$real" "$@"',
    ),
    "one that writes nothing": (
        "tcpdump left no capture",
        "echo 'tcpdump: listening on any' >&2; trap 'exit 0' INT; while :; do sleep 0.1; done",
    ),
    "one that writes nonsense": (
        "not a capture",
        'while [ $# -gt 1 ]; do [ "$1" = -w ] && echo nonsense >"$2"; shift; done\n'
        "echo 'tcpdump: listening on any' >&2\n"
        'trap \'echo "0 packets captured" >&2; echo "0 packets dropped by kernel" >&2; exit 0\' INT\n'
        "while :; do sleep 0.1; done",
    ),
}


@pytest.mark.parametrize(("fault", "script"), STAND_INS.values(), ids=STAND_INS)
def test_another_tcpdump_is_a_fault(fault: str, script: str | None, a: Sandbox) -> None:
    with holding(a, before=stand_in(a, script)) as held:
        if script is not None and "exit 1" not in script:
            held.await_ready()
            answer = held.end()
        else:
            answer = held.answer()
    assert capture.unpack(answer)[1] == fault
    assert left(a) == ""


def stand_in(machine: Sandbox, script: str | None) -> str:
    """Shell that puts another tcpdump, or none, before the real one on PATH; ``$real`` is that."""
    machine.ask(
        "rm -rf /run/bin; mkdir /run/bin; for c in mkdir rm sed gzip base64 timeout sleep cat sh"
        " grep; do ln -s $(command -v $c) /run/bin; done"
    )
    if script is not None:
        real = machine.ask("command -v tcpdump")
        machine.ask(
            f"cat >/run/bin/tcpdump <<'END'\n#!/bin/sh\nreal={real}\n{script}\nEND\nchmod +x /run/bin/tcpdump"
        )
    return "PATH=/run/bin"
