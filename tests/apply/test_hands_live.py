"""Commit, undo, confirm and proof: the scripts of apply, run for real on a running interface."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.apply.hands import (
    CONFIG,
    KEY,
    STAGED,
    STATE,
    complaints,
    confirm,
    fresh_plan,
    lone,
    make_key,
    running,
    start_up,
)
from tests.apply.pair import OTHER_KEY, A, B, desired
from tests.apply.sandbox import Sandbox, sandbox
from wireloom.apply.script import (
    Neighbour,
    commit_script,
    make_key_script,
    prove_script,
    stage_script,
    undo_script,
)
from wireloom.plan.plan import Action, Change, NodePlan
from wireloom.values import NodeName, PublicKey

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

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
    want, key = lone(machine)
    machine.ask("mkdir /run/words")
    words = ("touch", "/run/words/$(touch", "/run/words/; touch pwned", "/run/words/a'b\"c")
    machine.ask(stage_script(want, NodePlan(A), key))
    machine.ask(commit_script("wg0", NodePlan(A, (Change(Action.UPDATE, "", "", do=(words,)),))))
    assert machine.ask("ls /run/words").splitlines() == ["$(touch", "; touch pwned", "a'b\"c"]


def test_nothing_is_committed_that_was_taken_back_before(machine: Sandbox) -> None:
    """The operator was interrupted: what undoes it may come to the machine before it."""
    want, key, _ = start_up(machine)
    before = running(machine)
    machine.ask(stage_script(want, NodePlan(A), key))
    machine.ask(undo_script("wg0", NodePlan(A), want.config))
    said = complaints(machine, commit_script("wg0", NodePlan(A, CHANGES)))
    assert said == "wireloom: what was staged is gone: this change was taken back\n"
    assert running(machine) == before


def test_what_undoes_a_commit_waits_for_it(machine: Sandbox) -> None:
    want, key, _ = start_up(machine)
    before = running(machine)
    slow = Change(Action.UPDATE, "", "", do=(("sleep", "1"),))
    plan = NodePlan(A, (slow, *CHANGES))
    machine.ask(stage_script(want, plan, key))
    with ThreadPoolExecutor(1) as pool:
        commit = pool.submit(machine.sh, commit_script("wg0", plan))
        machine.ask("until ! flock -n /run/wireloom-wg0.busy true; do sleep 0.02; done")
        machine.ask(undo_script("wg0", plan, want.config))
        assert commit.result().returncode == 0
    assert running(machine) == before


def test_what_was_started_does_not_hold_the_lock(machine: Sandbox) -> None:
    start_up(machine)
    machine.ask("flock -n /run/wireloom-wg0.busy true")


def test_an_interface_that_does_not_start_says_why_in_wg_quicks_own_words(machine: Sandbox) -> None:
    want, key = lone(machine)
    plan = fresh_plan(want)
    machine.ask(stage_script(want, plan, key))
    machine.ask("sed -i 's/^MTU.*/MTU = 1/' /etc/wireguard/wg0.conf")
    said = complaints(machine, commit_script("wg0", plan).replace("echo since", ": echo since"))
    assert said.startswith("wireloom: wg-quick up wg0 failed: ")
    assert "[#]" not in said
    assert said.count("\n") == 1


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
            machine.ask(stage_script(want, NodePlan(name), keys[name]))
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
