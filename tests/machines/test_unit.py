"""What is done to the interface or its unit by hand: seen by the next plan, mended by the next apply."""

from collections.abc import Callable

import pytest

from tests.machines.machine import Machine
from tests.machines.machines import Machines
from tests.machines.patience import wait_for


def stop_the_unit(machine: Machine) -> None:
    machine.run("systemctl", "stop", "wg-quick@wg0")


def disable_the_unit(machine: Machine) -> None:
    machine.run("systemctl", "--quiet", "disable", "wg-quick@wg0")


def delete_the_interface(machine: Machine) -> None:
    machine.run("ip", "link", "delete", "wg0")


def kill_wireguard_go(machine: Machine) -> None:
    if "wireguard" in machine.run("ip", "-d", "link", "show", "wg0"):
        pytest.skip("this kernel has WireGuard, so there is no wireguard-go to kill")
    assert machine.kill("wireguard-go") == 1
    wait_for(lambda: not machine.run("ip", "link", "show", "wg0", expect=None), lambda: "wg0 stays")


def test_a_restart_of_the_unit_by_hand_changes_nothing(mesh: Machines) -> None:
    mesh["beta"].run("systemctl", "restart", "wg-quick@wg0")
    assert mesh.operator.changes() == []
    assert mesh.operator.settles("holds")


@pytest.mark.parametrize(
    ("action", "spoil"),
    [
        ("start", stop_the_unit),
        ("enable", disable_the_unit),
        ("start", delete_the_interface),
        ("start", kill_wireguard_go),
    ],
)
def test_what_was_done_by_hand_is_seen_and_mended(
    mended: Machines, action: str, spoil: Callable[[Machine], None]
) -> None:
    spoil(mended["beta"])

    changes = mended.operator.changes()
    mended.operator.run("apply", "--yes")

    assert {(node, done) for node, done, _ in changes} >= {("w1", action)}
    assert {node for node, _, _ in changes} == {"w1"}
    assert mended["beta"].shell(
        "systemctl is-enabled wg-quick@wg0; systemctl is-active wg-quick@wg0"
    ).split() == [
        "enabled",
        "active",
    ]
    assert mended.operator.settles("holds")


def test_a_unit_that_thinks_itself_active_is_not_believed(mended: Machines) -> None:
    delete_the_interface(mended["beta"])
    assert mended["beta"].run("systemctl", "is-active", "wg-quick@wg0").strip() == "active"
    assert ("w1", "start") in {(node, done) for node, done, _ in mended.operator.changes()}
