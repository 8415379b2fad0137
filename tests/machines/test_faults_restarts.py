"""A node restarts, or its interface does, in the middle of an apply."""

from collections.abc import Callable

import pytest

from tests.machines.machine import Machine
from tests.machines.trial import Trial

GONE = "it was restarted, or its clock took the change back"

REBOOTS = {
    "between stage and commit": ("commit", "before", 2, ("pending", "commit"), "the connection to"),
    "between commit and confirm": ("prove", "after", 1, ("failed", "confirm"), GONE),
    "during confirm": ("confirm", "before", 1, ("failed", "confirm"), GONE),
}


@pytest.mark.parametrize(("step", "when", "code", "ending", "why"), REBOOTS.values(), ids=REBOOTS)
def test_a_node_reboots(
    trial: Trial, step: str, when: str, code: int, ending: tuple[str, str], why: str
) -> None:
    """It comes up with the old network, and the others have the new one: they were proven without it."""
    told = trial.strike({"step": step, "node": "w1", "when": when}, trial["w1"].restart)
    assert (told.code, told["w1"], told["db1"]) == (code, ending, ("changed", "")), told.text
    assert why in told.why("w1")
    trial.each_has(trial.all_but("w1"))
    trial.in_touch()
    trial.converges()


def restart_the_unit(machine: Machine) -> None:
    machine.run("systemctl", "restart", "wg-quick@wg0")


def delete_the_interface(machine: Machine) -> None:
    machine.run("ip", "link", "delete", "wg0")


@pytest.mark.parametrize("spoil", [restart_the_unit, delete_the_interface])
def test_an_interface_that_is_not_the_committed_one_any_more_is_not_confirmed(
    trial: Trial, spoil: Callable[[Machine], None]
) -> None:
    # Not right after its own proof: others may still be asking it for theirs.
    told = trial.strike({"step": "confirm", "node": "w1", "when": "before"}, lambda: spoil(trial["w1"]))
    assert (told.code, told["w1"]) == (1, ("failed", "confirm")), told.text
    assert "what runs is not what was committed" in told.why("w1")
    assert "taken back: it is as it was" in told.why("w1")
    trial.each_has(trial.all_but("w1"))
    trial.in_touch()
    trial.converges()


def test_an_old_file_with_save_config_does_not_save_what_is_not_confirmed(trial: Trial) -> None:
    """wg-quick(8): the running state is written over the file whenever the unit stops."""
    w1 = trial["w1"]
    w1.run("sed", "-i", "s/^Table = off/SaveConfig = true\\n&/", "/etc/wireguard/wg0.conf")
    told = trial.strike({"step": "prove", "node": "w1", "when": "after"}, lambda: restart_the_unit(w1))
    assert (told.code, told["w1"]) == (1, ("failed", "confirm")), told.text
    assert "what runs is not what was committed" in told.why("w1")
    trial.each_has(trial.all_but("w1"))
    trial.converges()
