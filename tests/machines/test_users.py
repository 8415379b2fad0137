"""Users as they are: shells, start-up files, banners, locales, and what sudo lets them do."""

from collections.abc import Callable

import pytest

from tests.machines.machine import Machine, Sudo
from tests.machines.machines import Machines

CHATTER = """\
echo 'Welcome back! You have mail.'
echo 'disk quota 93 %' >&2
"""
GERMAN = "export LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8 LANGUAGE=de\n"


def add_fish(machine: Machine) -> None:
    machine.add_user("ann", shell="/usr/bin/fish")


def add_zsh(machine: Machine) -> None:
    machine.add_user("ben", shell="/usr/bin/zsh")


def add_dash(machine: Machine) -> None:
    machine.add_user("cem", shell="/bin/sh")


def add_chatty(machine: Machine) -> None:
    machine.add_user("dan")
    machine.write("/home/dan/.bashrc", CHATTER)


def add_german(machine: Machine, user: str = "eva", sudo: Sudo = Sudo.FREE) -> None:
    machine.add_user(user, sudo=sudo)
    machine.write("/etc/default/locale", "LANG=de_DE.UTF-8\n")
    machine.write(f"/home/{user}/.bashrc", GERMAN)


def add_greeted(machine: Machine) -> None:
    machine.add_user("fay")
    machine.write("/etc/issue.net", "Authorised use only. All activity is logged.\n" * 20)
    machine.write("/etc/motd", "Maintenance on Sunday.\n")
    machine.write("/etc/ssh/sshd_config.d/banner.conf", "Banner /etc/issue.net\n")
    machine.run("systemctl", "restart", "ssh")


@pytest.mark.parametrize(
    ("user", "add"),
    [
        ("ann", add_fish),
        ("ben", add_zsh),
        ("cem", add_dash),
        ("dan", add_chatty),
        ("eva", add_german),
        ("fay", add_greeted),
    ],
    ids=["fish", "zsh", "dash", "a chatty .bashrc", "German", "a banner and a message of the day"],
)
def test_a_user_with_sudo_reads_and_mends_a_machine(
    mended: Machines, user: str, add: Callable[[Machine], None]
) -> None:
    beta = mended["beta"]
    add(beta)
    mended.operator.edit("user: deploy", f"user: {user}")
    assert mended.operator.changes() == []

    beta.run("ip", "link", "set", "wg0", "mtu", "1300")
    mended.operator.run("apply", "--yes")

    assert beta.run("cat", "/sys/class/net/wg0/mtu").strip() == "1440"


def test_the_german_user_is_spoken_to_in_german(mesh: Machines) -> None:
    """The control for the test above: without what wireloom does, the tools' words would be others."""
    said = mesh["beta"].run("sh", "-c", f"{GERMAN}ls /no-such 2>&1", expect=2)
    assert "Datei oder Verzeichnis nicht gefunden" in said


@pytest.mark.parametrize(
    ("user", "sudo", "access", "reason", "hint"),
    [
        ("gus", Sudo.NONE, "sudo: true", "sudo on gus@203.0.113.2 asks for a password", "NOPASSWD: ALL"),
        ("hal", Sudo.PASSWORD, "sudo: true", "sudo on hal@203.0.113.2 asks for a password", "NOPASSWD: ALL"),
        ("ida", Sudo.FREE, "sudo: false", "ida@203.0.113.2 is not root", "set `sudo: true`"),
    ],
    ids=["not in sudoers", "sudo with a password", "sudo not asked for"],
)
def test_a_user_who_may_not_is_refused_and_nobody_is_touched(
    mended: Machines, user: str, sudo: Sudo, access: str, reason: str, hint: str
) -> None:
    mended["beta"].add_user(user, sudo=sudo)
    mended.operator.edit("user: deploy, sudo: true", f"user: {user}, {access}")
    mended.operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1400")
    before = footprints(mended)

    refused = mended.operator.run("apply", "--yes", expect=1)

    assert reason in refused.stderr
    assert hint in refused.stderr
    assert "Traceback" not in refused.stderr
    assert footprints(mended) == before


def test_a_sudo_that_would_refuse_in_german_is_understood(mended: Machines) -> None:
    add_german(mended["beta"], "jan", Sudo.PASSWORD)
    mended.operator.edit("user: deploy", "user: jan")
    by_itself = mended["beta"].run("su", "jan", "-c", f"{GERMAN}sudo -n true 2>&1", expect=1)

    refused = mended.operator.run("plan", expect=1)

    assert "Passwort ist notwendig" in by_itself
    assert "sudo on jan@203.0.113.2 asks for a password" in refused.stderr


FOOTPRINTS = """\
stat -c '%n %Y %y %i' /etc/wireguard /etc/wireguard/* /var/lib/wireloom/*
ip -o link show wg0
wg show wg0 peers | sort
"""


def footprints(group: Machines) -> list[str]:
    """What an apply would change on the machines."""
    return [machine.shell(FOOTPRINTS) for machine in group]
