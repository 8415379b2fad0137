# ruff: noqa: E501 - a line of a file stays a line
"""The bytes of wg-quick files, and that wg reads them."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.network.fleets import PLACES, lock_of, make_fleet, named, node
from tests.network.test_topology import fleets
from wireloom.intent.fleet import Fleet
from wireloom.network.network import Network
from wireloom.network.topology import weave
from wireloom.render.desired import ConfigFile, network_digest, render_node
from wireloom.render.wg_quick import render_files
from wireloom.secret import PrivateKey
from wireloom.values import NodeName

A = NodeName("a")


def woven(fleet: Fleet, **options: object) -> Network:
    return weave(fleet, lock_of(fleet, **options))  # type: ignore[arg-type]


TEXTS = {
    "IPv4": (
        make_fleet(node("a", "x", "192.0.2.1"), node("b", "y", "192.0.2.2")),
        """\
# Written by wireloom for a, a node of the fleet shop: change fleet.yaml, not this file.
[Interface]
Address = 10.99.0.1/16
ListenPort = 51820
MTU = 1440
Table = off
PreUp = nft 'add table inet wireloom; delete table inet wireloom; table inet wireloom { chain arriving { type filter hook prerouting priority -300; iifname "wg0" accept; iifname "lo" accept; ip saddr 10.99.0.0/16 counter drop; ip daddr 10.99.0.0/16 counter drop; udp dport 8472 counter drop; }; chain leaving { type filter hook postrouting priority 0; oifname "wg0" accept; oifname "lo" accept; ip daddr 10.99.0.0/16 counter drop; udp dport 8472 counter drop; }; }'
PreUp = ip route replace unreachable 10.99.0.0/16 metric 4000000

[Peer]
# b
PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=
AllowedIPs = 10.99.0.2/32
Endpoint = 192.0.2.2:51820
""",
    ),
    "IPv6": (
        make_fleet(
            node("a", "x", "2001:db8::1"),
            node("b", "y", "2001:db8::2"),
            ipv4=None,
            ipv6="fd42:99::/64",
            guard=False,
        ),
        """\
# Written by wireloom for a, a node of the fleet shop: change fleet.yaml, not this file.
[Interface]
Address = fd42:99::1/64
ListenPort = 51820
MTU = 1420
Table = off
PreUp = ip -6 route replace unreachable fd42:99::/64 metric 4000000
PostUp = echo 1 > /proc/sys/net/ipv6/conf/%i/keep_addr_on_down

[Peer]
# b
PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=
AllowedIPs = fd42:99::2/128
Endpoint = [2001:db8::2]:51820
""",
    ),
    "both, pods, a node behind NAT, one without a key": (
        make_fleet(
            node("a", "n", "", "192.168.0.1", nat=True),
            node("b", "y", "192.0.2.2"),
            node("c", "n", "", "192.168.0.3", nat=True),
            node("keyless", "y", "192.0.2.3"),
            ipv6="fd42:99::/64",
            mtu=1300,
            pods=["10.42.0.0/16", "fd01::/56"],
            guard=False,
        ),
        """\
# Written by wireloom for a, a node of the fleet shop: change fleet.yaml, not this file.
[Interface]
Address = 10.99.0.1/16, fd42:99::1/64
ListenPort = 51820
MTU = 1300
Table = off
PreUp = ip route replace unreachable 10.99.0.0/16 metric 4000000
PreUp = ip -6 route replace unreachable fd42:99::/64 metric 4000000
PreUp = ip route replace unreachable 10.42.0.0/16 metric 4000000
PreUp = ip -6 route replace unreachable fd01::/56 metric 4000000
PostUp = echo 1 > /proc/sys/net/ipv6/conf/%i/keep_addr_on_down

[Peer]
# b
PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=
AllowedIPs = 10.99.0.2/32, fd42:99::2/128
Endpoint = 192.0.2.2:51820
PersistentKeepalive = 25

[Peer]
# c
PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAM=
AllowedIPs = 10.99.0.3/32, fd42:99::3/128
Endpoint = 192.168.0.3:51820
""",
    ),
    "waits for who is behind NAT": (
        make_fleet(node("a", "x", "192.0.2.1"), node("b", "n", nat=True), guard=False),
        """\
