"""Clocks that are late, and an undo that fails itself."""

import time

import pytest

from tests.machines.machine import Machine
from tests.machines.spoils import hidden
from tests.machines.trial import Trial

BROKEN_IP = """\
#!/bin/sh
case "$1 $2" in
"link set" | "address add" | "address del" | "address replace") echo "no, said the kernel" >&2; exit 2 ;;
esac
exec /usr/sbin/ip "$@"
"""
CUT = "table ip firewall { chain in { type filter hook input priority 0; udp dport 51820 drop; }; }"


def stop_the_timer_and_wait(machine: Machine) -> None:
    """Until the change has no time left, and longer."""
    machine.run("systemctl", "stop", "wireloom-wg0-*.timer")
    machine.shell(
        "read -r end </run/wireloom/wg0/change/deadline;"
        " while read -r now _ </proc/uptime; test $(echo $now | tr -d .) -le $end; do sleep 0.1; done"
    )


def test_what_is_confirmed_too_late_is_taken_back(trial: Trial) -> None:
    """The timer of one node did not fire; those of the others did."""
    w1 = trial["w1"]
    told = trial.strike(
        {"step": "prove", "node": "w1", "when": "after"}, lambda: stop_the_timer_and_wait(w1), window="5s"
    )
    assert (told.code, told["w1"]) == (1, ("failed", "confirm")), told.text
    assert "confirmed too late, and is taken back" in told.why("w1")
    time.sleep(0.1)
    trial.settle()
    assert trial.standing(["w1"]) == {"w1": trial.present}
    trial.in_touch()
    trial.converges()


def break_ip(machine: Machine) -> None:
    machine.write("/usr/local/sbin/ip", BROKEN_IP)
    machine.run("chmod", "755", "/usr/local/sbin/ip")


@pytest.mark.parametrize("late", [False, True], ids=["asked to", "by its clock"])
def test_an_undo_that_fails_half_way_says_so_and_the_next_apply_mends_it(trial: Trial, late: bool) -> None:
    w1, db1 = trial["w1"], trial["db1"]

    def spoil() -> None:
        break_ip(w1)
        if late:
            trial.settle(["w1"])
        else:
            db1.run("nft", "-f", "-", stdin=CUT)  # so that there is something to undo

    fault = {"step": "commit", "node": "w1", "when": "after"}
    try:
        told = trial.strike(fault, spoil, window="5s" if late else "10s")
    finally:
        w1.run("rm", "/usr/local/sbin/ip")
        db1.run("nft", "delete", "table", "ip", "firewall", expect=None)
    assert (told.code, told["w1"][0]) == (1, "failed"), told.text
    assert "taken back, but not whole" in told.why("w1")
    assert "no, said the kernel" in told.why("w1")
    assert "mtu " in told.why("w1").partition("not as before: ")[2]
    looks = trial.settle()
    assert {name: one.left for name, one in looks.items() if one.left} == {}
    assert trial.standing(["cp1", "db1"]) == {"cp1": trial.present, "db1": trial.present}
    assert trial.standing(["w1"], spoilt=["w1"]) == {"w1": trial.present}
    trial.write(trial.present)
    assert ("w1", "update", "mtu of wg0") in trial.world.changes()
    trial.write(trial.wanted)
    trial.converges()


TOOLS = {"wg": "/usr/bin/wg", "ip": "/usr/bin/ip", "nft": "/usr/sbin/nft"}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_is_missing_is_told_before_anything_happens(trial: Trial, tool: str) -> None:
    path = trial["w1"].shell(f"readlink -f $(command -v {tool})").strip()
    with hidden(trial["w1"], path):
        refused = trial.apply()
    assert refused.code == 1, refused.text
    assert f"{tool} not found" in refused.text
    assert "w1" in refused.text
    trial.all_have(trial.present)


def test_a_tool_that_goes_missing_after_the_plan_stops_the_stage(trial: Trial) -> None:
    w1 = trial["w1"]
    wg = "/usr/bin/wg"
    told = trial.strike(
        {"step": "stage", "node": "w1", "when": "before"}, lambda: w1.run("mv", wg, f"{wg}.hidden")
    )
    w1.run("mv", f"{wg}.hidden", wg)
    assert (told.code, told["w1"]) == (1, ("failed", "stage")), told.text
    trial.all_have(trial.present)
    trial.converges()
