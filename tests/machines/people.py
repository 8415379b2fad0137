"""People who reach the machines of the mesh by sudo, some of them with a password."""

from tests.machines.machine import Machine, Sudo
from tests.machines.machines import Machines
from wireloom.transport.sudo import PASSWORD_VARIABLE

PASSWORD = "Knäckebrot mit Käse $(id) 7"
TRACE = "ckebrot"
"""A part of it that looks the same in every encoding."""

USERS = """\
nodes:
  cp1: { site: fsn, ssh: { host: 203.0.113.1, user: gate, sudo: true }, public: [203.0.113.1] }
  w1: { site: fsn, ssh: { host: 203.0.113.2, user: kim, sudo: true }, public: [203.0.113.2] }
  db1: { site: ams, ssh: { host: 203.0.113.3, user: kim, sudo: true, jump: cp1 }, public: [203.0.113.3] }
  far1: { site: ams, ssh: { host: edge-of-town, user: kim, sudo: true }, public: [203.0.113.4] }
"""
"""One setting everywhere, and every sudo another: without a password, with one, with one behind a jump host
that lets another user in, without one."""
WANTING = {"w1": "beta", "db1": "gamma"}


def settle(group: Machines) -> None:
    """Make the users, with the sudo that each is to have, and the fleet file that names them."""
    add_user(group["alpha"], "gate", Sudo.FREE)
    add_user(group["beta"], "kim", Sudo.PASSWORD)
    add_user(group["gamma"], "kim", Sudo.PASSWORD)
    add_user(group["delta"], "kim", Sudo.FREE)
    text = group.operator.fleet_file.read_text()
    group.operator.fleet_file.write_text(text[: text.index("nodes:")] + USERS)


def add_user(machine: Machine, name: str, sudo: Sudo, password: str = PASSWORD) -> None:
    """The user, with another password and another sudo if it is there already."""
    if not machine.run("getent", "passwd", name, expect=None):
        machine.add_user(name, sudo=Sudo.NONE)
    machine.run("chpasswd", stdin=f"{name}:{password}\n")
    allow(machine, name, sudo)


def allow(machine: Machine, name: str, sudo: str, defaults: str = "") -> None:
    """Let sudo let the user do that, with these settings for it."""
    rule = f"{name} {sudo}\n" if sudo else ""
    machine.write(f"/etc/sudoers.d/{name}", f"Defaults:{name} {defaults}\n{rule}" if defaults else rule)


def give(group: Machines, password: str = PASSWORD) -> None:
    """Let the operator export the password."""
    group.operator.exported[PASSWORD_VARIABLE] = password
