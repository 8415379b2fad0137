"""Keys and staged files: the scripts of apply, run for real in a machine of its own. Nothing is live yet."""

import os
from dataclasses import replace

import pytest

from tests.apply.hands import (
    CONFIG,
    FULL,
    KEY,
    STAGED,
    complaints,
    fresh_plan,
    lone,
    make_key,
    running,
    start_up,
)
from tests.apply.pair import OTHER_KEY, A
from tests.apply.sandbox import Sandbox
from wireloom.apply.script import (
    make_key_script,
    stage_script,
    unstage_script,
)
from wireloom.plan.plan import NodePlan

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
    machine.ask(stage_script(want, NodePlan(A), key))
    secret = machine.ask(f"cat {KEY}")
    assert (
        machine.ask(f"cat {STAGED}") + "\n" == f"{want.config.head}PrivateKey = {secret}\n{want.config.body}"
    )


@pytest.mark.parametrize("umask", ["000", "777"])
def test_staged_files_are_nobody_elses_to_read_whatever_the_umask(machine: Sandbox, umask: str) -> None:
    want, key = lone(machine)
    assert machine.sh(stage_script(want, NodePlan(A), key), umask=umask).returncode == 0
    assert machine.ask(f"stat -c %a {STAGED} /etc/wireguard/.wireloom") == "600\n700"


def test_a_leftover_that_everybody_may_read_does_not_hand_its_mode_on(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(f"mkdir /etc/wireguard/.wireloom; touch {STAGED}; chmod 644 {STAGED}")
    machine.ask(stage_script(want, NodePlan(A), key))
    assert machine.ask(f"stat -c %a {STAGED}") == "600"


def test_a_key_file_need_not_end_its_line(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(f'key=$(cat {KEY}); printf %s "$key" >{KEY}')
    machine.ask(stage_script(want, NodePlan(A), key))


def test_a_text_cut_short_is_refused(machine: Sandbox) -> None:
    want, key = lone(machine)
    sent = stage_script(want, NodePlan(A), key)
    cut = sent.replace("AllowedIPs = 10.99.0.2/32\n", "AllowedIPs = 10.99.0.2\n")
    assert cut != sent
    assert f"wireloom: {STAGED} is not what was sent" in complaints(machine, cut)


def test_a_machine_with_another_key_than_the_locks_is_refused(machine: Sandbox) -> None:
    want, _ = lone(machine)
    said = complaints(machine, stage_script(want, NodePlan(A), OTHER_KEY))
    assert f"wireloom: {KEY} is not the key that the lock names" in said


@pytest.mark.parametrize("contents", ["", "nonsense\n"])
def test_a_machine_that_lost_its_key_is_refused(machine: Sandbox, contents: str) -> None:
    want, key = lone(machine)
    machine.ask(f"printf '{contents}' >{KEY}")
    assert "wireloom: " in complaints(machine, stage_script(want, NodePlan(A), key))


def test_what_wg_refuses_is_refused_in_its_own_words(machine: Sandbox) -> None:
    want, key = lone(machine)
    bad = replace(want.config, body=want.config.body + "Endpont = 192.0.2.9:1\n")
    said = complaints(machine, stage_script(replace(want, config=bad), NodePlan(A), key))
    assert f"wireloom: wg does not accept {STAGED}: Line unrecognized: `Endpont=192.0.2.9:1'" in said


def test_a_full_disk_is_named_when_staging(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask("mkdir /etc/wireguard/.wireloom")
    machine.ask("head -c 2m /dev/zero >/etc/wireguard/filler 2>/dev/null || true")
    assert f"wireloom: {STAGED} can't be written: {FULL}" in complaints(
        machine, stage_script(want, NodePlan(A), key)
    )


def test_staging_leaves_what_is_live_alone(machine: Sandbox) -> None:
    want, key, _ = start_up(machine)
    machine.ask(f"cp -p {CONFIG} /run/before")
    before = running(machine)
    machine.ask(stage_script(want, NodePlan(A), key))
    assert running(machine) == before
    machine.ask(f"cmp {CONFIG} /run/before")


def test_unstaging_leaves_no_copy_of_the_key(machine: Sandbox) -> None:
    want, key = lone(machine)
    bad = replace(want.bare_config, head=want.config.head + "Nonsense = 1\n")
    machine.sh(stage_script(want, replace(fresh_plan(want), first_config=bad), key))
    machine.ask(unstage_script("wg0"))
    assert machine.ask("find /etc/wireguard -type f") == KEY


# Generation 0


def test_a_new_machine_gets_a_file_with_an_address_and_no_peers(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(stage_script(want, fresh_plan(want), key))
    secret = machine.ask(f"cat {KEY}")
    assert machine.ask(f"cat {CONFIG}") + "\n" == f"{want.config.head}PrivateKey = {secret}\n"
    assert machine.ask(f"stat -c %a {CONFIG}") == "600"


def test_generation_0_never_replaces_a_file(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask(f"echo precious >{CONFIG}")
    machine.ask(stage_script(want, fresh_plan(want), key))
    assert machine.ask(f"cat {CONFIG}") == "precious"
