"""New keys on all machines of a lab, while packets go on between them; and what may come in between."""

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.world import HOSTS
from tests.faults.world import Mesh
from wireloom.values import NodeName

ADDRESSES = {name: f"10.99.0.{host}" for name, host in HOSTS.items()}
PAIRS = (("cp1", "w1"), ("w1", "cp2"), ("cp2", "cp1"), ("db1", "cp1"), ("build1", "db1"), ("cp2", "build1"))
STAND_IN = "wg0-turn"
WINDOW = 10
"""Seconds: what waits for an operator who is no more is undone then; and who is not must not be too slow."""
BRIEF = ("--confirm-within", f"{WINDOW}s", "--yes")

LEFT = f"""
ls /etc/wireguard /var/lib/wireloom | grep -e turn -e rekeyed
ip -o link show dev {STAND_IN} 2>/dev/null
ip route show table all | grep {STAND_IN}
nft list ruleset | grep {STAND_IN}
ip route show table all | grep 198[.]1
true
"""
"""Shell: prints all that a rotation must not leave behind."""


def keys(mesh: Mesh) -> dict[str, str]:
    return {name: mesh.on(name, "wg show wg0 public-key").strip() for name in HOSTS}


def inside(mesh: Mesh, node: str, script: str) -> list[str]:
    return ["nsenter", "-t", str(mesh.machines[NodeName(node)]), "-m", "-n", "-p", "--", "sh", "-c", script]


@contextmanager
def pinging(
    mesh: Mesh, addresses: dict[str, str] = ADDRESSES, pairs: tuple[tuple[str, str], ...] = PAIRS
) -> Iterator[dict[str, int]]:
    """100 packets a second between these, as long as the block lasts; then, of each pair, how many were lost.

    The last one may be on its way when ping is told to end, and counts for nothing.
    """
    running = {
        (source, to): subprocess.Popen(
            inside(mesh, source, f"echo $$ >/run/{to}.pid; exec ping -n -i 0.01 -w 170 {addresses[to]}"),
            stdout=subprocess.PIPE,
            text=True,
        )
        for source, to in pairs
    }
    lost: dict[str, int] = {}
    try:
        yield lost
    finally:
        for source, to in pairs:
            mesh.on(source, f"kill -INT $(cat /run/{to}.pid)")
        said = {pair: process.communicate(timeout=30)[0] for pair, process in running.items()}
    for (source, to), text in said.items():
        answered = {int(one) for one in re.findall(r"icmp_seq=(\d+) ttl=", text)}
        assert len(answered) > 50, text
        lost[f"{source} {to}"] = max(answered) - len(answered)


def read_until(operator: subprocess.Popen[str], words: str, times: int = 1) -> str:
    """What it says until it has said that, so many times."""
    assert operator.stdout is not None
    said = []
    for line in operator.stdout:
        said.append(line)
        times -= words in line
        if not times:
            return "".join(said)
    pytest.fail("".join(said))


def nothing_left(mesh: Mesh) -> None:
    assert {name: mesh.on(name, LEFT) for name in HOSTS} == dict.fromkeys(HOSTS, "")
    assert not list(mesh.world.lock_file.parent.glob("*.turn.lock"))
    mesh.world.run("plan")
    mesh.in_touch(ADDRESSES)


def forgotten(mesh: Mesh) -> None:
    """What an operator who is no more has left is undone, and machines are held for nobody."""
    for name in HOSTS:
        for _ in range(10 * (WINDOW + 15)):
            if not mesh.on(name, "ls -d /run/wireloom/*/change 2>/dev/null; true"):
                break
            time.sleep(0.1)
        mesh.on(name, 'for one in /run/wireloom/*/lease; do test ! -e "$one" || sed -i 2s/.*/0/ "$one"; done')


def goes_on(mesh: Mesh) -> None:
    forgotten(mesh)
    mesh.world.run("rotate", "--yes")


def test_every_node_has_a_new_key_and_no_packet_is_lost(mesh: Mesh) -> None:
    before = keys(mesh)
    interface = mesh.on("cp1", "cat /sys/class/net/wg0/ifindex")
    with pinging(mesh) as lost:
        done = mesh.world.json("rotate", "--yes")
    after = keys(mesh)
    assert set(lost.values()) == {0}, lost
    assert not set(before.values()) & set(after.values())
    assert {one["node"]: one["public_key"] for one in done["nodes"]} == after
    assert mesh.on("cp1", "cat /sys/class/net/wg0/ifindex") == interface
    nothing_left(mesh)
    for name, key in after.items():  # what runs, what a reboot reads, and what is noted are one
        assert mesh.on(name, "wg pubkey </etc/wireguard/wg0.key").strip() == key
        assert (
            mesh.on(name, "sed -n 's/^PrivateKey = //p' /etc/wireguard/wg0.conf | wg pubkey").strip() == key
        )
    assert mesh.world.settles("holds")


