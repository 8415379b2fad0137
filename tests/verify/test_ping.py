"""What ping(8) says, as recorded from iputils 20221126 (busybox: by hand), and what it comes to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireloom.verify.probe import PingSeen, parse_ping

ANSWERED = """\
PING 192.0.2.2 (192.0.2.2) 56(84) bytes of data.
64 bytes from 192.0.2.2: icmp_seq=1 ttl=64 time=0.051 ms
64 bytes from 192.0.2.2: icmp_seq=2 ttl=64 time=0.056 ms
64 bytes from 192.0.2.2: icmp_seq=3 ttl=64 time=0.052 ms

--- 192.0.2.2 ping statistics ---
3 packets transmitted, 3 received, 0% packet loss, time 636ms
rtt min/avg/max/mdev = 0.051/0.053/0.056/0.002 ms
"""
TOO_LONG_HERE = """\
PING 192.0.2.2 (192.0.2.2) 1472(1500) bytes of data.
ping: local error: message too long, mtu=1300
ping: local error: message too long, mtu=1300

--- 192.0.2.2 ping statistics ---
2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 306ms

"""
TOO_LONG_THERE = """\
PING 198.51.100.7 (198.51.100.7) 1472(1500) bytes of data.
From 192.0.2.2 icmp_seq=1 Frag needed and DF set (mtu = 1400)
ping: local error: message too long, mtu=1400

--- 198.51.100.7 ping statistics ---
2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 315ms

"""
TOO_BIG_THERE = """\
PING 2001:db8:1::7(2001:db8:1::7) 1452 data bytes
From 2001:db8::2 icmp_seq=1 Packet too big: mtu=1400
ping: local error: message too long, mtu: 1400

--- 2001:db8:1::7 ping statistics ---
2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 329ms

"""
TOO_BIG_HERE = """\
PING 2001:db8:1::7(2001:db8:1::7) 1452 data bytes
ping: local error: message too long, mtu: 1400

--- 2001:db8:1::7 ping statistics ---
1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms

"""
SILENCE = """\
PING 192.0.2.77 (192.0.2.77) 56(84) bytes of data.

--- 192.0.2.77 ping statistics ---
3 packets transmitted, 0 received, 100% packet loss, time 635ms

"""
NOBODY_THERE = """\
PING 192.0.2.77 (192.0.2.77) 56(84) bytes of data.
From 192.0.2.1 icmp_seq=1 Destination Host Unreachable

--- 192.0.2.77 ping statistics ---
3 packets transmitted, 0 received, +1 errors, 100% packet loss, time 635ms
pipe 2
"""
NO_SESSION = """\
PING 10.99.0.2 (10.99.0.2) 56(84) bytes of data.
From 10.99.0.1 icmp_seq=1 Destination Host Unreachable
ping: sendmsg: Required key not available

--- 10.99.0.2 ping statistics ---
3 packets transmitted, 0 received, +1 errors, 100% packet loss, time 612ms
"""
DOUBLED = """\
--- 192.0.2.2 ping statistics ---
3 packets transmitted, 3 received, +1 duplicates, 0% packet loss, time 2003ms
rtt min/avg/max/mdev = 10.041/20.044/30.049/0.003 ms
"""
BUSYBOX = """\
PING 192.0.2.2 (192.0.2.2): 56 data bytes

--- 192.0.2.2 ping statistics ---
3 packets transmitted, 2 packets received, 33% packet loss
round-trip min/avg/max = 0.061/0.071/0.081 ms
"""
BUSYBOX_TOO_LONG = """\
PING 192.0.2.2 (192.0.2.2): 1472 data bytes
ping: sendto: Message too long
"""

TOO_LONG_OF_2024 = """\
PING 203.0.113.2 (203.0.113.2) 1472(1500) bytes of data.
ping: sendmsg: Message too long
ping: sendmsg: Message too long
ping: sendmsg: Message too long

--- 203.0.113.2 ping statistics ---
3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 646ms

"""

SUMMARIES = {
    "all answered": (PingSeen(3, 3, 0.053, None), ANSWERED),
    "nothing answered": (PingSeen(3, 0, None, None), SILENCE),
    "nobody there": (PingSeen(3, 0, None, None), NOBODY_THERE),
    "no key for the peer": (PingSeen(3, 0, None, None), NO_SESSION),
    "answered twice": (PingSeen(3, 3, 20.044, None), DOUBLED),
    "too long for the own interface": (PingSeen(2, 0, None, 1300), TOO_LONG_HERE),
    "too long for a router": (PingSeen(2, 0, None, 1400), TOO_LONG_THERE),
    "too big for the own IPv6 route": (PingSeen(1, 0, None, 1400), TOO_BIG_HERE),
    "too big for an IPv6 router": (PingSeen(2, 0, None, 1400), TOO_BIG_THERE),
    "busybox, one lost": (PingSeen(3, 2, 0.071, None), BUSYBOX),
    "busybox, too long": (PingSeen(0, 0, None, 0), BUSYBOX_TOO_LONG),
    "busybox, and what its route has room for": (PingSeen(0, 0, None, 1400), f"{BUSYBOX_TOO_LONG} mtu=1400"),
    "too long for an iputils of 2024": (PingSeen(3, 0, None, 1400), f"{TOO_LONG_OF_2024} mtu=1400"),
}
NO_SUMMARY = {
    "no network": "ping: connect: Network is unreachable",
    "the fence": "ping: connect: No route to host",
    "unknown host": "ping: nix.invalid: Temporary failure in name resolution",
    "not allowed": "ping: socktype: SOCK_RAW\nping: socket: Operation not permitted",
    "not allowed, older": "ping: icmp open socket: Permission denied",
    "not there": "sh: 1: ping: not found",
    "cut": "3 packets transmitted, 3 rece",
}


@pytest.mark.parametrize(("expected", "text"), SUMMARIES.values(), ids=SUMMARIES)
def test_a_summary_is_read(expected: PingSeen, text: str) -> None:
    assert expected == parse_ping(text)


@pytest.mark.parametrize(("expected", "text"), SUMMARIES.values(), ids=SUMMARIES)
def test_a_summary_is_read_on_one_line_as_the_probe_sends_it(expected: PingSeen, text: str) -> None:
    assert expected == parse_ping(text.replace("\n", " "))


@pytest.mark.parametrize("text", NO_SUMMARY.values(), ids=NO_SUMMARY)
def test_what_is_no_summary_is_told_as_it_is(text: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_ping(text)
    assert str(raised.value) == text


def test_nothing_at_all_is_said_to_be_nothing() -> None:
    with pytest.raises(ValueError, match="ping said nothing"):
        parse_ping(" \n")


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    try:
        seen = parse_ping(text)
    except ValueError:
        return
    assert seen.received >= 0
