"""Commit, undo, confirm and proof: the scripts of apply, run for real on a running interface."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.apply.hands import (
    CHANGES,
    CONFIG,
    EARLIER,
    HAND,
    HERE,
    HISTORY,
    KEY,
    STAGED,
    STATE,
    commit,
    complaints,
    confirm,
    fresh_plan,
    lone,
    make_key,
    plan_of,
    running,
    settle,
    stage,
    start_up,
    wait_for,
)
from tests.apply.pair import OTHER_KEY, A, B, desired
from tests.apply.sandbox import Sandbox, sandbox
from wireloom.apply.script import Neighbour, make_key_script
from wireloom.plan.plan import Action, Change
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
    want, key = settle(machine)
    index = machine.ask("cat /sys/class/net/wg0/ifindex")
    plan = replace(plan_of(machine), start=True)
    machine.ask(stage(want, plan, key))
    machine.ask(commit(plan))
    assert machine.ask("cat /sys/class/net/wg0/ifindex") == index


def test_commit_answers_with_a_time_before_the_change(machine: Sandbox) -> None:
    want, key = settle(machine)
    change = Change(Action.UPDATE, "mtu", "", do=(("ip", "link", "set", "dev", "wg0", "mtu", "1300"),))
    plan = plan_of(machine, change)
    machine.ask(stage(want, plan, key))
    lines = commit(plan).splitlines()
    assert lines.index("date +since=%s") < lines.index("run ip link set dev wg0 mtu 1300")
    assert re.fullmatch(r"since=\d{10,}", machine.ask(commit(plan)))


def test_every_handshake_of_an_interface_that_starts_is_newer_than_the_change(machine: Sandbox) -> None:
    want, key = lone(machine)
    plan = fresh_plan(machine, want)
    machine.ask(stage(want, plan, key))
    assert machine.ask(commit(plan)) == "since=1"


def test_a_command_that_fails_stops_the_commit_and_is_named(machine: Sandbox) -> None:
    want, key = settle(machine)
    bad = Change(Action.UPDATE, "mtu", "", do=(("ip", "link", "set", "dev", "wg0", "mtu", "1"),))
    after = Change(Action.UPDATE, "port", "", do=(("wg", "set", "wg0", "listen-port", "1234"),))
    plan = plan_of(machine, bad, after)
    machine.ask(stage(want, plan, key))
    done = machine.sh(commit(plan))
    assert done.returncode == 1
    assert "wireloom: `ip link set dev wg0 mtu 1` failed: " in done.stderr
    assert machine.ask("wg show wg0 listen-port") == "51820"


def test_words_of_a_command_stay_words(machine: Sandbox) -> None:
    want, key = lone(machine)
    machine.ask("mkdir /run/words")
    words = ("touch", "/run/words/$(touch", "/run/words/; touch pwned", "/run/words/a'b\"c")
    plan = plan_of(machine, Change(Action.UPDATE, "", "", do=(words,)))
    machine.ask(stage(want, plan, key))
    machine.ask(commit(plan))
    assert machine.ask("ls /run/words").splitlines() == ["$(touch", "; touch pwned", "a'b\"c"]


def test_nothing_is_committed_that_was_taken_back_before(machine: Sandbox) -> None:
    """The operator was interrupted: what undoes it may come to the machine before it."""
    want, key = settle(machine)
    before = running(machine)
    plan = plan_of(machine, *CHANGES)
    machine.ask(stage(want, plan, key))
    machine.ask(HAND.withdraw())
    said = complaints(machine, commit(plan))
    assert said.startswith("wireloom: this apply has this machine no more: ")
    assert running(machine) == before


def test_what_undoes_a_commit_waits_for_it(machine: Sandbox) -> None:
    want, key = settle(machine)
    before = running(machine)
    slow = Change(Action.UPDATE, "", "", do=(("sleep", "1"),))
    plan = plan_of(machine, slow, *CHANGES)
    machine.ask(stage(want, plan, key))
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(machine.sh, commit(plan))
        wait_for(machine, f"test -e {HERE}/change/before")
        assert machine.ask(HAND.withdraw()) == "outcome=undone"
        assert done.result().returncode == 0
    assert running(machine) == before


def test_what_was_started_does_not_hold_the_lock(machine: Sandbox) -> None:
    start_up(machine)
    machine.ask("flock -n /run/wireloom/wg0/busy true")


def test_an_interface_that_does_not_start_says_why_in_wg_quicks_own_words(machine: Sandbox) -> None:
    want, key = lone(machine)
    plan = fresh_plan(machine, want)
    machine.ask(stage(want, plan, key))
    machine.ask("sed -i 's/^MTU.*/MTU = 1/' /etc/wireguard/wg0.conf")
    said = complaints(machine, commit(plan).replace("echo since=", ": since="))
    assert said.startswith("wireloom: wg-quick up wg0 failed: ")
    assert "[#]" not in said
    assert said.count("\n") == 1


# Confirm


def test_confirm_puts_the_staged_file_in_place_and_notes_it(machine: Sandbox) -> None:
    want, _key, _ = start_up(machine)
    staged = machine.ask(f"cat {STAGED}")
    machine.ask(confirm(want))
    assert machine.ask(f"cat {CONFIG}") == staged
    assert machine.ask(f"stat -c %a {CONFIG}") == "600"
    noted = f"fleet=pair\ngeneration=7\nnetwork=feed\ndigest={want.config.digest}\napply=f00d"
    assert machine.ask(f"cat {STATE}") == noted


def test_the_history_holds_the_generation_without_its_key(machine: Sandbox) -> None:
    want, _ = settle(machine)
    kept = machine.ask(f"cat {HISTORY}/7")
    assert kept.startswith("# who: ada@desk\n")
    assert kept.endswith(want.config.keyless.rstrip("\n"))
    assert machine.ask(f"cat {KEY}") not in kept
    assert machine.ask(f"stat -c %a {HISTORY}/7") == "600"


def test_the_last_fifty_generations_are_kept(machine: Sandbox) -> None:
    want, key = settle(machine)
    machine.ask(f"cd {HISTORY}; rm 7; seq 3 52 | xargs touch")
    plan = plan_of(machine)
    machine.ask(stage(want, plan, key, generation=101))
    machine.ask(commit(plan))
    machine.ask(confirm(want))
    assert machine.ask(f"ls {HISTORY} | sort -n").split() == [*map(str, range(4, 53)), "101"]


def test_a_machine_that_was_not_heard_confirms_again(machine: Sandbox) -> None:
    want, _ = settle(machine)
    noted = machine.ask(f"cat {STATE}; ls {HISTORY}")
    assert machine.ask(confirm(want, hand=EARLIER)) == "outcome=confirmed"
    assert machine.ask(f"cat {STATE}; ls {HISTORY}") == noted


def test_what_is_confirmed_comes_up_again_by_wg_quick(machine: Sandbox) -> None:
    settle(machine)
    before = running(machine)
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
            plan = replace(fresh_plan(machine, want), name=name, changes=())
            machine.ask(stage(want, plan, keys[name]))
            machine.ask(commit(plan))
            machine.ask(confirm(want))
            machine.ask("wg-quick down wg0 2>/dev/null; wg-quick up wg0 2>/dev/null")
        yield a, b, keys[B]


def prove(machine: Sandbox, *neighbours: Neighbour, since: int = 0, seconds: int = 0) -> str:
    """Without a look whether the change still waits: here it was confirmed long ago."""
    return machine.ask(HAND.prove(seconds, since, neighbours).replace(f"\nwaits {HAND.id}\n", "\n"))


def test_nothing_is_proven_that_waits_no_more(meshed: tuple[Sandbox, Sandbox, PublicKey]) -> None:
    said = complaints(meshed[0], HAND.prove(0, 0, [address(B)]))
    assert said.startswith("wireloom: the change is not here any more: ")


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


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_no_step_tells_a_key_or_takes_it_as_an_argument(machine: Sandbox, shell: str) -> None:
    """Every step with every command of it traced, and what is traced are the arguments after expansion."""
    want, key = settle(machine)
    machine.ask("(umask 077; wg genpsk >/run/preshared)")
    machine.ask(f"wg set wg0 peer {OTHER_KEY} preshared-key /run/preshared")
    secrets = [machine.ask(f"cat {KEY}"), machine.ask("cat /run/preshared")]
    plan = plan_of(machine, CHANGES[0])
    neighbour = Neighbour(desired(B).addresses[0].ip, OTHER_KEY)
    traced = ""
    for script, expected in (
        (make_key_script("wg0"), 0),
        (stage(want, plan, key, generation=8, heard=(neighbour,)), 0),
        (commit(plan), 0),
        (HAND.beat(60), 0),
        (HAND.prove(0, 1, [neighbour]), 0),
        (f"sh -x {HERE}/change/undo.sh now", 0),
        (stage(want, replace(plan_of(machine, CHANGES[0])), key, generation=9), 0),
        (commit(plan), 0),
        (confirm(want), 0),
        (stage(want, plan_of(machine), OTHER_KEY), 1),
        (HAND.withdraw(), 0),
    ):
        done = machine.sh(script, shell=(shell, "-x", "-s"))
        assert "+ " in done.stderr
        assert done.returncode == expected, done.stderr[-2000:]
        traced += done.stdout + done.stderr
    assert "+ wg pubkey" in traced
    assert not [secret for secret in secrets if secret in traced]
