"""Nodes that can't be reached, in silence and at every step; SSH servers that end connections."""

import pytest

from tests.machines.machine import Machine
from tests.machines.trial import Trial


def test_half_of_the_fleet_is_unreachable(trial: Trial) -> None:
    with trial["w1"].cut_off(), trial["db1"].cut_off():
        told = trial.apply()
    assert (told.code, told["cp1"]) == (2, ("changed", "")), told.text
    assert {told["w1"], told["db1"]} == {("pending", "")}
    trial.each_has({"cp1": trial.wanted, "w1": trial.present, "db1": trial.present})
    trial.in_touch()
    trial.converges()


@pytest.mark.parametrize("step", ["stage", "commit", "confirm"])
def test_a_node_that_falls_silent_is_pending_and_the_others_go_on(trial: Trial, step: str) -> None:
    """Nothing tells that it is gone: it does not answer any more."""
    w1 = trial["w1"]
    fault = {"step": step, "node": "w1", "when": "before", "keepalive": "1"}
    with trial.under_way(fault, w1.cut, window="10s") as told:
        told.result()
        w1.restore()
    ended = told.result()
    assert (ended.code, ended["w1"]) == (2, ("pending", step)), ended.text
    assert {ended["cp1"], ended["db1"]} == {("changed", "")}
    assert "203.0.113.2" in ended.why("w1")
    trial.settle()
    assert trial.standing() == trial.all_but("w1")
    trial.in_touch()
    trial.converges()


def restart_ssh(machine: Machine) -> None:
    """With an end to every session."""
    machine.run("systemctl", "stop", "ssh")
    for process in ("sshd", "sshd-session"):  # the second is where sessions are since OpenSSH 9.8
        machine.kill(process)
    machine.run("systemctl", "start", "ssh")


def test_an_ssh_server_that_restarts_before_the_commit_leaves_its_node_behind(trial: Trial) -> None:
    told = trial.strike({"step": "commit", "node": "w1", "when": "before"}, lambda: restart_ssh(trial["w1"]))
    assert (told.code, told["w1"]) == (2, ("pending", "commit")), told.text
    assert "broke while a script ran" in told.why("w1")
    trial.each_has(trial.all_but("w1"))
    trial.converges()


def test_an_ssh_server_that_restarts_after_the_commit_is_dialled_again(trial: Trial) -> None:
    told = trial.strike({"step": "commit", "node": "w1", "when": "after"}, lambda: restart_ssh(trial["w1"]))
    assert told.code == 0, told.text
    trial.all_have(trial.wanted)
    trial.converges()


STINGY = "MaxStartups 1:100:1\n"
SQUAT = "exec 3<>/dev/tcp/203.0.113.2/22 && exec sleep"
"""Somebody who is connected and does not log in: with MaxStartups 1:100:1 everybody else is sent away."""


@pytest.mark.parametrize(
    ("seconds", "window", "code"),
    [(1, "60s", 0), (60, "5s", 1)],
    ids=["for a moment", "until after the window"],
)
def test_an_ssh_server_takes_no_connections(trial: Trial, seconds: int, window: str, code: int) -> None:
    w1 = trial["w1"]
    w1.write("/etc/ssh/sshd_config.d/stingy.conf", STINGY)
    w1.run("systemctl", "restart", "ssh")

    def squat() -> None:
        w1.run("systemd-run", "--quiet", "--unit=squatter", "bash", "-c", f"{SQUAT} {seconds}")
        w1.shell("until ss -Htn state established 'dport = :22' | grep -q .; do sleep 0.05; done")

    try:
        told = trial.strike({"step": "commit", "node": "w1", "when": "after"}, squat, window=window)
    finally:
        w1.run("systemctl", "stop", "squatter", expect=None)
        w1.run("rm", "/etc/ssh/sshd_config.d/stingy.conf")
        w1.run("systemctl", "restart", "ssh")
    assert told.code == code, told.text
    if code:
        assert told["w1"] == ("failed", "prove")
        assert "203.0.113.2" in told.why("w1")
    trial.all_have(trial.present if code else trial.wanted)
    trial.converges()
