"""Keys and staged files: the scripts of apply, run for real in a machine of its own. Nothing is live yet."""

import os
import re
import signal
from dataclasses import replace

import pytest

from tests.apply.hands import (
    BEN,
    CHANGES,
    CONFIG,
    FULL,
    HAND,
    HERE,
    HISTORY,
    KEY,
    STAGED,
    STATE,
    WHEN,
    change,
    complaints,
    fresh_plan,
    lone,
    make_key,
    plan_of,
    running,
    settle,
    stage,
)
from tests.apply.pair import OTHER_KEY, B, desired
from tests.apply.sandbox import Sandbox
from wireloom.apply.script import Neighbour, make_key_script

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

# Keys


def test_a_key_is_made_once(machine: Sandbox) -> None:
    first = make_key(machine)
    assert make_key(machine) == first


def test_the_public_key_that_is_told_is_the_one_of_the_file(machine: Sandbox) -> None:
    told = make_key(machine)
    assert machine.ask(f"wg pubkey <{KEY}") == str(told)


@pytest.mark.parametrize("umask", ["000", "022", "777"])
def test_a_key_is_nobody_elses_to_read_whatever_the_umask(machine: Sandbox, umask: str) -> None:
    assert machine.sh(make_key_script("wg0"), umask=umask).returncode == 0
    assert machine.ask(f"stat -c %a {KEY}") == "600"


def test_no_key_is_left_behind_on_a_full_disk(machine: Sandbox) -> None:
    machine.ask("head -c 2m /dev/zero >/etc/wireguard/filler 2>/dev/null || true")
    said = complaints(machine, make_key_script("wg0"))
    assert f"wireloom: {KEY} can't be written: {FULL}" in said
    assert machine.ask("ls /etc/wireguard") == "filler"


def test_a_read_only_directory_is_named(machine: Sandbox) -> None:
    machine.ask("mount -o remount,ro /etc/wireguard")
    assert f"wireloom: {KEY} can't be written: {FULL}" in complaints(machine, make_key_script("wg0"))


def test_a_key_file_without_a_key_is_refused_and_kept(machine: Sandbox) -> None:
    machine.ask(f"echo nonsense >{KEY}")
    said = complaints(machine, make_key_script("wg0"))
    assert f"wireloom: {KEY} holds no WireGuard key" in said
    assert "nonsense" not in said
    assert machine.ask(f"cat {KEY}") == "nonsense"


# Staging