# Written by wireloom for a, a node of the fleet shop: change fleet.yaml, not this file.
[Interface]
Address = 10.99.0.1/16
ListenPort = 51820
MTU = 1440
Table = off
PreUp = ip route replace unreachable 10.99.0.0/16 metric 4000000

[Peer]
# b
PublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=
AllowedIPs = 10.99.0.2/32
""",
    ),
    "alone": (
        make_fleet(node("a", "x", "192.0.2.1"), guard=False),
        """\
# Written by wireloom for a, a node of the fleet shop: change fleet.yaml, not this file.
[Interface]
Address = 10.99.0.1/16
ListenPort = 51820
MTU = 1440
Table = off
PreUp = ip route replace unreachable 10.99.0.0/16 metric 4000000
""",
    ),
}


@pytest.mark.parametrize(("fleet", "expected"), TEXTS.values(), ids=TEXTS)
def test_the_bytes_of_a_file(fleet: Fleet, expected: str) -> None:
    assert expected == render_node(woven(fleet, keyless=["keyless"]), A).config.keyless


@given(fleets())
@settings(max_examples=60)
def test_all_files_at_once_are_the_files_one_by_one(fleet: Fleet) -> None:
    network = woven(fleet, keyless=list(fleet.nodes)[:2])
    at_once = {name: head + "".join(body) for name, head, body in render_files(network)}
    assert {name: render_node(network, name).config.keyless for name in network.members} == at_once


@given(fleets())
@settings(max_examples=30)
def test_the_same_network_gives_the_same_bytes(fleet: Fleet) -> None:
    assert network_digest(woven(fleet)) == network_digest(woven(fleet))


def test_the_digest_of_a_file_is_what_sha256sum_says() -> None:
    config = render_node(woven(named("a", "b")), A).config
    assert hashlib.sha256((config.head + config.body).encode()).hexdigest() == config.digest


BASE = named("a", "b")
OTHERS = {
    "a port": replace(BASE, underlay=replace(BASE.underlay, port=4500)),
    "an MTU": named("a", "b", mtu=1300),
    "a range": named("a", "b", ipv4="10.99.0.0/24"),
    "a node": named("a", "b", "c"),
    "a name": named("a", "d"),
    "the name of the fleet": named("a", "b", name="store"),
    "pods": named("a", "b", pods=["10.42.0.0/16"]),
    "no guard": named("a", "b", guard=False),
    "a trusted interface": named("a", "b", trusted=["docker0"]),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_network_has_another_digest(other: Fleet) -> None:
    assert network_digest(woven(BASE)) != network_digest(woven(other))


def test_a_key_changes_the_digest() -> None:
    assert network_digest(woven(BASE)) != network_digest(woven(BASE, keyless=["b"]))


def test_a_bare_file_is_the_head_alone() -> None:
    desired = render_node(woven(BASE), A)
    assert ConfigFile("/etc/wireguard/wg0.conf", desired.config.head, "") == desired.bare_config


def test_no_file_has_a_private_key() -> None:
    network = woven(make_fleet(*PLACES, ipv6="fd42::/64"))
    assert not [name for name in network.members if "PrivateKey" in render_node(network, name).config.keyless]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("wg-quick"), reason="wg-quick must run as root")
@pytest.mark.parametrize("fleet", [fleet for fleet, _ in TEXTS.values()], ids=list(TEXTS))
def test_wg_reads_what_is_rendered(fleet: Fleet, tmp_path: Path) -> None:
    """``wg setconf`` reads its file before it looks for the interface, whose name here can't exist."""
    config = render_node(woven(fleet, keyless=["keyless"]), A).config
    path = tmp_path / "wg0.conf"
    path.touch(mode=0o600)
    path.write_text(f"{config.head}PrivateKey = {PrivateKey.make().reveal()}\n{config.body}")
    stripped = subprocess.run(["wg-quick", "strip", str(path)], capture_output=True, check=True)
    said = subprocess.run(
        ["wg", "setconf", "wireloom-no-such", "/dev/stdin"],
        input=stripped.stdout,
        capture_output=True,
        check=False,
    )
    assert b"Unable to modify interface" in said.stderr
