"""The verdict must be able to fail: each sabotage falsifies the right claim and names the right nodes."""

import pytest

from tests.e2e.world import World


def claims(world: World, kind: str, verdict: str, *, expect: int = 2) -> set[tuple[str, str]]:
    evidence = world.json("verify", expect=expect)
    return {
        (claim["from"], claim["to"])
        for claim in evidence["claims"]
        if claim["claim"] == kind and claim["verdict"] == verdict
    }


def test_a_path_with_a_smaller_mtu_is_found_with_the_number_to_set(applied: World) -> None:
    narrow = {"@internet": "to-ams", "@ams": "uplink"}
    for router, link in narrow.items():
        applied.on(router, "ip", "link", "set", link, "mtu", "1400")
    evidence = applied.json("verify", expect=2)
    for router, link in narrow.items():
        applied.on(router, "ip", "link", "set", link, "mtu", "1500")
    for node in ("cp1", "w1", "cp2", "db1", "build1"):
        applied.on(node, "ip", "route", "flush", "cache")

    found = {
        (claim["from"], claim["to"]): claim["detail"]
        for claim in evidence["claims"]
        if claim["claim"] == "mtu" and claim["verdict"] == "falsified"
    }
    assert ("cp1", "db1") in found
    assert "mtu: 1340" in found["cp1", "db1"]
    assert ("cp1", "w1") not in found, "their private network is not concerned"
    assert evidence["verdict"] == "falsified"


def test_a_black_hole_is_told_from_a_filter(applied: World) -> None:
    table = "nft add table ip hole; nft add chain ip hole c '{ type filter hook prerouting priority 0; }'"
    pings = "icmp type echo-request"
    applied.shell("db1", f"{table}; nft add rule ip hole c {pings} meta length gt 1450 drop")
    assert ("cp1", "db1") in claims(applied, "mtu", "falsified")
    applied.shell(
        "db1", "nft flush table ip hole; nft add rule ip hole c iifname eth0 icmp type echo-request drop"
    )
    assert ("cp1", "db1") in claims(applied, "mtu", "unknown", expect=1)
    applied.shell("db1", "nft delete table ip hole")


def test_a_missing_peer_falsifies_its_pair_alone(applied: World) -> None:
    key = applied.on("w1", "wg", "show", "wg0", "public-key").strip()
    applied.on("db1", "wg", "set", "wg0", "peer", key, "remove")
    evidence = applied.json("verify", expect=2)
    wrong = {
        tuple(sorted((claim["from"], claim["to"])))
        for claim in evidence["claims"]
        if claim["verdict"] == "falsified"
    }
    assert wrong == {("db1", "w1")}
    applied.run("apply", "--yes")
    assert applied.settles("holds")


def test_a_wrong_way_is_found_though_the_peers_still_talk(applied: World) -> None:
    """By their public addresses instead of the private network of the site; roaming makes it stay."""
    key = applied.on("w1", "wg", "show", "wg0", "public-key").strip()
    applied.shell("cp1", f"wg set wg0 peer {key} endpoint 203.0.113.11:51820; ping -c1 -W1 10.99.0.2")

    assert claims(applied, "handshake", "falsified") == {("cp1", "w1"), ("w1", "cp1")}

    assert {change["target"] for change in applied.json("plan", expect=2)["changes"]} == {
        "peer cp1",
        "peer w1",
    }
    applied.run("apply", "--yes")
    assert applied.json("verify")["verdict"] == "holds"


def test_an_interface_that_is_gone_is_falsified_from_both_sides(applied: World) -> None:
    applied.on("db1", "ip", "link", "del", "wg0")
    answers = claims(applied, "answers", "falsified")
    assert ("cp1", "db1") in answers
    assert ("db1", "cp1") in answers
    applied.run("apply", "--yes")
    assert applied.settles("holds")


def test_a_machine_that_cannot_be_asked_is_unknown_not_good(applied: World) -> None:
    applied.shell("cp2", "kill $(cat /run/sshd/pid)")
    assert ("cp2", "cp1") in claims(applied, "answers", "unknown", expect=1)
    applied.shell("cp2", "/usr/sbin/sshd -f /run/sshd/config")


@pytest.mark.parametrize("state", ["deleted", "down"])
def test_nothing_leaves_in_clear_while_the_interface_is_away(applied: World, state: str) -> None:
    """With fence and guard gone the same packets are seen on the wire: the capture can see."""
    away = "ip link del wg0" if state == "deleted" else "ip link set wg0 down"
    back = "wg-quick up wg0" if state == "deleted" else "ip link set wg0 up"
    capture = (
        "timeout 8 tcpdump -n -i eth0 -w /tmp/seen.pcap --immediate-mode"
        " icmp and dst net 10.99.0.0/16 2>/tmp/log &"
        " while ! grep -q 'listening on' /tmp/log; do sleep 0.1; done;"
        " ping -c 3 -i 0.2 -W 1 10.99.0.3 >/dev/null 2>&1; sleep 0.5; kill $!; wait;"
        " tcpdump -n -r /tmp/seen.pcap 2>/dev/null | wc -l"
    )
    applied.shell("cp1", away)
    fenced = applied.shell("cp1", capture)
    applied.shell("cp1", "ip route del unreachable 10.99.0.0/16; nft delete table inet wireloom")
    control = applied.shell("cp1", capture)
    applied.shell("cp1", back)
    applied.run("apply", "--yes")

    assert int(control) >= 1, "the control must be seen"
    assert int(fenced) == 0
