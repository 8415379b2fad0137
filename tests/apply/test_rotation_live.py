"""A new key in the key file of a machine: run for real, beside an interface that keeps the old one."""

import os
from ipaddress import ip_address

import pytest

from tests.apply.hands import CONFIG, HAND, KEY, complaints, make_key, running, settle
from tests.apply.sandbox import Sandbox

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

MARKER = "/var/lib/wireloom/wg0.rekeyed"
FULL = f"wireloom: {KEY} can't be written: is the disk full, or read-only?"


@pytest.fixture
def held(machine: Sandbox) -> Sandbox:
    """A machine with an interface of wireloom's, held for a rotation."""
    settle(machine)
    machine.ask(HAND.hold())
    return machine


def public_key(machine: Sandbox) -> str:
    return machine.ask(f"wg pubkey <{KEY}")


def rekey(machine: Sandbox) -> str:
    return machine.ask(HAND.rekey()).removeprefix("public_key=")


def test_nothing_runs_with_the_new_key_yet(held: Sandbox) -> None:
    before, file = running(held), held.ask(f"cat {CONFIG}")
    old = public_key(held)
    new = rekey(held)
    assert new == public_key(held) != old
    assert held.ask(f"stat -c %a {KEY}") == "600"
    assert (running(held), held.ask(f"cat {CONFIG}")) == (before, file)


def test_asked_again_in_the_same_rotation_it_is_the_same_key(held: Sandbox) -> None:
    assert held.ask(HAND.is_rekeyed()) == ""
    new = rekey(held)
    assert held.ask(HAND.is_rekeyed()) == "rekeyed=yes"
    assert rekey(held) == new
    held.ask(HAND.end_rotation())
    assert held.ask(HAND.is_rekeyed()) == ""
    assert rekey(held) != new


def test_given_up_the_old_key_is_the_machines_again(held: Sandbox) -> None:
    old = public_key(held)
    rekey(held)
    held.ask(HAND.restore_key())
    assert public_key(held) == old
    assert held.ask(f"ls {MARKER} 2>/dev/null || true") == ""
    held.ask(HAND.restore_key())  # where there is nothing to give up
    assert public_key(held) == old


def test_on_a_full_disk_the_old_key_stays(held: Sandbox) -> None:
    old = public_key(held)
    held.ask("head -c 2m /dev/zero >/etc/wireguard/filler 2>/dev/null || true")
    assert FULL in complaints(held, HAND.rekey())
    assert public_key(held) == old
    assert held.ask(HAND.is_rekeyed()) == ""
    assert held.ask(f"ls {KEY}.new 2>/dev/null || true") == ""


def test_a_key_that_is_kept_elsewhere_is_not_replaced_by_a_file(held: Sandbox) -> None:
    held.ask(f"mv {KEY} /etc/wireguard/elsewhere && ln -s elsewhere {KEY}")
    assert f"wireloom: {KEY} is a link, which a new key would replace" in complaints(held, HAND.rekey())
    assert held.ask(f"readlink {KEY}") == "elsewhere"


def test_a_machine_that_is_not_held_keeps_its_key(machine: Sandbox) -> None:
    key = make_key(machine)
    assert "this apply has this machine no more" in complaints(machine, HAND.rekey())
    assert public_key(machine) == str(key)


RULES = {
    "none": ("", []),
    "about other interfaces": ('table inet mine { chain in { iifname "eth0" accept; }; }', []),
    "about another wg0": ('table inet mine { chain in { iifname "wg01" accept; }; }', []),
    "about it": (
        'table inet mine { chain in { iifname "wg0" tcp dport 80 accept; }; }',
        ['rule=iifname "wg0" tcp dport 80 accept'],
    ),
    "about both": ('table inet mine { chain in { iifname { "wg0", "wg0-turn" } accept; }; }', []),
    "wireloom's own": ('table inet wireloom { chain in { iifname "wg0" accept; }; }', []),
}


@pytest.mark.parametrize(("rules", "expected"), RULES.values(), ids=RULES)
def test_rules_that_name_the_interface_and_not_its_stand_in(
    machine: Sandbox, rules: str, expected: list[str]
) -> None:
    machine.ask(f"nft '{rules}'" if rules else "true")
    assert machine.ask(HAND.find_obstacles("wg0-turn")).splitlines() == expected


def test_a_key_that_is_a_link_is_an_obstacle(held: Sandbox) -> None:
    held.ask(f"mv {KEY} /etc/wireguard/elsewhere && ln -s elsewhere {KEY}")
    assert held.ask(HAND.find_obstacles("wg0-turn")) == f"link={KEY}"


def test_packets_that_would_take_another_way_are_strays(held: Sandbox) -> None:
    addresses = [ip_address("10.99.0.2"), ip_address("10.99.0.3")]
    assert held.ask(HAND.find_strays(addresses)) == ""
    held.ask("ip link add eth7 type dummy 2>/dev/null || ip link add eth7 type veth; ip link set eth7 up")
    held.ask("ip route add 10.99.0.3/32 dev eth7")
    assert held.ask(HAND.find_strays(addresses)).startswith("stray=10.99.0.3 dev eth7")
