"""A change that waits on its machine: it undoes itself, or is confirmed, or taken back. All run for real."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.apply.hands import (
    BEN,
    CHANGES,
    CONFIG,
    HAND,
    HERE,
    HISTORY,
    STAGED,
    STATE,
    WAITING,
    WHEN,
    change,
    commit,
    complaints,
    confirm,
    fresh_plan,
    left,
    lone,
    look,
    plan_of,
    remade,
    running,
    settle,
    stage,
    start_up,
    wait_for,
)
from tests.apply.pair import OTHER_KEY
from tests.apply.sandbox import Sandbox
from wireloom.apply.script import Hand, make_key_script
from wireloom.plan.plan import Action, Change

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

UNDONE = f"! test -e {HERE}/change"
GONE = "wireloom: this apply has this machine no more: it was restarted, or its clock took the change back\n"
SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]


def set_deadline(machine: Sandbox, seconds: float) -> None:
    """The change that waits is undone so many seconds from now."""
    machine.ask(
        f"read -r now _ </proc/uptime; now=${{now%.*}}${{now#*.}};"
        f" echo $((now + {round(seconds * 100)})) >{HERE}/change/deadline"
    )


def files(machine: Sandbox) -> str:
    """All that a restart of the machine would read, and what wireloom knows of it."""
    return machine.ask(f"sha256sum {CONFIG}; cat {STATE}; ls {HISTORY} | grep -v next")


# By itself


def test_a_change_that_nobody_confirms_undoes_itself_and_leaves_nothing(machine: Sandbox) -> None:
    want, key = settle(machine)
    before, filed = running(machine), files(machine)
    plan = plan_of(machine, *CHANGES)
    machine.ask(stage(remade(want), plan, key, generation=8))
    machine.ask(commit(plan, seconds=1))
    assert running(machine) != before
    wait_for(machine, UNDONE)
    assert (running(machine), files(machine)) == (before, filed)
    assert left(machine) == ""


def test_a_new_machine_whose_change_undoes_itself_is_left_without_peers(machine: Sandbox) -> None:
    start_up(machine, seconds=1)
    wait_for(machine, UNDONE)
    assert machine.ask("wg show wg0 peers") == ""
    assert machine.ask(f"test -e {STATE} || echo none") == "none"


def test_a_new_machine_that_keeps_a_peer_is_not_as_it_was(machine: Sandbox) -> None:
    want, key = lone(machine)
    plan = fresh_plan(machine, want)
    plan = replace(plan, changes=tuple(replace(change, undo=()) for change in plan.changes))
    machine.ask(stage(want, plan, key))
    machine.ask(commit(plan))
    done = machine.sh(HAND.withdraw())
    assert done.stdout == "outcome=half_undone\n"
    assert f"wireloom: not as before: >peer {OTHER_KEY} allowed 10.99.0.2/32" in done.stderr


def test_a_beat_gives_it_more_time(machine: Sandbox) -> None:
    want, _ = change(machine)
    set_deadline(machine, 1)
    machine.ask(HAND.beat(60))
    machine.ask("sleep 1.6")
    assert machine.ask(confirm(want)) == "outcome=confirmed"


def test_a_beat_without_seconds_gives_it_none(machine: Sandbox) -> None:
    change(machine)
    set_deadline(machine, 1)
    machine.ask(HAND.beat())
    wait_for(machine, UNDONE)


def test_more_time_given_at_the_last_moment_keeps_nobody_out(machine: Sandbox) -> None:
    """What undoes it has seen the deadline pass, waits its turn, and then finds that it is not time yet."""
    want, _ = change(machine)
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(machine.sh, f"exec 9>>{HERE}/busy; flock 9; touch /run/mine; sleep 2")
        wait_for(machine, "test -e /run/mine")
        set_deadline(machine, -1)
        machine.ask("sleep 1")
        set_deadline(machine, 60)
        assert busy.result().returncode == 0
    machine.ask("sleep 0.3")
    machine.ask(f"flock -w 1 {HERE}/busy true")
    assert machine.ask(confirm(want)) == "outcome=confirmed"


def test_what_waited_in_vain_does_not_end_the_step_of_another(machine: Sandbox) -> None:
    """It looks up every half second; by then the next apply may be at work, and slow."""
    want, _ = change(machine)
    machine.ask(confirm(want))
    slow = f"exec 9>>{HERE}/busy; flock 9; echo $$ >{HERE}/busy; sleep 7; echo done"
    assert machine.sh(slow).stdout == "done\n"


def test_a_step_that_hangs_does_not_keep_it_from_being_undone(machine: Sandbox) -> None:
    want, key = settle(machine)
    before = running(machine)
    plan = plan_of(machine, CHANGES[0], Change(Action.UPDATE, "", "", do=(("sleep", "1000"),)))
    machine.ask(stage(want, plan, key))
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(machine.sh, commit(plan, seconds=1))
        wait_for(machine, f"test -e {HERE}/change/before")
        wait_for(machine, UNDONE)
        assert hung.result().returncode != 0
    assert running(machine) == before
    assert machine.ask("pgrep -x sleep -a | grep 1000 || true") == ""


def test_an_interface_that_was_deleted_meanwhile_comes_back_by_the_old_file(machine: Sandbox) -> None:
    settle(machine)
    before = running(machine)
    again = plan_of(machine, CHANGES[0])
    want, key = lone(machine)
    machine.ask(stage(remade(want), again, key, generation=8))
    machine.ask(commit(again))
    machine.ask("ip link delete wg0; rm -f /run/wireguard/wg0.sock")
    assert machine.ask(HAND.withdraw()) == "outcome=undone"
    assert running(machine) == before


def test_a_restart_is_a_rollback(machine: Sandbox) -> None:
    want, _ = change(machine)
    machine.ask("wg-quick down wg0 2>/dev/null; rm -r /run/wireloom; wg-quick up wg0 2>/dev/null")
    assert machine.ask("cat /sys/class/net/wg0/mtu") == "1440"
    said = complaints(machine, confirm(want))
    assert said == GONE
    assert machine.ask(HAND.withdraw()) == "outcome=untouched"
    assert left(machine) == ""


# Taken back


def test_withdrawing_says_how_far_it_had_come(machine: Sandbox) -> None:
    want, key = settle(machine)
    before, filed = running(machine), files(machine)
    assert machine.ask(HAND.withdraw()) == "outcome=untouched"
    machine.ask(HAND.hold())
    assert machine.ask(HAND.withdraw()) == "outcome=untouched"
    plan = plan_of(machine, *CHANGES)
    machine.ask(stage(remade(want), plan, key, generation=8))
    assert machine.ask(HAND.withdraw()) == "outcome=untouched"
    assert left(machine) == ""
    machine.ask(stage(remade(want), plan, key, generation=8))
    machine.ask(commit(plan))
    assert machine.ask(HAND.withdraw()) == "outcome=undone"
    assert (running(machine), files(machine)) == (before, filed)
    assert left(machine) == ""
    assert machine.ask(HAND.withdraw()) == "outcome=untouched"


def test_a_commit_that_failed_half_way_is_undone(machine: Sandbox) -> None:
    want, key = settle(machine)
    before = running(machine)
    bad = Change(Action.UPDATE, "", "", do=(("false",),))
    plan = plan_of(machine, CHANGES[0], bad)
    machine.ask(stage(want, plan, key))
    assert "wireloom: `false` failed: " in machine.sh(commit(plan)).stderr
    assert machine.ask(HAND.withdraw()) == "outcome=undone"
    assert running(machine) == before


def test_what_can_not_be_undone_is_said_and_the_rest_is_undone(machine: Sandbox) -> None:
    want, key = settle(machine)
    stubborn = replace(CHANGES[1], undo=(("ip", "address", "del", "10.99.0.77/16", "dev", "wg0"),))
    plan = plan_of(machine, CHANGES[0], stubborn)
    machine.ask(stage(want, plan, key, generation=8))
    machine.ask(commit(plan))
    done = machine.sh(HAND.withdraw())
    assert (done.returncode, done.stdout) == (0, "outcome=half_undone\n")
    assert "wireloom: undoing `ip address del 10.99.0.77/16 dev wg0` failed: " in done.stderr
    assert "wireloom: not as before: " in done.stderr
    assert "address 10.99.0.7/16" in done.stderr
    assert machine.ask("cat /sys/class/net/wg0/mtu") == "1440"
    assert left(machine) == ""


def test_a_staged_file_that_was_taken_away_does_not_stop_the_undo(machine: Sandbox) -> None:
    change(machine)
    machine.ask(f"rm {STAGED}")
    assert machine.ask(HAND.withdraw()) == "outcome=undone"
    assert machine.ask("cat /sys/class/net/wg0/mtu") == "1440"


def test_nobody_takes_the_change_of_another_back(machine: Sandbox) -> None:
    want, _ = change(machine)
    assert machine.ask(BEN.withdraw()) == "outcome=untouched"
    assert machine.ask(confirm(want)) == "outcome=confirmed"


def test_nothing_is_undone_after_a_confirm_that_nobody_heard_of(machine: Sandbox) -> None:
    want, _ = change(machine)
    machine.ask(confirm(want))
    after, filed = running(machine), files(machine)
    assert machine.ask(HAND.withdraw()) == "outcome=confirmed"
    assert (running(machine), files(machine)) == (after, filed)


def test_a_confirm_that_was_cut_off_after_its_rename_counts(machine: Sandbox) -> None:
    """The machine, or the script, ended between the rename and the notes."""
    want, _ = change(machine)
    machine.ask(f"mv {STAGED} {CONFIG}")
    after = running(machine)
    set_deadline(machine, -1)
    wait_for(machine, UNDONE)
    assert running(machine) == after
    assert machine.ask(confirm(want)) == "outcome=confirmed"
    assert machine.ask(HAND.withdraw()) == "outcome=confirmed"
    assert "generation=8" in machine.ask(f"cat {STATE}")
    assert machine.ask(f"ls {HISTORY}").split() == ["7", "8"]
    assert left(machine) == ""


def test_a_restart_right_after_the_rename_of_a_confirm_is_a_confirm(machine: Sandbox) -> None:
    want, _ = change(machine)
    machine.ask(f"mv {STAGED} {CONFIG}; wg-quick down wg0 2>/dev/null; rm -r /run/wireloom")
    assert machine.ask(confirm(want)) == "outcome=confirmed"
    assert "generation=8" in machine.ask(f"cat {STATE}")


def test_withdrawing_while_something_else_decides_tells_what_was_decided(machine: Sandbox) -> None:
    change(machine)
    with ThreadPoolExecutor(1) as pool:
        machine.ask(
            f"flock {HERE}/busy sh -c 'touch /run/mine; sleep 1; rm -r {HERE}/change' >/dev/null 2>&1 &"
        )
        wait_for(machine, "test -e /run/mine")
        withdrawn = pool.submit(machine.ask, HAND.withdraw())
        assert withdrawn.result() == "outcome=undone"


# Confirmed


def test_confirming_leaves_nothing_to_wait_for(machine: Sandbox) -> None:
    want, _ = change(machine)
    after = running(machine)
    assert machine.ask(confirm(want)) == "outcome=confirmed"
    assert "MTU = 1300" in machine.ask(f"cat {CONFIG}")
    assert machine.ask(f"ls {HISTORY}").split() == ["7", "8"]
    assert running(machine) == after
    assert left(machine) == ""
    machine.ask(BEN.hold())


def test_a_change_is_not_confirmed_after_its_deadline(machine: Sandbox) -> None:
    want, _ = change(machine)
    filed = files(machine)
    machine.ask(f"kill -STOP $({WAITING})")
    set_deadline(machine, -1)
    said = complaints(machine, confirm(want))
    assert said == "wireloom: this change was confirmed too late, and is taken back\n"
    machine.ask(f"kill -CONT $({WAITING})")
    wait_for(machine, UNDONE)
    assert files(machine) == filed


def test_a_change_that_was_taken_back_is_not_confirmed(machine: Sandbox) -> None:
    want, _ = change(machine)
    machine.ask(HAND.withdraw())
    filed = files(machine)
    said = complaints(machine, confirm(want))
    assert said == GONE
    machine.ask(HAND.hold())
    said = complaints(machine, confirm(want))
    assert said == "wireloom: this change was taken back before it was confirmed\n"
    assert files(machine) == filed


def test_a_change_that_was_taken_back_is_not_confirmed_where_its_file_is_the_old_one(
    machine: Sandbox,
) -> None:
    want, key = settle(machine)
    plan = plan_of(machine, *CHANGES)
    machine.ask(stage(want, plan, key, generation=8))
    machine.ask(commit(plan))
    machine.ask(HAND.withdraw())
    complaints(machine, confirm(want))


@pytest.mark.parametrize(
    ("meddle", "told"),
    [
        ("ip link set dev wg0 mtu 1234", "mtu 1234"),
        ("ip address add 10.99.0.8/16 dev wg0", "address 10.99.0.8/16"),
        ("ip link set dev wg0 down", "link down"),
    ],
)
def test_a_change_that_was_meddled_with_is_not_confirmed(machine: Sandbox, meddle: str, told: str) -> None:
    want, _ = change(machine)
    filed = files(machine)
    machine.ask(meddle)
    said = complaints(machine, confirm(want))
    assert said.startswith("wireloom: what runs is not what was committed: ")
    assert told in said
    assert files(machine) == filed


def test_a_staged_file_that_has_changed_is_not_confirmed(machine: Sandbox) -> None:
    want, _ = change(machine)
    filed = files(machine)
    machine.ask(f"echo '# more' >>{STAGED}")
    assert f"wireloom: {STAGED} has changed since it was checked" in complaints(machine, confirm(want))
    assert files(machine) == filed


def test_a_full_disk_does_not_stop_a_confirm(machine: Sandbox) -> None:
    want, _ = change(machine)
    for where in ("/var/lib", "/etc/wireguard"):
        machine.ask(f"head -c 2m /dev/zero >{where}/filler 2>/dev/null || true")
    assert machine.ask(confirm(want)) == "outcome=confirmed"
    assert "generation=8" in machine.ask(f"cat {STATE}")


def test_of_confirm_and_timer_at_the_same_moment_one_wins(machine: Sandbox) -> None:
    want, key = settle(machine)
    other = remade(want)
    mtu = {want.config.digest: "1440", other.config.digest: "1300"}
    now, then = want, other
    winners = set()
    for generation in range(8, 28):
        there = f"{mtu[then.config.digest]}"
        back = f"{mtu[now.config.digest]}"
        flip = Change(
            Action.UPDATE,
            "mtu of wg0",
            "",
            do=(("ip", "link", "set", "dev", "wg0", "mtu", there),),
            undo=(("ip", "link", "set", "dev", "wg0", "mtu", back),),
        )
        plan = plan_of(machine, flip)
        hand = Hand("wg0", f"{generation:04x}", "ada@desk", WHEN)
        machine.ask(stage(then, plan, key, hand=hand, generation=generation))
        machine.ask(commit(plan, hand=hand))
        set_deadline(machine, 0.02 * (generation % 10))
        won = machine.sh(confirm(then, hand=hand)).stdout == "outcome=confirmed\n"
        wait_for(machine, UNDONE)
        wins = then if won else now
        assert machine.ask("cat /sys/class/net/wg0/mtu") == mtu[wins.config.digest]
        assert f"MTU = {mtu[wins.config.digest]}" in machine.ask(f"cat {CONFIG}")
        assert (f"generation={generation}" in machine.ask(f"cat {STATE}")) is won
        assert (str(generation) in machine.ask(f"ls {HISTORY}").split()) is won
        assert left(machine) == ""
        winners.add(won)
        if won:
            now, then = then, now
    assert winners == {True, False}


# Every shell

ALL_OF_IT = """
for applet in $(busybox --list); do
    case $applet in ip | ipneigh | ipcalc | sh) ;; *) ln -s busybox "$applet" ;; esac
