"""Ways to a machine as users have them: jump hosts, other users and ports on them, agents, encrypted keys."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machines.conftest import SSH_CONFIG
from tests.machines.machine import Sudo
from tests.machines.machines import Machines
from tests.machines.people import TRACE, add_user, give
from tests.transport.sshd import add_to_agent

PASSPHRASE = "secret words"

DEEP = """\
Host deep
    HostName 203.0.113.3
    User lea
    ProxyJump lea@edge-of-town
"""


@pytest.fixture
def configured(mended: Machines) -> Iterator[Machines]:
    """The mesh, and what a test does to the operator's ssh is undone after it."""
    yield mended
    mended.operator.configure_ssh(SSH_CONFIG)
    (mended.operator.home / ".ssh/known_hosts").unlink(missing_ok=True)
    mended.operator.exported.clear()


@pytest.fixture
def locked_key(mended: Machines) -> Iterator[Path]:
    """The operator's only key, encrypted."""
    key = mended.operator.home / ".ssh/id_ed25519"
    usual = key.read_bytes()
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", PASSPHRASE, "-f", key], check=True)
    yield key
    key.write_bytes(usual)


def test_a_jump_host_of_the_fleet_with_another_user_and_a_password_behind_it(configured: Machines) -> None:
    alpha = configured["alpha"]
    add_user(alpha, "gate", Sudo.FREE)
    add_user(configured["gamma"], "lea", Sudo.PASSWORD)
    configured.operator.edit("root@203.0.113.1", "{ host: 203.0.113.1, user: gate, sudo: true }")
    configured.operator.edit("203.0.113.3, jump", "203.0.113.3, user: lea, sudo: true, jump")
    give(configured)
    before = logins(configured, "alpha", "gate"), logins(configured, "alpha", "lea")
    assert configured.operator.changes() == []
    # One login to work on it, one to go on from it.
    assert (logins(configured, "alpha", "gate"), logins(configured, "alpha", "lea")) == (
        before[0] + 2,
        before[1],
    )
    assert TRACE not in alpha.run("journalctl", "--all", "--output=export")


def test_an_alias_with_a_jump_over_another_alias_user_and_port(configured: Machines) -> None:
    add_user(configured["delta"], "lea", Sudo.NONE)
    add_user(configured["gamma"], "lea", Sudo.FREE)
    configured.operator.configure_ssh(SSH_CONFIG + DEEP)
    trust(configured, "delta", "[203.0.113.4]:2222")
    configured.operator.edit("ssh: { host: 203.0.113.3, jump: cp1 }", "ssh: { host: deep, sudo: true }")
    before = logins(configured, "delta", "lea")
    assert configured.operator.changes() == []
    assert logins(configured, "delta", "lea") == before + 1


def trust(group: Machines, name: str, known_as: str) -> None:
    """Let the operator's known_hosts have a machine's key."""
    key = group[name].run("cat", "/etc/ssh/ssh_host_ed25519_key.pub")
    (group.operator.home / ".ssh/known_hosts").write_text(f"{known_as} {key}")


def logins(group: Machines, name: str, user: str) -> int:
    """How often a user has logged in to a machine."""
    group[name].run("journalctl", "--sync")
    return group[name].run("journalctl", "--unit=ssh").count(f"Accepted publickey for {user}")


def test_an_encrypted_key_without_an_agent_is_named_for_each_machine(
    configured: Machines, locked_key: Path
) -> None:
    refused = configured.operator.run("plan", expect=1)
    for node, who in {
        "cp1": "root@203.0.113.1",
        "w1": "deploy@203.0.113.2",
        "far1": "root@203.0.113.4",
    }.items():
        assert f"{node}: error: no key was accepted for {who}" in refused.stderr
    assert "db1: error: jump host 203.0.113.1: no key was accepted for root@203.0.113.1" in refused.stderr
    assert refused.stderr.count(f"passed over, being encrypted: {locked_key}") == 4
    assert f"ssh-add {locked_key}" in refused.stderr


def test_an_encrypted_key_in_the_agent_opens_every_machine(
    configured: Machines, locked_key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", address], stdout=subprocess.DEVNULL) as agent:
        try:
            while not address.exists():
                assert agent.poll() is None
            monkeypatch.setenv("SSH_AUTH_SOCK", str(address))
            add_to_agent(locked_key, passphrase=PASSPHRASE)
            configured.operator.exported["SSH_AUTH_SOCK"] = str(address)
            assert configured.operator.changes() == []
        finally:
            agent.terminate()
