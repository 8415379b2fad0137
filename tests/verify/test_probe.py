"""The script that tests from a node."""

import os
import re
import shutil
import subprocess
from ipaddress import ip_address, ip_network

import pytest

from tests.apply.pair import OTHER_KEY
from tests.apply.sandbox import sandbox
from wireloom.network.network import Peer
from wireloom.values import Endpoint, NodeName
from wireloom.verify.judge import read_report
from wireloom.verify.probe import PARALLEL, full_payload, parse_ping, probe_script


def peer(name: str, *addresses: str, endpoint: str | None = "192.0.2.2:51820") -> Peer:
    where = Endpoint.parse(endpoint) if endpoint else None
    return Peer(NodeName(name), OTHER_KEY, where, tuple(ip_network(one) for one in addresses))


DUAL = peer("b", "10.99.0.2", "fd42:99::2", endpoint="[2001:db8::2]:51820")
SINGLE = peer("c", "10.99.0.3")
WAITING = peer("d", "10.99.0.4", endpoint=None)


@pytest.mark.parametrize(
    ("packet", "address", "mtu"),
    [(1500, "192.0.2.2", 1440), (1480, "192.0.2.2", 1420), (1500, "2001:db8::2", 1420)],
)
def test_a_full_probe_is_as_large_as_the_tunnels_own_packets(packet: int, address: str, mtu: int) -> None:
    """Headers: 20 or 40 bytes of IP, 8 of ICMP; WireGuard's own are 60 or 80 with the IP header."""
    headers = {4: 20, 6: 40}[ip_address(address).version] + 8
    assert packet == full_payload(ip_address(address), mtu) + headers


def test_each_address_and_each_endpoint_is_tested() -> None:
    script = probe_script("wg0", 1420, [DUAL, SINGLE, WAITING])
    assert re.findall(r"^(?:probe|large) .*(?= &$)", script, re.MULTILINE) == [
        "probe ping 0 '-c 3 10.99.0.2'",
        "probe ping 0 '-c 3 fd42:99::2'",
        "probe full 0 '-c 2 -M do -s 1452 2001:db8::2'",
        "probe small 0 '-c 2 -s 56 2001:db8::2'",
        "large 0 2001:db8::2 1500 48",
        "probe ping 1 '-c 3 10.99.0.3'",
        "probe full 1 '-c 2 -M do -s 1452 192.0.2.2'",
        "probe small 1 '-c 2 -s 56 192.0.2.2'",
        "large 1 192.0.2.2 1480 28",
        "probe ping 2 '-c 3 10.99.0.4'",
    ]


def test_no_name_gets_into_the_script() -> None:
    assert "$(reboot)" not in probe_script("wg0", 1420, [peer("$(reboot)", "10.99.0.2")])


def test_no_more_run_side_by_side_than_a_machine_bears() -> None:
    script = probe_script("wg0", 1420, [peer(f"n{n}", f"10.99.1.{n}") for n in range(100)])
    batches = script.split("\nwait\n")
    assert max(batch.count(" &\n") + batch.endswith(" &") for batch in batches) == PARALLEL


def test_shellcheck_has_nothing_to_say_but_that_words_are_split_on_purpose() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    script = probe_script("wg0", 1420, [DUAL, SINGLE, WAITING])
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "--exclude=SC2086", "-"],
        input=script,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.stdout == ""


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_run_for_real_it_reports_pings_peers_and_the_time_and_no_secret() -> None:
    """Machine `a` and `b`, and between `b` and the endpoint a path too small for full packets."""
    with sandbox() as a, sandbox() as b:
        a.link(b, "192.0.2.1/24", "192.0.2.2/24")
        b.ask("ip address add 10.99.0.2/32 dev lo; ip link set eth0 mtu 1400")
        a.ask("ip route add 10.99.0.2 via 192.0.2.2")
        secret = a.ask("umask 077; wg genkey | tee /run/key")
        shared = a.ask("umask 077; wg genpsk | tee /run/psk")
        a.ask("wireguard-go wg0 2>/dev/null || ip link add wg0 type wireguard")
        a.ask(f"wg set wg0 private-key /run/key peer {OTHER_KEY} preshared-key /run/psk")
        a.ask("ip link set eth0 mtu 1400")
        done = a.sh(probe_script("wg0", 1440, [peer("b", "10.99.0.2"), peer("c", "10.99.0.3")]))
    report = read_report(done.stdout)
    assert parse_ping(report.pings["ping", 0][0]).received == 3
    assert report.pings["ping", 0][0].startswith("astray eth0 ")
    assert "Network is unreachable" in report.pings["ping", 1][0]
    assert parse_ping(report.pings["full", 0][0]).too_long == 1400
    assert parse_ping(report.pings["small", 0][0]).received == 2
    assert list(report.peers) == [OTHER_KEY]
    assert report.now > 1_700_000_000
    assert not report.garbled
    assert secret not in done.stdout + done.stderr
    assert shared not in done.stdout + done.stderr


NEWER_PING = r"""#!/bin/sh
/usr/bin/ping "$@" 2>&1 | sed 's/local error: message too long.*/sendmsg: Message too long/'
"""


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_what_the_path_has_room_for_is_told_where_ping_does_not_say_it() -> None:
    """Once by the device on the way, and once by what a router has told before."""
    with sandbox() as a, sandbox() as b:
        a.link(b, "192.0.2.1/24", "192.0.2.2/24")
        a.ask(f"mkdir /run/newer; cat >/run/newer/ping <<'END'\n{NEWER_PING}END\nchmod 755 /run/newer/ping")
        script = "PATH=/run/newer:$PATH\n" + probe_script("wg0", 1440, [peer("b", "10.99.0.2")])
        a.ask("ip link set eth0 mtu 1400")
        of_the_device = read_report(a.sh(script).stdout).pings["full", 0][0]
        a.ask("ip link set eth0 mtu 1500; ip route add 192.0.2.2/32 dev eth0 mtu lock 1300")
        of_the_route = read_report(a.sh(script).stdout).pings["full", 0][0]
    assert "sendmsg: Message too long" in of_the_device
    assert parse_ping(of_the_device).too_long == 1400
    assert parse_ping(of_the_route).too_long == 1300
