"""The other port as text, and what comes of packets to it."""

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.network.fleets import lock_of, named
from wireloom.lock.footing import Footing, Stance
from wireloom.network.topology import weave
from wireloom.render.guard import render_guard
from wireloom.render.hearing import find_other_port
from wireloom.values import NodeName

P, Q = 51820, 51999


def table(*, guard: bool = True) -> str:
    """Of nodes that listen on P, and hear Q."""
    fleet = named("a", "b", ipv6="fd42:99::/64", port=Q, guard=guard)
    lock = replace(lock_of(fleet), footing=Footing.of(Stance(P, fleet.underlay.ranges)))
    return render_guard(weave(fleet, lock), NodeName("a"))


@pytest.mark.parametrize("guard", [True, False])
def test_the_other_port_is_read_back_from_the_table(guard: bool) -> None:
    assert find_other_port(table(guard=guard)) == Q


def test_a_guard_alone_hears_no_other_port() -> None:
    fleet = named("a", "b")
    assert find_other_port(render_guard(weave(fleet, lock_of(fleet)), NodeName("a"))) is None


def test_without_a_guard_nothing_is_dropped() -> None:
    assert "drop" not in table(guard=False)


TALK = """
import socket, sys

def bound(family, host, port):
    one = socket.socket(family, socket.SOCK_DGRAM)
    one.settimeout(2)
    one.bind((host, port))
    return one

for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    node = bound(family, host, 51820)
    for port in (40000, 51820):
        peer = bound(family, "127.0.0.2" if host == "127.0.0.1" else "fd42::2", port)
        for dialled in (51820, 51999):
            peer.sendto(b"x" * 1000, (host, dialled))
            said, caller = node.recvfrom(2000)
            node.sendto(said, caller)
            said, source = peer.recvfrom(2000)
            print(family.name, port, dialled, caller[1], source[1], len(said))
        peer.close()
"""
"""For each family, from another port and from the node's own: dialled, heard from, answered from, bytes."""


@pytest.mark.lab
def test_who_dials_the_other_port_is_heard_and_answered_from_it() -> None:
    script = 'ip link set lo up; ip address add fd42::2/128 dev lo nodad; nft "$1"; exec "$2" -c "$3"'
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", script, "sh", table(), sys.executable, TALK],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        line
        for family in ("AF_INET", "AF_INET6")
        for line in (
            f"{family} 40000 51820 40000 51820 1000",
            f"{family} 40000 51999 40000 51999 1000",
            f"{family} 51820 51820 51820 51820 1000",
            f"{family} 51820 51999 51820 51820 1000",
        )
    ]


@pytest.mark.lab
def test_the_words_for_the_table_stay_the_same_whoever_has_called() -> None:
    """Drift is told by them."""
    script = (
        'ip link set lo up; nft "$1"; nft -s -t list table inet wireloom >/tmp/a$$;'
        " echo x >/dev/udp/127.0.0.1/51999; nft list set inet wireloom callers4 | grep -c elements;"
        " nft -s -t list table inet wireloom | cmp - /tmp/a$$; rm /tmp/a$$"
    )
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", script, "bash", table()],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