def test_one_node_alone(mesh: Mesh) -> None:
    """It is behind a NAT: its peers hear of its new key from itself."""
    before = keys(mesh)
    with pinging(mesh) as lost:
        done = mesh.world.run("rotate", "--yes", "build1")
    assert set(lost.values()) == {0}, lost
    assert [name for name, key in keys(mesh).items() if key != before[name]] == ["build1"]
    assert "1 node with new keys" in done.stderr
    nothing_left(mesh)


KILLED = [
    ("committing on build1", 1),  # the guard lets the stand-in pass
    ("making keys", 1),  # it begins
    ("asking every pair", 1),
    ("committing on cp1", 3),  # it is led over
    ("changing the keys", 1),
    ("committing on build1", 4),  # keys change
    ("confirming", 4),
    ("committing on cp1", 5),  # it is led back
    ("taking wg0-turn away", 1),
]


@pytest.mark.parametrize(("words", "times"), KILLED, ids=[f"{words} {times}" for words, times in KILLED])
def test_whoever_is_killed_leaves_a_network_that_works_and_another_goes_on(
    mesh: Mesh, words: str, times: int
) -> None:
    before = keys(mesh)
    with pinging(mesh) as lost:
        operator = mesh.world.popen("rotate", *BRIEF)
        read_until(operator, words, times)
        operator.kill()
        operator.communicate()
        forgotten(mesh)
        mesh.in_touch(ADDRESSES)
        goes_on(mesh)
    assert set(lost.values()) == {0}, lost
    assert not set(before.values()) & set(keys(mesh).values())
    nothing_left(mesh)


@contextmanager
def cut_off_while_led(mesh: Mesh, *words: str) -> Iterator[None]:
    """A rotation that ended in its middle: packets take the stand-in. In the end it is over."""
    operator = mesh.world.popen("rotate", *words, *BRIEF)
    read_until(operator, "changing the keys")
    assert STAND_IN in mesh.on("cp1", "ip route get 10.99.0.2")
    operator.kill()
    operator.communicate()
    forgotten(mesh)
    try:
        yield
    finally:
        goes_on(mesh)


def test_meanwhile_other_verbs_keep_their_hands_off(mesh: Mesh) -> None:
    with cut_off_while_led(mesh):
        for verb in (["apply", "--yes"], ["rollback", "--yes"], ["plan"]):
            done = mesh.world.run(*verb, expect=1)
            assert "its keys are being rotated: packets may take wg0-turn" in done.stderr
            assert "rotate` goes on with it" in done.stderr
        done = mesh.world.run("uninstall", "--yes-i-mean", mesh.world.name, expect=1)
        assert "its keys are being rotated" in done.stdout
    nothing_left(mesh)


def test_another_operator_goes_on_without_the_lock_of_the_stand_in(mesh: Mesh) -> None:
    with cut_off_while_led(mesh):
        (lock,) = mesh.world.lock_file.parent.glob("*.turn.lock")
        lock.unlink()
    nothing_left(mesh)


def test_one_that_began_on_another_port_goes_on_there(mesh: Mesh) -> None:
    with cut_off_while_led(mesh, "--port", "40000"):
        pass
    nothing_left(mesh)


def test_nothing_is_begun_unless_all_answer(mesh: Mesh) -> None:
    before = keys(mesh)
    chain = "chain in { type filter hook input priority 0; tcp dport 22 reject with tcp reset; }"
    deaf = f"table inet deaf {{ {chain}; }}"
    mesh.on("db1", f"nft '{deaf}'")
    try:
        done = mesh.world.run("rotate", "--yes", expect=1)
    finally:
        mesh.on("db1", "nft delete table inet deaf")
    assert "db1: error: " in done.stderr
    assert keys(mesh) == before
    nothing_left(mesh)