done
"""
"""BusyBox's programs before all others, as on Alpine, but for `ip`: iproute2 is asked for there."""


@pytest.mark.parametrize(("shell", "more"), [*((name, "") for name in SHELLS), ("busybox", ALL_OF_IT)])
def test_every_shell_runs_the_scripts(machine: Sandbox, shell: str, more: str) -> None:
    command = {"dash": ("dash",), "bash": ("bash", "--posix"), "busybox": ("busybox", "sh")}[shell]

    def ask(script: str) -> str:
        done = machine.sh(script, shell=(*command, "-s"))
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    # What the machine calls `sh` is what undoes a change.
    machine.ask(
        f"cp $(command -v {shell}) /run/{shell}; mount -t tmpfs sbin /usr/local/sbin;"
        f" cd /usr/local/sbin; cp /run/{shell} .; ln -s {shell} sh; {more}"
    )
    found = look(machine, (*command, "-s"))
    assert found.garbled == ()
    assert found.system.clock
    assert [disk.free for disk in found.ground.disks if disk.free]
    key = ask(make_key_script("wg0"))
    assert key.startswith("public_key=")
    want, public = lone(machine)
    plan = fresh_plan(machine, want)
    assert ask(stage(want, plan, public)) == ""
    assert ask(commit(plan)).startswith("since=")
    assert ask(HAND.prove(0, 1, ())) == ""
    assert ask(HAND.beat(60)) == ""
    assert ask(confirm(want)) == "outcome=confirmed\n"
    before = running(machine)
    plan = plan_of(machine, *CHANGES)
    for seconds in (60, 1):
        hand = Hand("wg0", f"{seconds:04x}", "ada@desk", WHEN)
        assert ask(stage(remade(want), plan, public, hand=hand, generation=8)) == ""
        ask(commit(plan, hand=hand, seconds=seconds))
        if seconds == 60:
            assert "held by ada@desk" in machine.sh(BEN.hold(), shell=(*command, "-s")).stderr
            assert ask(hand.withdraw()) == "outcome=undone\n"
        wait_for(machine, UNDONE)
        assert running(machine) == before
    assert left(machine) == ""
