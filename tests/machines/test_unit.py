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


RELOADS = {
    "the file is gone": ("mv /etc/wireguard/wg0.conf /root/", "mv /root/wg0.conf /etc/wireguard/"),
    "the file is empty": (
        "cp -p /etc/wireguard/wg0.conf /root/; : >/etc/wireguard/wg0.conf",
        "mv /root/wg0.conf /etc/wireguard/",
    ),
    "the file has lost its key": (
        "cp -p /etc/wireguard/wg0.conf /root/; sed -i /^PrivateKey/d /etc/wireguard/wg0.conf",
        "mv /root/wg0.conf /etc/wireguard/",
    ),
}
RUNNING = "wg show wg0 public-key; wg show wg0 allowed-ips | sort"


@pytest.mark.parametrize(("harm", "remedy"), RELOADS.values(), ids=RELOADS)
def test_a_reload_can_not_lose_the_key(mended: Machines, harm: str, remedy: str) -> None:
    """wg-quick's own would end with exit status 0, no key and no peer."""
    beta = mended["beta"]
    before = beta.shell(RUNNING)
    beta.shell(harm)
    beta.run("systemctl", "reload", "wg-quick@wg0", expect=1)
    assert beta.shell(RUNNING) == before
    beta.shell(remedy)
    assert mended.operator.changes() == []


def test_a_reload_loads_the_file(mended: Machines) -> None:
    beta = mended["beta"]
    before = beta.shell(RUNNING)
    beta.run("wg", "set", "wg0", "peer", beta.run("wg", "show", "wg0", "peers").split()[0], "remove")
    beta.run("systemctl", "reload", "wg-quick@wg0")
    assert beta.shell(RUNNING) == before
    assert beta.shell("ls /run/wireloom.*", expect=2) == ""


def test_what_k3s_rides_on_is_not_stopped_by_hand(mended: Machines) -> None:
    beta = mended["beta"]
    mended.operator.edit("public: [203.0.113.2] }", "public: [203.0.113.2], roles: [k3s-agent] }")
    mended.operator.run("apply", "--yes")

    beta.run("systemctl", "stop", "wg-quick@wg0", expect=4)
    beta.run("systemctl", "restart", "wg-quick@wg0", expect=4)

    assert mended.operator.verdict() == "holds"
    delete_the_interface(beta)
    mended.operator.run("apply", "--yes")
    assert beta.run("systemctl", "show", "--value", "-p", "RefuseManualStop", "wg-quick@wg0") == "yes\n"
    assert mended.operator.settles("holds")
    assert mended.operator.changes() == []


def test_a_file_that_would_save_what_runs_is_mended(mended: Machines) -> None:
    """SaveConfig would write the running state over the file whenever the unit stops (wg-quick(8))."""
    beta = mended["beta"]
    beta.run("sed", "-i", "s/^Table = off/SaveConfig = true\\n&/", "/etc/wireguard/wg0.conf")
    assert ("w1", "update", "file /etc/wireguard/wg0.conf") in mended.operator.changes()
    mended.operator.run("apply", "--yes")
    assert "SaveConfig" not in beta.run("cat", "/etc/wireguard/wg0.conf")
    assert mended.operator.changes() == []


def test_a_file_that_was_deleted_is_written_again(mended: Machines) -> None:
    beta = mended["beta"]
    beta.run("rm", "/etc/wireguard/wg0.conf")
    mended.operator.run("apply", "--yes")
    beta.restart()
    assert mended.operator.settles("holds")
    assert mended.operator.changes() == []


def test_an_interface_made_by_hand_before_is_not_touched(mended: Machines) -> None:
    beta = mended["beta"]
    beta.shell(
        "systemctl disable --now wg-quick@wg0; rm /etc/wireguard/wg0.* /var/lib/wireloom/wg0.state;"
        " wireguard-go wg0 2>/dev/null || ip link add wg0 type wireguard"
    )
    refused = mended.operator.run("apply", "--yes", expect=1)
    assert "w1" in refused.stderr
    assert "an interface wg0 is up that wireloom did not make" in refused.stderr
    beta.run("ip", "link", "delete", "wg0")


def test_a_unit_that_thinks_itself_active_is_not_believed(mended: Machines) -> None:
    delete_the_interface(mended["beta"])
    assert mended["beta"].run("systemctl", "is-active", "wg-quick@wg0").strip() == "active"
    assert ("w1", "start") in {(node, done) for node, done, _ in mended.operator.changes()}
