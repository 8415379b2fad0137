"""The scripts of apply, run for real in a machine of its own: dash, wg, wg-quick and an interface."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.apply.pair import OTHER_KEY, A, B, desired
from tests.apply.sandbox import Sandbox, sandbox
from wireloom.apply.script import (
    Neighbour,
    commit_script,
    confirm_script,
    make_key_script,
    prove_script,
    stage_script,
    undo_script,
    unstage_script,
)
from wireloom.plan.plan import Action, Change, NodePlan
from wireloom.render.desired import NodeDesired
from wireloom.values import NodeName, PublicKey

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

CONFIG = "/etc/wireguard/wg0.conf"
KEY = "/etc/wireguard/wg0.key"
STAGED = "/etc/wireguard/.wireloom/wg0.conf"
STATE = "/var/lib/wireloom/wg0.state"
FULL = "is the disk full, or read-only?"


@pytest.fixture
def machine() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def make_key(machine: Sandbox) -> PublicKey:
    return PublicKey(machine.ask(make_key_script("wg0")).removeprefix("public_key="))


def lone(machine: Sandbox) -> tuple[NodeDesired, PublicKey]:
    """Machine `a` with a key, and what it should have: `b` as a peer that nobody has seen."""
    key = make_key(machine)
    return desired(A, a=key, b=OTHER_KEY), key


def fresh_plan(want: NodeDesired) -> NodePlan:
    """What is planned for a machine that has nothing yet."""
    peer = ("peer", str(OTHER_KEY), "endpoint", "192.0.2.2:51820", "allowed-ips", "10.99.0.2/32")
    change = Change(
        Action.CREATE,
        "peer b",
        "new",
        do=(("wg", "set", "wg0", *peer),),
        undo=(("wg", "set", "wg0", "peer", str(OTHER_KEY), "remove"),),
    )
    return NodePlan(A, (change,), first_config=want.bare_config, start=True, enable=True, config=want.config)


def start_up(machine: Sandbox) -> tuple[NodeDesired, PublicKey, NodePlan]:
    """Machine `a` staged and committed, nothing confirmed."""
    want, key = lone(machine)
    plan = fresh_plan(want)
    machine.ask(stage_script(want, plan, key))
    machine.ask(commit_script("wg0", plan))
    return want, key, plan


def running(machine: Sandbox) -> str:
    """All that a rollback must bring back: the interface as `wg` and `ip` have it."""
    return machine.ask(
        "wg showconf wg0; ip -o address show dev wg0 scope global | cut -d' ' -f 2-;"
        " ip -4 route show; cat /sys/class/net/wg0/mtu"
    )


def complaints(machine: Sandbox, script: str) -> str:
    """What a script that must fail tells the operator."""
    done = machine.sh(script)
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


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


# Commit


def test_commit_starts_the_interface_and_changes_it_in_place(machine: Sandbox) -> None:
    want, key, _ = start_up(machine)
    assert machine.ask("wg show wg0 public-key") == str(key)
    assert machine.ask("wg show wg0 endpoints") == f"{OTHER_KEY}\t192.0.2.2:51820"
    assert f"inet {want.addresses[0]} " in machine.ask("ip -o address show dev wg0")


def test_commit_has_the_interface_started_at_boot_where_there_is_no_systemd(machine: Sandbox) -> None:
    start_up(machine)
    assert machine.ask("ls /var/lib/wireloom/boot") == "wg0"


def test_commit_does_not_restart_an_interface_that_is_there(machine: Sandbox) -> None:
    _want, _, plan = start_up(machine)
    index = machine.ask("cat /sys/class/net/wg0/ifindex")
    machine.ask(commit_script("wg0", plan))
    assert machine.ask("cat /sys/class/net/wg0/ifindex") == index


def test_commit_answers_with_a_time_before_the_interface_was_started(machine: Sandbox) -> None:
    want, key = lone(machine)
    plan = fresh_plan(want)
    machine.ask(stage_script(want, plan, key))
    lines = commit_script("wg0", plan).splitlines()
    assert lines.index("echo since=$(date +%s)") < lines.index("start")
    assert re.fullmatch(r"since=\d{10,}", machine.ask(commit_script("wg0", plan)))


def test_a_command_that_fails_stops_the_commit_and_is_named(machine: Sandbox) -> None:
    start_up(machine)
    bad = Change(Action.UPDATE, "mtu", "", do=(("ip", "link", "set", "dev", "wg0", "mtu", "1"),))
    after = Change(Action.UPDATE, "port", "", do=(("wg", "set", "wg0", "listen-port", "1234"),))
    done = machine.sh(commit_script("wg0", NodePlan(A, (bad, after))))
    assert done.returncode == 1
    assert "wireloom: `ip link set dev wg0 mtu 1` failed: " in done.stderr
    assert machine.ask("wg show wg0 listen-port") == "51820"


def test_words_of_a_command_stay_words(machine: Sandbox) -> None:
    words = ("touch", "/run/$(touch", "/run/; touch pwned", "/run/a'b\"c")
    machine.sh(commit_script("wg0", NodePlan(A, (Change(Action.UPDATE, "", "", do=(words,)),))))
    assert machine.ask("ls /run").splitlines() == ["$(touch", "; touch pwned", "a'b\"c", "mount", "wireguard"]


# Undo

PEER = ("wg", "set", "wg0", "peer", str(OTHER_KEY))
CHANGES = (
    Change(
        Action.UPDATE,
        "mtu of wg0",
        "",
        do=(("ip", "link", "set", "dev", "wg0", "mtu", "1300"),),
        undo=(("ip", "link", "set", "dev", "wg0", "mtu", "1440"),),
    ),
    Change(
        Action.CREATE,
        "address 10.99.0.7/16",
        "",
        do=(("ip", "address", "replace", "10.99.0.7/16", "dev", "wg0"),),
        undo=(("ip", "address", "del", "10.99.0.7/16", "dev", "wg0"),),
    ),
    Change(
        Action.UPDATE,
        "peer b",
        "",
        do=((*PEER, "endpoint", "192.0.2.9:9", "persistent-keepalive", "25"),),
        undo=((*PEER, "endpoint", "192.0.2.2:51820", "persistent-keepalive", "0"),),
    ),
)


def test_undo_brings_the_running_state_back(machine: Sandbox) -> None:
    want, key, _ = start_up(machine)
    before = running(machine)
    plan = NodePlan(A, CHANGES)
    machine.ask(stage_script(want, plan, key))
    machine.ask(commit_script("wg0", plan))
    assert running(machine) != before
    machine.ask(undo_script("wg0", plan, want.config))
    assert running(machine) == before
    assert machine.ask(f"ls {STAGED} 2>/dev/null || echo gone") == "gone"


def test_what_can_not_be_undone_is_said_and_the_rest_is_undone(machine: Sandbox) -> None:
    want, key, _ = start_up(machine)
    machine.ask(stage_script(want, NodePlan(A), key))
    plan = NodePlan(A, CHANGES)
    machine.ask(commit_script("wg0", NodePlan(A, (CHANGES[0], CHANGES[2]))))
    said = complaints(machine, undo_script("wg0", plan, want.config))
    assert 'wireloom: undoing "ip address del 10.99.0.7/16 dev wg0" failed: ' in said
    assert machine.ask("cat /sys/class/net/wg0/mtu") == "1440"


def confirm(want: NodeDesired) -> str:
    return confirm_script("wg0", want.config, fleet="pair", generation=7, network="feed")


def test_nothing_is_undone_after_a_confirm_that_nobody_heard_of(machine: Sandbox) -> None:
    want, _key, plan = start_up(machine)
    machine.ask(confirm(want))
    before = running(machine)
    machine.ask(undo_script("wg0", plan, want.config))
    assert running(machine) == before


def test_a_staged_file_that_was_taken_away_does_not_stop_the_undo(machine: Sandbox) -> None:
    want, _key, plan = start_up(machine)
    machine.ask(f"rm {STAGED}")
    machine.ask(undo_script("wg0", plan, want.config))
    assert machine.ask("wg show wg0 peers") == ""


# Confirm


def test_confirm_puts_the_staged_file_in_place_and_notes_it(machine: Sandbox) -> None:
    want, _key, _ = start_up(machine)
    staged = machine.ask(f"cat {STAGED}")
    machine.ask(confirm(want))
    assert machine.ask(f"cat {CONFIG}") == staged
    assert machine.ask(f"stat -c %a {CONFIG}") == "600"
    assert (
        machine.ask(f"cat {STATE}") == f"fleet=pair\ngeneration=7\nnetwork=feed\ndigest={want.config.digest}"
    )


def test_a_staged_file_that_has_changed_is_not_confirmed(machine: Sandbox) -> None:
    want, _, _ = start_up(machine)
    machine.ask(f"cp {CONFIG} /run/before; echo '# more' >>{STAGED}")
    assert f"wireloom: {STAGED} has changed since it was checked" in complaints(machine, confirm(want))
    machine.ask(f"cmp {CONFIG} /run/before")
    assert machine.ask(f"test -e {STATE} || echo none") == "none"


def test_no_half_a_note_is_left_on_a_full_disk(machine: Sandbox) -> None:
    want, _, _ = start_up(machine)
    machine.ask(f"echo old >{STATE}; head -c 2m /dev/zero >/var/lib/filler 2>/dev/null || true")
    assert "wireloom: /var/lib/wireloom can't be written" in complaints(machine, confirm(want))
    assert machine.ask(f"cat {STATE}") == "old"


def test_what_is_confirmed_comes_up_again_by_wg_quick(machine: Sandbox) -> None:
    want, _key, _ = start_up(machine)
    before = running(machine)
    machine.ask(confirm(want))
    machine.ask("wg-quick down wg0 2>/dev/null; wg-quick up wg0 2>/dev/null")
    assert running(machine) == before


# Proof


@pytest.fixture(scope="module")
def meshed() -> Iterator[tuple[Sandbox, Sandbox, PublicKey]]:
    """Machines `a` and `b` that are connected and committed, and the key of `b`."""
    with ExitStack() as stack:
        a, b = stack.enter_context(sandbox()), stack.enter_context(sandbox())
        a.link(b, "192.0.2.1/24", "192.0.2.2/24")
        keys = {A: make_key(a), B: make_key(b)}
        for name, machine in ((A, a), (B, b)):
            want = desired(name, a=keys[A], b=keys[B])
            machine.ask(stage_script(want, NodePlan(name), keys[name]))
            machine.ask(confirm(want))
            machine.ask(commit_script("wg0", NodePlan(name, start=True)))
        yield a, b, keys[B]


def prove(machine: Sandbox, *neighbours: Neighbour, since: int = 0, seconds: int = 0) -> str:
    return machine.ask(prove_script("wg0", seconds, since, neighbours))


def address(name: NodeName) -> Neighbour:
    return Neighbour(desired(name).addresses[0].ip, None)


def test_a_neighbour_that_answers_is_proof(meshed: tuple[Sandbox, Sandbox, PublicKey]) -> None:
    assert prove(meshed[0], address(B), seconds=10) == ""


def test_a_fresh_handshake_is_proof(meshed: tuple[Sandbox, Sandbox, PublicKey]) -> None:
    a, _, key = meshed
    assert prove(a, replace(address(B), fresh_key=key), since=1, seconds=10) == ""


def test_an_old_handshake_is_no_proof(meshed: tuple[Sandbox, Sandbox, PublicKey]) -> None:
    a, _, key = meshed
    old = replace(address(B), fresh_key=key)
    assert prove(a, old, since=9_999_999_999) == f"unproven=10.99.0.2,{key}"


def test_a_key_that_is_nobodys_is_no_proof(meshed: tuple[Sandbox, Sandbox, PublicKey]) -> None:
    wrong = replace(address(B), fresh_key=OTHER_KEY)
    assert prove(meshed[0], wrong, since=1) == f"unproven=10.99.0.2,{OTHER_KEY}"


def test_only_who_does_not_answer_is_named(meshed: tuple[Sandbox, Sandbox, PublicKey]) -> None:
    nobody = Neighbour(desired(B).addresses[0].ip + 7, None)
    assert prove(meshed[0], address(B), nobody) == "unproven=10.99.0.9,"


def test_nobody_to_ask_is_proof_enough(meshed: tuple[Sandbox, Sandbox, PublicKey]) -> None:
    assert prove(meshed[0]) == ""


# Secrets


def test_no_step_tells_the_private_key_or_takes_it_as_an_argument(machine: Sandbox) -> None:
    """Every step with every command of it traced, and what is traced are the arguments after expansion."""
    key = PublicKey(machine.ask(make_key_script("wg0")).removeprefix("public_key="))
    want = desired(A, a=key, b=OTHER_KEY)
    plan = fresh_plan(want)
    secret = machine.ask(f"cat {KEY}")
    for script in (
        make_key_script("wg0"),
        stage_script(want, plan, key),
        commit_script("wg0", plan),
        prove_script("wg0", 0, 1, [Neighbour(desired(B).addresses[0].ip, OTHER_KEY)]),
        confirm(want),
        stage_script(want, plan, OTHER_KEY),
        undo_script("wg0", plan, want.config),
    ):
        done = machine.sh(script, shell=("dash", "-x", "-s"))
        assert "+ " in done.stderr
        assert secret not in done.stdout + done.stderr
