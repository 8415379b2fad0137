"""The verdict must be able to fail: what is done to real machines, the claim that it falsifies, and where.

``alpha`` is cp1 of the fleet, ``beta`` w1, ``gamma`` db1. The guard would drop what these tests let out, so
most take it away first: then the captured packets are what falsifies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.machines.machine import Machine
from tests.machines.machines import Machines
from tests.machines.spoils import hidden

NO_GUARD = "nft delete table inet wireloom"
BY_HOST0 = "ip route add default via 203.0.113.2 dev host0 table 77"
VXLAN = (
    "ip link add plain type vxlan id 7 dstport 8472 dev host0 local 203.0.113.{own} remote 203.0.113.{other};"
    " ip address add 10.42.7.{own}/24 dev plain; ip link set plain up"
)
DATABASE = (
    "use IO::Socket::INET; $s = IO::Socket::INET->new(Listen => 9, ReuseAddr => 1, LocalPort => 5432,"
    " LocalAddr => '203.0.113.2') or die;"
    ' while ($c = $s->accept) { print $c "hello\\n" while <$c> }'
)
CLIENT = (
    "use IO::Socket::INET; $s = IO::Socket::INET->new('203.0.113.2:5432') or die; $s->autoflush;"
    ' while (1) { print $s "SELECT secret\\n"; <$s>; select undef, undef, undef, 0.2 }'
)


@dataclass(frozen=True)
class Sabotage:
    """What is done to machines, and the claim that falls: its kind, from whom, to whom, and words of it.

    ``words`` are more words for ``verify``. ``spares``: pairs of which the same claim still holds.
    """

    done: dict[str, str]
    claim: tuple[str, str, str | None]
    seen: str
    words: tuple[str, ...] = ()
    spares: tuple[tuple[str, str], ...] = ()


SABOTAGES = {
    "a route that leads one peer past the tunnel": Sabotage(
        {"alpha": f"{NO_GUARD}; ip route add 10.99.0.2/32 via 203.0.113.2 dev host0"},
        ("canary", "cp1", "w1"),
        "in clear on host0 of cp1: icmp, ",
        spares=(("cp1", "db1"), ("db1", "w1")),
    ),
    "the same, and the guard is there": Sabotage(
        {"alpha": "ip route add 10.99.0.2/32 via 203.0.113.2 dev host0"},
        ("canary", "cp1", "w1"),
        "did not go into the tunnel at cp1 (Operation not permitted): icmp, ",
        spares=(("cp1", "db1"), ("w1", "cp1")),
    ),
    "AllowedIPs moved to another peer": Sabotage(
        {"alpha": "wg set wg0 peer {db1} allowed-ips 10.99.0.3/32,10.99.0.2/32"},
        ("canary", "cp1", "w1"),
        "went into the tunnel at cp1 and did not come out at w1: ",
        spares=(("cp1", "db1"),),
    ),
    "a mark that leads one port past the tunnel": Sabotage(
        {
            "alpha": f"{NO_GUARD}; {BY_HOST0}; ip rule add fwmark 7 table 77; nft -f - <<'END'\n"
            "table ip evil { chain out { type route hook output priority 0;"
            " ip daddr 10.99.0.2 tcp dport 2379 meta mark set 7; }; }\nEND\n"
        },
        ("canary", "cp1", "w1"),
        "in clear on host0 of cp1: tcp port 2379",
        spares=(("cp1", "db1"),),
    ),
    "a rule that leads one user past the tunnel": Sabotage(
        {
            "alpha": f"{NO_GUARD}; {BY_HOST0}; systemd-run -q --unit=somebody --uid=nobody sleep 300;"
            " ip rule add uidrange 65534-65534 to 10.99.0.2 table 77"
        },
        ("canary", "cp1", "w1"),
        "in clear on host0 of cp1: udp as user 65534",
        spares=(("cp1", "db1"),),
    ),
    "the way back is another one": Sabotage(
        {
            "beta": f"{NO_GUARD}; ip route add 10.99.0.1/32 via 203.0.113.1 dev host0 src 10.99.0.2",
            "alpha": NO_GUARD,
        },
        ("canary", "w1", "cp1"),
        "in clear on host0 of ",
        spares=(("w1", "db1"),),
    ),
    "a VXLAN beside the tunnel": Sabotage(
        {
            "beta": f"{NO_GUARD}; {VXLAN.format(own=2, other=1)}",
            "alpha": f"{NO_GUARD}; {VXLAN.format(own=1, other=2)};"
            " systemd-run -q --unit=talk ping -q -i 0.2 10.42.7.2",
        },
        ("clear", "cp1", "w1"),
        "udp/8472; inside 10.42.7.1, 10.42.7.2",
        words=("--quick", "--audit", "5s"),
    ),
    "a program that is bound to the physical address": Sabotage(
        {
            "beta": 'systemd-run -q --unit=database perl -e "{DATABASE}";'
            " until ss -Hltn 'sport = :5432' | grep -q .; do sleep 0.05; done",
            "alpha": 'systemd-run -q --unit=talk perl -e "{CLIENT}"',
        },
        ("clear", "cp1", "w1"),
        "(tcp/5432; by perl)",
        words=("--quick", "--audit", "5s"),
    ),
    "packets that are larger than the path": Sabotage(
        {"alpha": "ip link set host0 mtu 1400"},
        ("mtu", "cp1", "w1"),
        "the path carries only 1400 of 1500 bytes: set `mtu: 1340` under `underlay:`",
        spares=(("w1", "db1"),),
    ),
    "a black hole for large packets": Sabotage(
        {
            "alpha": "nft -f - <<'END'\ntable ip evil { chain out { type filter hook postrouting priority 0;"
            ' oifname "host0" ip daddr 203.0.113.2 ip length > 1400 drop; }; }\nEND\n'
        },
        ("fragments", "cp1", "w1"),
        "a full packet does not arrive: ",
        spares=(("cp1", "db1"), ("w1", "db1")),
    ),
    "another key for a peer": Sabotage(
        {
            "alpha": "wg set wg0 peer {w1} remove peer {other} allowed-ips 10.99.0.2/32"
            " endpoint 203.0.113.2:51820"
        },
        ("handshake", "cp1", "w1"),
        "no peer with the key",
    ),
    "a machine that has left and still gets in": Sabotage(
        {"alpha": "wg set wg0 peer {other} allowed-ips 10.99.0.77/32 endpoint 203.0.113.9:51820"},
        ("peers", "cp1", None),
        "{other} at 203.0.113.9:51820, never a handshake",
    ),
}
OTHER_KEY = "bm90IG9uZSBvZiB0aGUgZmxlZXQncyBrZXlzIQAAAAA="


@pytest.fixture
def attacked(mended: Machines) -> Iterator[Machines]:
    yield mended
    for machine in mended:
        machine.shell(
            "{ systemctl stop talk database somebody; ip link del plain; nft delete table ip evil;"
            " for rule in fwmark uidrange; do ip rule del $rule 7 table 77; done; ip rule del table 77;"
            " ip route flush table 77; ip link set host0 mtu 1500; rm -f /usr/local/sbin/tcpdump;"
            " for one in 1 2; do ip route del 10.99.0.$one/32 via 203.0.113.$one; done; } 2>/dev/null; :"
        )


def public_key(machine: Machine) -> str:
    return machine.run("wg", "show", "wg0", "public-key").strip()


def found(evidence: Any, kind: str) -> dict[tuple[str, str | None], tuple[str, str]]:
    """Verdict and detail of each claim of a kind, by whom it is about."""
    return {
        (one["from"], one["to"]): (one["verdict"], one["detail"])
        for one in evidence["claims"]
        if one["claim"] == kind
    }


@pytest.mark.parametrize("sabotage", SABOTAGES.values(), ids=SABOTAGES)
def test_it_is_found(attacked: Machines, sabotage: Sabotage) -> None:
    words = {
        "w1": public_key(attacked["beta"]),
        "db1": public_key(attacked["gamma"]),
        "other": OTHER_KEY,
        "DATABASE": DATABASE.replace("$", "\\$").replace('"', '\\"'),
        "CLIENT": CLIENT.replace("$", "\\$").replace('"', '\\"'),
    }

    def told(text: str) -> str:
        for name, value in words.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    for name, script in sabotage.done.items():
        attacked[name].shell(told(script))
    evidence = attacked.operator.json("verify", *sabotage.words, expect=2)
    kind, source, target = sabotage.claim
    claims = found(evidence, kind)
    assert (source, target) in claims, claims
    verdict, detail = claims[source, target]
    assert (verdict, told(sabotage.seen) in detail) == ("falsified", True), detail
    assert {claims[pair][0] for pair in sabotage.spares} <= {"holds"}, claims


BLINDED = {
    "it captures what nobody sends": "exec /usr/bin/tcpdump -i any -y LINUX_SLL2 -n -Z root --immediate-mode"
    ' -w "$place/seen.pcap" "udp port 1"',
    "it captures on another interface": 'exec /usr/bin/tcpdump -i lo -n -Z root -w "$place/seen.pcap"',
    "it is killed": '/usr/bin/tcpdump "$@" & for try in $(seq 100); do'
    ' test ! -s "$place/seen.pcap" || break; sleep 0.05; done; kill -KILL $!; wait',
    "it is another program": 'echo "listening on any" >&2; sleep 60',
}
"""Stand-ins for tcpdump; $place is the directory of the capture."""


@pytest.mark.parametrize("script", BLINDED.values(), ids=BLINDED)
def test_a_capture_that_can_not_see_is_unknown(attacked: Machines, script: str) -> None:
    alpha = attacked["alpha"]
    find = "for place in /run/wireloom/capture-*; do :; done"
    stand_in(alpha, f"{find}\n{script}")
    evidence = attacked.operator.json("verify", expect=1)
    canaries = found(evidence, "canary")
    assert {verdict for (source, _), (verdict, _) in canaries.items() if source == "cp1"} == {"unknown"}
    assert {verdict for pair, (verdict, _) in canaries.items() if "cp1" not in pair} == {"holds"}
    assert evidence["verdict"] == "unknown"
    assert "capture-" not in alpha.shell("ls /run/wireloom; pgrep -a tcpdump || :")


def stand_in(machine: Machine, script: str) -> None:
    """Another program is what the machine calls tcpdump."""
    machine.write("/usr/local/sbin/tcpdump", f"#!/bin/sh\n{script}\n")
    machine.run("chmod", "755", "/usr/local/sbin/tcpdump")


def test_what_goes_wrong_once_is_tried_again(attacked: Machines) -> None:
    stand_in(
        attacked["alpha"],
        'if mkdir /run/tried; then exit 1; else rmdir /run/tried; exec /usr/bin/tcpdump "$@"; fi',
    )
    assert attacked.operator.json("verify")["verdict"] == "holds"


def test_what_was_in_clear_once_is_told_although_a_second_look_is_good(attacked: Machines) -> None:
    """The route past the tunnel goes as soon as tcpdump ends for the first time."""
    attacked["alpha"].shell(f"{NO_GUARD}; ip route add 10.99.0.2/32 via 203.0.113.2 dev host0")
    stand_in(attacked["alpha"], '/usr/bin/tcpdump "$@"; ip route del 10.99.0.2/32 via 203.0.113.2')
    canaries = found(attacked.operator.json("verify", expect=2), "canary")
    assert canaries["cp1", "w1"][0] == "falsified"


def test_what_is_missing_on_a_machine_is_told_with_what_brings_it(attacked: Machines) -> None:
    told = {"gamma": ("db1", "tcpdump"), "beta": ("w1", "perl")}
    with hidden(attacked["gamma"], "/usr/bin/tcpdump"), hidden(attacked["beta"], "/usr/bin/perl"):
        evidence = attacked.operator.json("verify", expect=1)
    canaries = found(evidence, "canary")
    for node, tool in told.values():
        details = {detail for (source, _), (_, detail) in canaries.items() if source == node}
        assert len(details) == 1
        assert f"no {tool} there: wireloom check --nodes --install" in details.pop()
    assert canaries["cp1", "far1"][0] == "holds"


def test_nothing_is_left_running_after_ctrl_c(mesh: Machines) -> None:
    verifying = mesh.operator.popen("verify", "--quick", "--audit", "60s")
    mesh["beta"].shell("until pgrep tcpdump >/dev/null; do sleep 0.05; done")
    verifying.send_signal(2)
    assert verifying.wait(timeout=30) == 130
    for machine in mesh:
        assert machine.shell("ls -d /run/wireloom/capture-* 2>/dev/null; pgrep -a 'tcpdump|perl' || :") == ""


def test_nothing_leaves_while_the_interface_is_down(attacked: Machines) -> None:
    alpha, operator = attacked["alpha"], attacked.operator
    held = found(operator.json("verify", "--quick", "--disrupt", "cp1"), "closed")
    assert held["cp1", None][0] == "holds"
    assert operator.changes() == []
    assert alpha.shell("pgrep -a sleep || :") == ""
    alpha.shell(f"{NO_GUARD}; ip route del unreachable 10.99.0.0/16; ip route add default via 203.0.113.2")
    fallen = found(operator.json("verify", "--quick", "--disrupt", "cp1", expect=2), "closed")
    alpha.shell("ip route del default via 203.0.113.2")
    assert fallen["cp1", None][0] == "falsified"
    assert fallen["cp1", None][1].startswith("in clear on host0 of cp1: to w1, icmp, ")


def test_whom_to_disrupt_must_be_a_node_that_is_dialled(mesh: Machines) -> None:
    done = mesh.operator.run("verify", "--disrupt", "cp2", expect=1)
    assert "no node `cp2` that can be dialled" in done.stderr
    assert "did you mean `cp1`?" in done.stderr