def test_nothing_is_begun_on_machines_that_an_apply_has_to_mend(mesh: Mesh) -> None:
    mesh.on("cp1", "ip link set wg0 mtu 1300")
    try:
        done = mesh.world.run("rotate", "--yes", expect=1)
    finally:
        mesh.world.run("apply", "--yes")
    assert "the machines are not as the fleet file says" in done.stderr


def test_a_port_that_is_closed_is_told_and_nothing_is_left(mesh: Mesh) -> None:
    before = keys(mesh)
    closed = "table inet closed { chain in { type filter hook input priority 0; udp dport 51821 drop; }; }"
    mesh.on("cp2", f"nft '{closed}'")
    mesh.on("db1", f"nft '{closed}'")
    try:
        with pinging(mesh) as lost:
            done = mesh.world.run("rotate", *BRIEF, expect=1)
    finally:
        mesh.on("cp2", "nft delete table inet closed")
        mesh.on("db1", "nft delete table inet closed")
    assert set(lost.values()) == {0}, lost
    assert "is UDP port 51821 open between the machines? wg0-turn is gone again" in done.stderr
    assert keys(mesh) == before
    nothing_left(mesh)


def test_another_port(mesh: Mesh) -> None:
    operator = mesh.world.popen("rotate", "--port", "40000", "--yes")
    read_until(operator, "asking every pair")
    assert mesh.on("w1", f"wg show {STAND_IN} listen-port") == "40000\n"
    operator.communicate(timeout=120)
    assert operator.returncode == 0
    for port, whose in (("51820", "wg0 itself"), ("8472", "VXLAN, which the guard drops")):
        assert f"{port} is the port of {whose}" in mesh.world.run("rotate", "--port", port, expect=1).stderr


WAYS = {
    "a longer route": ("ip route add 10.99.0.3/32 dev wg0", "ip route del 10.99.0.3/32 dev wg0"),
    "another table": (
        "ip route add 10.99.0.0/16 dev wg0 table 100; ip rule add to 10.99.0.0/16 lookup 100 pref 50",
        "ip rule del pref 50; ip route flush table 100",
    ),
}


@pytest.mark.parametrize(("lay", "clear"), WAYS.values(), ids=WAYS)
def test_packets_that_would_not_take_the_stand_in_are_told_before_keys_change(
    mesh: Mesh, lay: str, clear: str
) -> None:
    before = keys(mesh)
    mesh.on("cp1", lay)
    try:
        with pinging(mesh) as lost:
            done = mesh.world.run("rotate", *BRIEF, expect=1)
    finally:
        mesh.on("cp1", clear)
    assert "cp1: error: packets would not take wg0-turn: 10.99.0.3 dev wg0" in done.stderr
    assert set(lost.values()) == {0}, lost
    assert keys(mesh) == before
    nothing_left(mesh)


def test_somebody_elses_interface_of_that_name_is_told_before_anything_is_done(mesh: Mesh) -> None:
    generation = mesh.look(["w1"])["w1"].generation
    mesh.on("w1", "ip tuntap add wg0-turn mode tun")
    try:
        done = mesh.world.run("rotate", *BRIEF, expect=1)
    finally:
        mesh.on("w1", "ip link del wg0-turn")
    assert "w1: error: an interface wg0-turn is up that wireloom did not make" in done.stderr
    assert mesh.look(["w1"])["w1"].generation == generation
    nothing_left(mesh)


def test_a_mark_of_a_rotation_that_is_long_over_makes_no_key_new(mesh: Mesh) -> None:
    before = keys(mesh)
    mesh.on("w1", "touch /var/lib/wireloom/wg0.rekeyed")
    mesh.world.run("rotate", "--yes", "w1")
    assert [name for name, key in keys(mesh).items() if key != before[name]] == ["w1"]
    nothing_left(mesh)


def test_a_rollback_does_not_lead_into_the_middle_of_a_rotation(mesh: Mesh) -> None:
    mesh.world.run("rotate", "--yes")
    *_, amid, last = mesh.world.json("history")["nodes"][0]["generations"]
    assert (amid["what"], last["what"]) == ("keys are being rotated", "the keys were rotated")
    done = mesh.world.run("rollback", "--yes", str(amid["generation"]), expect=1)
    assert "is from the middle of a rotation of keys" in done.stderr
    mesh.world.run("rollback", "--yes")
    assert mesh.on("cp1", LEFT) == ""
    mesh.world.run("apply", "--yes")
    nothing_left(mesh)


