"""New keys on machines with systemd, behind sudo and a jump host; and a restart of the unit in the middle."""

import time

from tests.machines.machines import Machines
from tests.machines.patience import wait_for


def keys(machines: Machines) -> set[str]:
    return {one.run("wg", "show", "wg0", "public-key") for one in machines}


def rotates(mesh: Machines) -> None:
    """Until machines are held for nobody any more."""
    said: list[str] = []

    def goes_on() -> bool:
        done = mesh.operator.run("rotate", "--yes", expect=None)
        said.append(done.stderr)
        return done.returncode == 0

    wait_for(goes_on, lambda: said[-1], seconds=90, pause=1)


def test_every_way_in_is_good_enough(mesh: Machines) -> None:
    before = keys(mesh)
    mesh.operator.run("rotate", "--yes")
    assert not before & keys(mesh)
    assert mesh.operator.changes() == []
    assert mesh.operator.settles("holds")
    for one in mesh:
        assert one.shell("ls /etc/systemd/system | grep turn || true") == ""
        assert one.shell("systemctl list-units --all --plain --no-legend | grep turn || true") == ""


def test_a_restart_of_the_unit_in_the_middle_leads_packets_again(mesh: Machines) -> None:
    """The kernel takes routes along whose source address goes."""
    before = keys(mesh)
    operator = mesh.operator.popen("rotate", "--yes", "--confirm-within", "15s")
    assert operator.stdout is not None
    assert any("changing the keys" in line for line in operator.stdout)
    operator.kill()
    operator.communicate()
    time.sleep(16)  # what was not confirmed is taken back
    beta = mesh["beta"]
    beta.run("systemctl", "restart", "wg-quick@wg0")
    way = ("ip", "route", "get", "10.99.0.1")
    wait_for(lambda: "dev wg0-turn" in beta.run(*way), lambda: beta.run(*way))  # it restarts after wg0
    answers = "ping -c 1 -W 1 10.99.0.1 >/dev/null && echo yes || true"
    wait_for(lambda: beta.shell(answers), lambda: beta.run("wg", "show", "wg0-turn"), seconds=30)
    rotates(mesh)
    assert not before & keys(mesh)
    assert mesh.operator.changes() == []
