"""The guard on real machines: cleartext neither enters nor leaves, whatever stands beside the tunnel.

``beta`` is the machine that is attacked, ``alpha`` the neighbour on the same wire. Every test has a control:
the same packet without the guard.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.machines.container import Container
from tests.machines.machine import Machine
from tests.machines.machines import Machines

BETA, ALPHA = "10.99.0.2", "10.99.0.1"


@pytest.fixture
def guarded(mended: Machines) -> Iterator[Machines]:
    yield mended
    for machine in mended:
        machine.shell(
            "{ ip rule del fwmark 7; ip route flush table 77; nft delete table ip attack; ip link del plain;"
            " ip route del 10.99.0.2/32 via 203.0.113.2; } 2>/dev/null; :"
        )


def drop_guard(machine: Machine) -> None:
    machine.run("nft", "delete", "table", "inet", "wireloom")


def on_the_wire(group: Machines, sender: Machine, script: str, wanted: str) -> int:
    """How many packets that match ``wanted`` are seen on the wire while ``sender`` runs the script."""
    seen = group.space.run(
        "sh",
        "-c",
        'tcpdump -n -i br0 -w /run/seen.pcap "$1" 2>/run/seen.log & pid=$!\n'
        "for try in $(seq 100); do grep -q 'listening on' /run/seen.log && break; sleep 0.05; done\n"
        'nsenter --all --target="$2" -- sh -c "$3" >/dev/null 2>&1\n'
        "sleep 0.3; kill $pid; wait $pid 2>/dev/null; tcpdump -n -r /run/seen.pcap 2>/dev/null | wc -l",
        "sh",
        wanted,
        _inside(sender),
        script,
    )
    return int(seen)


def _inside(machine: Machine) -> str:
    """The machine's first process, by its number in the group's own PID namespace (proc(5), NSpid)."""
    assert isinstance(machine, Container)
    status = Path(f"/proc/{machine.init}/status").read_text()
    (numbers,) = [line for line in status.splitlines() if line.startswith("NSpid:")]
    return numbers.split()[-2]


def test_it_is_loaded_and_nothing_is_left_to_do(mesh: Machines) -> None:
    assert ["inet wireloom" in machine.run("nft", "list", "tables") for machine in mesh] == [True] * 4
    assert mesh.operator.changes() == []


def test_an_underlay_address_does_not_answer_on_the_physical_side(guarded: Machines) -> None:
    alpha, beta = guarded["alpha"], guarded["beta"]
    alpha.shell(
        "ip route add 10.99.0.2/32 via 203.0.113.2 dev host0 src 203.0.113.1; nft delete table inet wireloom"
    )
    ping = ("ping", "-c", "1", "-W", "1", BETA)
    assert "0 received" in alpha.run(*ping, expect=1)
    drop_guard(beta)
    assert "1 received" in alpha.run(*ping)
    alpha.run("ip", "route", "del", "10.99.0.2/32", "via", "203.0.113.2")


def mark_past_the_routes(machine: Machine) -> None:
    machine.shell(
        "ip rule add fwmark 7 table 77; ip route add default via 203.0.113.1 table 77;"
        " nft add table ip attack; nft add chain ip attack out '{ type route hook output priority -150; }';"
        f" nft add rule ip attack out ip daddr {ALPHA} meta mark set 7"
    )


def more_special_route(machine: Machine) -> None:
    machine.run("ip", "route", "add", f"{ALPHA}/32", "via", "203.0.113.1")


@pytest.mark.parametrize("bypass", [mark_past_the_routes, more_special_route])
def test_nothing_leaves_beside_the_tunnel(guarded: Machines, bypass: Callable[[Machine], None]) -> None:
    beta = guarded["beta"]
    bypass(beta)
    ping, clear = f"ping -c 2 -i 0.2 -W 1 {ALPHA}", f"icmp and dst host {ALPHA}"
    kept = on_the_wire(guarded, beta, ping, clear)
    drop_guard(beta)
    leaked = on_the_wire(guarded, beta, ping, clear)
    beta.shell(f"ip route del {ALPHA}/32 via 203.0.113.1 2>/dev/null; :")
    assert (kept, leaked > 0) == (0, True)


VXLAN = (
    "ip link add plain type vxlan id 1 dstport 8472 {more} && ip address add {address} dev plain &&"
    " ip link set plain up"
)


def test_a_vxlan_packet_to_the_public_address_is_not_taken(guarded: Machines) -> None:
    """A VXLAN device listens on every address, whatever device it was made on."""
    alpha, beta = guarded["alpha"], guarded["beta"]
    beta.shell(VXLAN.format(more="dev wg0 local 10.99.0.2 remote 203.0.113.1", address="192.0.2.2/24"))
    alpha.shell(VXLAN.format(more="dev host0 remote 203.0.113.2", address="192.0.2.1/24"))
    drop_guard(alpha)  # the attacker has none
    alpha.shell("ping -c 2 -i 0.2 -W 1 192.0.2.2", expect=1)
    received = "cat /sys/class/net/plain/statistics/rx_packets"
    kept_out = int(beta.shell(received))
    drop_guard(beta)
    alpha.shell("ping -c 2 -i 0.2 -W 1 192.0.2.2", expect=None)
    assert (kept_out, int(beta.shell(received)) > 0) == (0, True)


def take_down(machine: Machine) -> None:
    machine.run("ip", "link", "set", "wg0", "down")


def delete(machine: Machine) -> None:
    machine.run("ip", "link", "delete", "wg0")


def kill_wireguard_go(machine: Machine) -> None:
    if machine.kill("wireguard-go") != 1:
        pytest.skip("this kernel has WireGuard, so there is no wireguard-go to kill")


@pytest.mark.parametrize("away", [take_down, delete, kill_wireguard_go])
def test_nothing_leaves_in_clear_while_the_interface_is_away(
    guarded: Machines, away: Callable[[Machine], None]
) -> None:
    """Also where the unreachable route was taken away, and a default route would lead out."""
    beta = guarded["beta"]
    away(beta)
    beta.shell("ip route del unreachable 10.99.0.0/16 metric 4000000; ip route add default via 203.0.113.1")
    ping, clear = f"ping -c 2 -i 0.2 -W 1 {ALPHA}", f"icmp and dst host {ALPHA}"
    kept = on_the_wire(guarded, beta, ping, clear)
    drop_guard(beta)
    leaked = on_the_wire(guarded, beta, ping, clear)
    beta.run("ip", "route", "del", "default")
    assert (kept, leaked > 0) == (0, True)


def test_after_a_reboot_it_is_there_before_the_interface(mesh: Machines) -> None:
    mesh["beta"].restart()
    assert "chain arriving" in mesh["beta"].run("nft", "list", "table", "inet", "wireloom")
    assert mesh.operator.settles("holds")
    assert mesh.operator.changes() == []


def test_ssh_and_other_tables_are_untouched(guarded: Machines) -> None:
    beta = guarded["beta"]
    beta.shell(
        "nft add table inet theirs; nft add chain inet theirs in '{ type filter hook input priority 0; }'"
    )
    before = beta.run("nft", "list", "table", "inet", "theirs")
    drop_guard(beta)
    guarded.operator.run("apply", "--yes")
    assert beta.run("nft", "list", "table", "inet", "theirs") == before
    beta.run("nft", "delete", "table", "inet", "theirs")


@pytest.mark.parametrize(
    "harm",
    [
        "nft flush ruleset",
        "nft delete chain inet wireloom leaving",
        "nft insert rule inet wireloom arriving accept",
    ],
)
def test_what_another_does_to_it_is_drift_and_mended(guarded: Machines, harm: str) -> None:
    guarded["beta"].shell(harm)
    assert [(node, target) for node, _, target in guarded.operator.changes()] == [
        ("w1", "table inet wireloom")
    ]
    guarded.operator.run("apply", "--yes")
    assert guarded.operator.changes() == []


def test_it_is_taken_away_where_it_is_not_wanted(guarded: Machines) -> None:
    guarded.operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, guard: false")
    guarded.operator.run("apply", "--yes")
    assert ["wireloom" in machine.run("nft", "list", "tables") for machine in guarded] == [False] * 4
    assert guarded.operator.changes() == []
    guarded["beta"].restart()
    assert "wireloom" not in guarded["beta"].run("nft", "list", "tables")