def test_another_port_in_the_middle_has_to_wait(mesh: Mesh) -> None:
    with cut_off_while_led(mesh):
        text = mesh.world.fleet_file.read_text()
        mesh.world.edit("underlay: {", "underlay: { port: 51900,")
        done = mesh.world.run("rotate", *BRIEF, expect=1)
        mesh.world.fleet_file.write_text(text)
        assert "the fleet file has changed in the middle of a rotation" in done.stderr
    nothing_left(mesh)


def test_a_firewall_that_names_the_interface_has_to_name_the_stand_in(mesh: Mesh) -> None:
    chain = 'chain in { type filter hook input priority 0; iifname "wg0" tcp dport 80 accept; }'
    rule = f"table inet mine {{ {chain}; }}"
    mesh.on("w1", f"nft '{rule}'")
    try:
        done = mesh.world.run("rotate", "--yes", expect=1)
        assert "w1: error: a rule of its firewall names wg0, and not wg0-turn: iifname" in done.stderr
        mesh.on("w1", f"nft '{rule.replace('mine', 'too').replace('wg0', STAND_IN)}'")
        mesh.world.run("rotate", "--yes")
    finally:
        mesh.on("w1", "nft delete table inet mine; nft delete table inet too; true")


def test_keys_that_fail_to_change_are_the_old_ones_again(mesh: Mesh) -> None:
    """Of one node nobody hears by its new key."""
    before = keys(mesh)
    closed = (
        "table inet closed { chain in { type filter hook input priority 0; udp dport 51820 drop; };"
        " chain out { type filter hook output priority 0; udp sport 51820 drop; }; }"
    )
    with pinging(mesh) as lost:
        operator = mesh.world.popen("rotate", "--confirm-within", "15s", "--yes")
        read_until(operator, "changing the keys")
        mesh.on("cp2", f"nft '{closed}'")
        read_until(operator, "rolling back")
        mesh.on("cp2", "nft delete table inet closed")
        said, _ = operator.communicate(timeout=120)
    assert operator.returncode == 1, said
    assert "no answer over the underlay" in said
    assert "wg0-turn is gone again, and no node has a new key" in said
    assert set(lost.values()) == {0}, lost
    assert keys(mesh) == before
    nothing_left(mesh)


def test_packets_that_vxlan_wraps_are_not_lost_either(mesh: Mesh) -> None:
    """As flannel lays it: bound to the interface, whatever routes say."""
    lay = (
        "ip link add vx0 type vxlan id 7 local 10.99.0.{me} dev wg0 dstport 8472;"
        " bridge fdb append 00:00:00:00:00:00 dev vx0 dst 10.99.0.{to};"
        " ip address add 10.77.0.{me}/24 dev vx0; ip link set vx0 up"
    )
    inner = {"cp1": "10.77.0.1", "cp2": "10.77.0.3"}
    mesh.on("cp1", lay.format(me=1, to=3))
    mesh.on("cp2", lay.format(me=3, to=1))
    try:
        with pinging(mesh, inner, (("cp1", "cp2"), ("cp2", "cp1"))) as lost, cut_off_while_led(mesh):
            assert mesh.on("cp1", "ip -d link show dev vx0").count("dev wg0-turn") == 1
        assert "dev wg0 " in mesh.on("cp1", "ip -d link show dev vx0")
    finally:
        mesh.on("cp1", "ip link del vx0; true")
        mesh.on("cp2", "ip link del vx0; true")
    assert set(lost.values()) == {0}, lost


def test_answers_may_leave_by_the_other_interface_and_the_filter_is_as_it_was(mesh: Mesh) -> None:
    """With rp_filter at 1, as some distributions have it, packets were dropped while routes turn."""
    strict = "for one in all default wg0; do echo 1 >/proc/sys/net/ipv4/conf/$one/rp_filter; done"
    usual = {name: mesh.on(name, "cat /proc/sys/net/ipv4/conf/default/rp_filter").strip() for name in HOSTS}
    for name in HOSTS:
        mesh.on(name, strict)
    try:
        with pinging(mesh) as lost:
            mesh.world.run("rotate", "--yes")
        assert {mesh.on(name, "cat /proc/sys/net/ipv4/conf/wg0/rp_filter") for name in HOSTS} == {"1\n"}
    finally:
        for name in HOSTS:
            mesh.on(name, strict.replace("echo 1", f"echo {usual[name]}"))
    assert set(lost.values()) == {0}, lost
    nothing_left(mesh)
