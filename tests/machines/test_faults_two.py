"""Two operators at once, one who is gone, and a plan from yesterday."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from signal import SIGCONT, SIGSTOP

from tests.machines.patience import wait_for
from tests.machines.trial import Told, Trial

MTU = "cat /sys/class/net/wg0/mtu"
LINE = """\
table ip line {
    chain out { type filter hook output priority 0; ip saddr 203.0.113.254 tcp dport 22 drop; }
    chain in { type filter hook input priority 0; ip daddr 203.0.113.254 tcp sport 22 drop; }
}
"""


@contextmanager
def moved(trial: Trial) -> Iterator[None]:
    """The operator's place has another address from now on; what came from the first one is dropped."""
    space = trial.group.space
    space.run("ip", "address", "add", "203.0.113.253/32", "dev", "br0")
    space.run("ip", "route", "replace", "203.0.113.0/24", "dev", "br0", "src", "203.0.113.253")
    space.run("nft", LINE)
    try:
        yield
    finally:
        space.run("nft", "delete", "table", "ip", "line")
        space.run("ip", "route", "replace", "203.0.113.0/24", "dev", "br0", "src", "203.0.113.254")
        space.run("ip", "address", "del", "203.0.113.253/32", "dev", "br0")


def old_connections(trial: Trial) -> str:
    """Those of the operator from where they were first."""
    return trial.group.space.run("ss", "-Htn", "state", "established", "src", "203.0.113.254")


def test_the_second_is_told_who_is_at_work_and_since_when(trial: Trial) -> None:
    second: list[Told] = []
    fault = {"step": "prove", "node": "cp1", "when": "before"}
    first = trial.strike(fault, lambda: second.append(trial.apply()))
    assert (first.code, second[0].code) == (0, 1), first.text + second[0].text
    assert "held by root@" in second[0].why("w1")
    assert " since 20" in second[0].why("w1")
    assert {second[0][name] for name in ("cp1", "w1", "db1")} == {("failed", "stage")}
    trial.all_have(trial.wanted)
    trial.converges()


def test_machines_are_free_again_when_an_operator_has_lost_the_line(trial: Trial) -> None:
    """A laptop falls asleep and wakes up somewhere else: no connection ends, and no word comes for a while.

    The second operator waits for real, until the leases have run out; the first is too late then.
    """
    told: list[Told] = []

    def second() -> bool:
        told.append(trial.apply())
        return told[-1].code == 0

    def sleep_and_wake() -> None:
        assert trial.struck
        trial.struck.send_signal(SIGSTOP)
        began = time.monotonic()
        wait_for(second, lambda: told[-1].text, seconds=60, pause=1)
        print(f"free, and applied, {time.monotonic() - began:.1f} s after the line was cut")
        trial.struck.send_signal(SIGCONT)
        # First it notices that its connections are dead: what it sends over one may be done, and is pending.
        wait_for(lambda: not old_connections(trial), lambda: "an old connection lives on", seconds=60)

    fault = {"step": "stage", "node": "cp1", "when": "after", "keepalive": "1"}
    with ExitStack() as stack:

        def leave() -> None:
            stack.enter_context(moved(trial))
            sleep_and_wake()

        first = trial.strike(fault, leave)
    assert len(told) > 1
    assert "held by root@" in told[0].text
    assert "s at the latest" in told[0].text
    assert first.code == 1, first.text
    assert "no more" in first.text
    trial.all_have(trial.wanted)
    trial.converges()


def test_the_lease_of_an_operator_who_died_is_told_and_runs_out(trial: Trial) -> None:
    trial.killed("stage", "w1", "after")
    refused = trial.apply()
    assert (refused.code, "held by root@" in refused.text) == (1, True), refused.text
    assert trial.standing() == dict.fromkeys(trial.standing(), trial.present)
    trial.converges()


def test_a_saved_plan_is_refused_where_a_machine_has_changed_since(trial: Trial) -> None:
    operator, w1 = trial.world, trial["w1"]
    operator.run("plan", "--yes", "-o", "later", expect=2)
    before = w1.shell(MTU)
    w1.run("ip", "link", "set", "wg0", "mtu", "1300")
    refused = operator.run("apply", "later", expect=1)
    assert "w1" in refused.stdout + refused.stderr
    w1.run("ip", "link", "set", "wg0", "mtu", before.strip())
    trial.all_have(trial.present)
    trial.converges()


def test_a_machine_that_changes_between_look_and_stage_stops_it_all(trial: Trial) -> None:
    w1 = trial["w1"]
    told = trial.strike(
        {"step": "stage", "node": "w1", "when": "before"},
        lambda: w1.run("ip", "link", "set", "wg0", "mtu", "1300"),
    )
    assert (told.code, told["w1"]) == (1, ("failed", "stage")), told.text
    assert "it has changed since it was looked at: plan again" in told.why("w1")
    assert trial.standing(["cp1", "db1"]) == {"cp1": trial.present, "db1": trial.present}
    trial.converges()
