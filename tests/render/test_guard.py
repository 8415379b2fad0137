"""The guard as text, and what nft and packets make of it."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.cluster.fleets import cluster
from tests.network.fleets import lock_of, named, node
from wireloom.network.topology import weave
from wireloom.render.guard import REMOVE, render_guard
from wireloom.values import NodeName


def guard(**options: object) -> str:
    fleet = named("a", "b", **options)
    return render_guard(weave(fleet, lock_of(fleet)), NodeName("a"))


def test_no_guard_no_table() -> None:
    assert guard(guard=False) == ""


def test_pods_are_guarded_and_their_devices_trusted() -> None:
    text = guard(pods=["10.42.0.0/16"])
    for rule in ("ip saddr 10.42.0.0/16 counter drop", 'iifname "cni0" accept', 'oifname "flannel.1" accept'):
        assert rule in text


def test_who_is_named_is_trusted_both_ways() -> None:
    text = guard(trusted=["br-*"])
    assert ('iifname "br-*" accept' in text, 'oifname "br-*" accept' in text) == (True, True)


@pytest.mark.parametrize("options", [{}, {"ipv6": "fd42:99::/64", "trusted": ["docker0", "br-*"]}])
def test_it_can_stand_between_single_quotes_on_one_line(options: dict[str, object]) -> None:
    assert not {"'", "\n", "#", "%"} & set(guard(**options))


LOADS = {
    "IPv4": {},
    "both families, pods, wildcards": {
        "ipv6": "fd42:99::/64",
        "pods": ["10.42.0.0/16", "fd01::/56"],
        "trusted": ["docker0", "br-*"],
    },
}


@pytest.mark.lab
@pytest.mark.parametrize("options", LOADS.values(), ids=LOADS)
def test_nft_loads_it_again_and_again_and_takes_it_away(options: dict[str, object]) -> None:
    assert shutil.which("nft")
    script = (
        'nft "$1" && nft "$1" && nft -s list table inet wireloom && nft "$2" && nft "$2" && nft list tables'
    )
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, "sh", guard(**options), REMOVE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("drop") == guard(**options).count("drop")
    assert done.stdout.rstrip().endswith("}")  # of the listing: no table is left to be named after it


def closed(role: str, **options: object) -> str:
    """The ports that the guard of one machine closes."""
    fleet = cluster(node("a", "x", "192.0.2.1", role=role), node("b", "x", "192.0.2.2"), **options)
    text = render_guard(weave(fleet, lock_of(fleet)), NodeName("a"))
    found = re.search(r"chain entering \{.* tcp dport \{ (.*) \} counter drop; \};", text)
    return found[1] if found else ""


CLOSED = {
    "a server": ("k3s-server", {}, "2379, 2380, 6443, 10250"),
    "an agent": ("k3s-agent", {}, "10250"),
    "a machine outside Kubernetes": ("", {}, ""),
    "an API for all": ("k3s-server", {"public_api": True}, "2379, 2380, 10250"),
    "a database elsewhere": ("k3s-server", {"datastore": "external"}, "6443, 10250"),
    "somebody else's k3s": ("k3s-server", {"version": None}, ""),
    "no guard": ("k3s-server", {"guard": False}, ""),
}


@pytest.mark.parametrize(("role", "options", "expected"), CLOSED.values(), ids=CLOSED)
def test_ports_of_the_cluster_are_closed_outside(
    role: str, options: dict[str, object], expected: str
) -> None:
    assert closed(role, **options) == expected


# A machine, and a neighbour behind each of its interfaces: it is .1 there, the neighbour .2.
BUILD = """
mount -t tmpfs none /run/netns 2>/dev/null || { mkdir -p /run/netns && mount -t tmpfs none /run/netns; }
ip link set lo up; echo 1 > /proc/sys/net/ipv4/ip_forward
for one in eth0=192.0.2 wg0=10.99.1 cni0=10.42.1 lan0=198.51.100; do
    device=${one%=*} net=${one#*=}
    ip netns add $device; ip -n $device link set lo up
    ip link add $device type veth peer name near netns $device
    ip address add $net.1/24 dev $device; ip link set $device up
    ip -n $device address add $net.2/24 dev near; ip -n $device link set near up
    ip -n $device route add default via $net.1
done
"""

LISTEN = """
import socket, sys, time
held = [socket.create_server(("", int(port)), backlog=9) for port in sys.argv[1:]]
print("ready", flush=True)
time.sleep(300)
"""

CONNECT = """
import socket, sys
for where in sys.argv[1:]:
    host, port = where.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        print("answered", where)
    except OSError:
        print("silent", where)
"""

TRY = """
set -e
"$python" -c "$listen" 22 2379 2380 6443 10250 > /run/netns/here & here=$!
ip netns exec lan0 "$python" -c "$listen" 6443 > /run/netns/there & there=$!
trap 'kill $here $there' EXIT
for place in here there; do
    for try in $(seq 200); do grep -q ready /run/netns/$place && break; sleep 0.05; done
done
look() {
    for device in eth0 wg0 cni0; do
        net=$(ip -n $device -4 -o address show near | sed 's/.*inet \\([0-9.]*\\)[.]2.*/\\1/')
        ip netns exec $device "$python" -c "$connect" $net.1:22 $net.1:2379 $net.1:2380 $net.1:6443 \
            $net.1:10250 | sed "s/^/$device /"
    done
    "$python" -c "$connect" 192.0.2.1:6443 127.0.0.1:10250 | sed "s/^/lo /"
    ip netns exec eth0 "$python" -c "$connect" 198.51.100.2:6443 | sed "s/^/through /"
}
nft "$guard"; look > /run/netns/guarded
nft delete table inet wireloom; look > /run/netns/open
cat /run/netns/guarded; echo ===; cat /run/netns/open
"""


@pytest.mark.lab
def test_strangers_are_dropped_and_friends_let_in() -> None:
    """The control is the same without the guard: then all answer."""
    fleet = cluster(node("a", "x", "192.0.2.1", role="k3s-server"))
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", BUILD + TRY],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "python": sys.executable,
            "listen": LISTEN,
            "connect": CONNECT,
            "guard": render_guard(weave(fleet, lock_of(fleet)), NodeName("a")),
        },
    )
    assert (done.returncode, done.stderr) == (0, "")
    guarded, control = (part.split("\n") for part in done.stdout.strip().split("\n===\n"))
    assert len(control) == 3 * 5 + 2 + 1
    assert [line for line in control if "answered" not in line] == []
    silent = [line for line in guarded if "answered" not in line]
    assert silent == [f"eth0 silent 192.0.2.1:{port}" for port in (2379, 2380, 6443, 10250)]