def test_the_staged_file_is_the_wanted_one_with_the_key_put_in(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(stage(want, plan_of(machine), key))
    secret = machine.ask(f"cat {KEY}")
    assert (
        machine.ask(f"cat {STAGED}") + "\n" == f"{want.config.head}PrivateKey = {secret}\n{want.config.body}"
    )


@pytest.mark.parametrize("umask", ["000", "777"])
def test_staged_files_are_nobody_elses_to_read_whatever_the_umask(machine: Sandbox, umask: str) -> None:
    want, key = lone(machine)
    assert machine.sh(stage(want, plan_of(machine), key), umask=umask).returncode == 0
    assert machine.ask(f"stat -c %a {STAGED} /etc/wireguard/.wireloom") == "600\n700"


def test_a_leftover_that_everybody_may_read_does_not_hand_its_mode_on(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(f"mkdir /etc/wireguard/.wireloom; touch {STAGED}; chmod 644 {STAGED}")
    machine.ask(stage(want, plan_of(machine), key))
    assert machine.ask(f"stat -c %a {STAGED}") == "600"


def test_a_key_file_need_not_end_its_line(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(f'key=$(cat {KEY}); printf %s "$key" >{KEY}')
    machine.ask(stage(want, plan_of(machine), key))


def test_a_text_cut_short_is_refused(machine: Sandbox) -> None:
    want, key = lone(machine)
    sent = stage(want, plan_of(machine), key)
    cut = sent.replace("AllowedIPs = 10.99.0.2/32\n", "AllowedIPs = 10.99.0.2\n")
    assert cut != sent
    assert f"wireloom: {STAGED} is not what was sent" in complaints(machine, cut)


def test_a_machine_with_another_key_than_the_locks_is_refused(machine: Sandbox) -> None:
    want, _ = lone(machine)
    said = complaints(machine, stage(want, plan_of(machine), OTHER_KEY))
    assert f"wireloom: {KEY} is not the key that the lock names" in said


@pytest.mark.parametrize("contents", ["", "nonsense\n"])
def test_a_machine_that_lost_its_key_is_refused(machine: Sandbox, contents: str) -> None:
    want, key = lone(machine)
    machine.ask(f"printf '{contents}' >{KEY}")
    assert "wireloom: " in complaints(machine, stage(want, plan_of(machine), key))


def test_what_wg_refuses_is_refused_in_its_own_words(machine: Sandbox) -> None:
    want, key = lone(machine)
    bad = replace(want.config, body=want.config.body + "Endpont = 192.0.2.9:1\n")
    said = complaints(machine, stage(replace(want, config=bad), plan_of(machine), key))
    assert f"wireloom: wg does not accept {STAGED}: Line unrecognized: `Endpont=192.0.2.9:1'" in said


def test_a_full_disk_is_named_when_staging(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask("mkdir /etc/wireguard/.wireloom")
    machine.ask("head -c 2m /dev/zero >/etc/wireguard/filler 2>/dev/null || true")
    assert f"wireloom: {STAGED} can't be written: {FULL}" in complaints(
        machine, stage(want, plan_of(machine), key)
    )


def test_staging_leaves_what_is_live_alone(machine: Sandbox) -> None:
    want, key = settle(machine)
    machine.ask(f"cp -p {CONFIG} /run/before")
    before = running(machine)
    machine.ask(stage(want, plan_of(machine), key))
    assert running(machine) == before
    machine.ask(f"cmp {CONFIG} /run/before")


def test_unstaging_leaves_no_copy_of_the_key(machine: Sandbox) -> None:
    want, _ = lone(machine)
    machine.sh(stage(want, fresh_plan(machine, want), OTHER_KEY))
    assert machine.ask(f"cat {STAGED}")
    assert machine.ask(HAND.withdraw()) == "outcome=untouched"
    assert machine.ask("find /etc/wireguard -type f") == KEY


# Generation 0


def test_a_new_machine_gets_a_file_with_an_address_and_no_peers(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(stage(want, fresh_plan(machine, want), key))
    secret = machine.ask(f"cat {KEY}")
    assert machine.ask(f"cat {CONFIG}") + "\n" == f"{want.config.head}PrivateKey = {secret}\n"
    assert machine.ask(f"stat -c %a {CONFIG}") == "600"


def test_generation_0_never_replaces_a_file_of_somebody_elses(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(f"echo precious >{CONFIG}")
    machine.ask(stage(want, fresh_plan(machine, want), key))
    assert machine.ask(f"cat {CONFIG}") == "precious"


# What confirming needs is there before anything is live


def test_what_the_machine_will_know_about_the_generation_is_staged(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(stage(want, plan_of(machine, *CHANGES), key))
    assert (
        machine.ask("cat /var/lib/wireloom/wg0.next")
        == f"fleet=pair\ngeneration=7\nnetwork=feed\ndigest={want.config.digest}\napply=f00d"
    )
    what = "update mtu of wg0, create address 10.99.0.7/16, update peer b"
    record = f"# who: ada@desk\n# when: {WHEN}\n# what: {what}\n# digest: {want.config.digest}\n"
    assert machine.ask(f"cat {HISTORY}/next") + "\n" == record + want.config.keyless


@pytest.mark.parametrize("made", ["", "mkdir -p /var/lib/wireloom/history/wg0;"], ids=["new", "there"])
def test_a_full_disk_for_the_notes_is_named_when_staging(machine: Sandbox, made: str) -> None:
    want, key = lone(machine)
    plan = plan_of(machine)
    machine.ask(f"{made} head -c 2m /dev/zero >/var/lib/filler 2>/dev/null || true")
    said = complaints(machine, stage(want, plan, key))
    assert "wireloom: /" in said
    assert FULL in said
    assert "/var/lib/wireloom" in said


def test_save_config_is_forgotten_before_a_stop_can_save_what_is_not_confirmed(machine: Sandbox) -> None:
    want, key = settle(machine)
    machine.ask(f"sed -i 's/^\\[Interface\\]/&\\n  saveconfig=true/' {CONFIG}")
    machine.ask(stage(want, plan_of(machine), key))
    assert machine.ask(f"grep -ic saveconfig {CONFIG} || true") == "0"
    assert machine.ask(f"stat -c %a {CONFIG}") == "600"
    assert "PrivateKey" in machine.ask(f"cat {CONFIG}")


# Only what was looked at is changed


MEDDLERS = {
    "another MTU": "ip link set dev wg0 mtu 1234",
    "another peer": f"wg set wg0 peer {OTHER_KEY} remove",
    "another address": "ip address add 10.99.0.8/16 dev wg0",
    "another generation": f"sed -i 's/^generation=.*/generation=99/' {STATE}",
    "no interface": "ip link delete wg0",
}


@pytest.mark.parametrize("meddle", MEDDLERS.values(), ids=MEDDLERS)
def test_a_machine_that_changed_since_it_was_looked_at_is_refused(machine: Sandbox, meddle: str) -> None:
    want, key = settle(machine)
    plan = plan_of(machine)
    machine.ask(meddle)
    said = complaints(machine, stage(want, plan, key))
    assert said == "wireloom: it has changed since it was looked at: plan again\n"
    assert machine.ask(f"test -e {STAGED} || echo none") == "none"


APPEARED = {
    "an interface": "ip link add wg0 type bridge",
    "a note": f"mkdir -p {STATE.rpartition('/')[0]} && echo fleet=other >{STATE}",
}


@pytest.mark.parametrize("meddle", APPEARED.values(), ids=APPEARED)
def test_a_machine_that_was_new_when_it_was_looked_at_is_looked_at_again(
    machine: Sandbox, meddle: str
) -> None:
    want, key = lone(machine)
    plan = fresh_plan(machine, want)
    assert "still_nothing" in stage(want, plan, key)
    machine.ask(meddle)
    said = complaints(machine, stage(want, plan, key))
    assert said == "wireloom: it has changed since it was looked at: plan again\n"
    assert machine.ask(f"test -e {STAGED} || echo none") == "none"


def test_what_moves_by_itself_is_no_change(machine: Sandbox) -> None:
    want, key = settle(machine)
    plan = plan_of(machine)
    machine.ask(f"wg set wg0 peer {OTHER_KEY} endpoint 192.0.2.99:9; ping -c 1 -W 1 10.99.0.2 || true")
    machine.ask(stage(want, plan, key))


# One apply at a time


def test_a_machine_that_is_held_is_refused_and_says_by_whom(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(HAND.hold())
    for script in (BEN.hold(), stage(want, plan_of(machine), key, hand=BEN)):
        said = complaints(machine, script)
        assert re.fullmatch(
            rf"wireloom: held by ada@desk since {re.escape(WHEN)}; free in \d+ s at the latest\n", said
        )


def test_who_holds_a_machine_may_go_on(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(HAND.hold())
    since = machine.ask(f"sed -n 3p {HERE}/lease")
    machine.ask(stage(want, plan_of(machine), key))
    assert machine.ask(f"sed -n 3p {HERE}/lease") == since


def test_a_hold_that_nobody_renewed_ends_by_itself(machine: Sandbox) -> None:
    machine.ask(HAND.hold())
    machine.ask(f"sed -i 2s/.*/1/ {HERE}/lease")
    machine.ask(BEN.hold())
    said = complaints(machine, HAND.beat())
    assert re.fullmatch(
        "wireloom: this apply was not heard of for too long: ben@shed has had this machine since .*\n", said
    )


def test_a_beat_renews_the_hold(machine: Sandbox) -> None:
    machine.ask(HAND.hold())
    machine.ask(f"sed -i 2s/.*/1/ {HERE}/lease")
    machine.ask(HAND.beat())
    assert "held by ada@desk" in complaints(machine, BEN.hold())


def test_a_machine_that_was_let_go_is_free(machine: Sandbox) -> None:
    machine.ask(HAND.hold())
    assert machine.ask(HAND.withdraw()) == "outcome=untouched"
    machine.ask(BEN.hold())


def test_nothing_is_left_of_a_hold_that_was_cut_off(machine: Sandbox) -> None:
    assert machine.sh(f"mv() {{ kill -KILL $$; }}\n{HAND.hold()}").returncode == -signal.SIGKILL
    assert re.fullmatch(r"busy\nlease[.]\d+", machine.ask(f"ls {HERE}"))
    assert machine.ask(HAND.withdraw()) == "outcome=untouched"
    assert machine.ask(f"ls {HERE}") == "busy"


def test_nobody_lets_go_of_what_another_holds(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(stage(want, plan_of(machine), key))
    assert machine.ask(BEN.withdraw()) == "outcome=untouched"
    assert "held by ada@desk" in complaints(machine, BEN.hold())
    machine.ask(f"test -e {STAGED}")


def test_a_change_that_waits_holds_the_machine_also_when_nobody_beats(machine: Sandbox) -> None:
    change(machine)
    machine.ask(f"sed -i 2s/.*/1/ {HERE}/lease")
    said = complaints(machine, BEN.hold())
    assert said.startswith("wireloom: held by ada@desk since ")
    assert re.search(r": a change of theirs waits here and is undone in \d+ s\n$", said)


def test_a_hold_does_not_outlive_a_restart(machine: Sandbox) -> None:
    machine.ask(HAND.hold())
    machine.ask("rm -r /run/wireloom")
    said = complaints(machine, HAND.beat())
    assert said.startswith("wireloom: this apply has this machine no more: ")
    machine.ask(BEN.hold())


def test_who_answers_before_the_change_is_told(machine: Sandbox) -> None:
    want, key = settle(machine)
    me, nobody = (Neighbour(desired(B).addresses[0].ip + more) for more in (-1, 7))
    assert machine.ask(stage(want, plan_of(machine), key, heard=(me, nobody))) == f"heard={me}"
