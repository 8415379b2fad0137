"""sudo as it really is: users who must give a password, and everything that sudo and PAM do about it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.machines.machine import Machine, Sudo
from tests.machines.machines import Machines
from tests.machines.patience import wait_for
from tests.machines.people import PASSWORD, TRACE, WANTING, add_user, allow, give
from tests.machines.test_users import CHATTER, GERMAN, footprints
from wireloom.transport.sudo import PASSWORD_VARIABLE

SAMPLER = """\
#!/bin/sh
# All arguments and environments of all processes, again and again.
while :; do
    ps -efww
    for process in /proc/[0-9]*; do
        tr '\\0' '\\n' <"$process/cmdline"
        tr '\\0' '\\n' <"$process/environ"
    done
    sleep 0.05
done 2>/dev/null >/run/samples
"""


@contextmanager
def sampled(machine: Machine) -> Iterator[Callable[[], str]]:
    """Look at all processes of a machine while the block lasts; then what was seen."""
    machine.write("/root/sampler", SAMPLER)
    machine.run("systemd-run", "--quiet", "--collect", "--unit=sampler", "sh", "/root/sampler")
    try:
        yield lambda: machine.run("sort", "-u", "/run/samples")
    finally:
        machine.run("systemctl", "stop", "sampler")
        machine.run("rm", "/root/sampler", "/run/samples")


def files_with(machine: Machine, text: str) -> list[str]:
    """The files of a machine in which that is found, who gives it on stdin, to be in no argument."""
    places = ("/etc", "/home", "/root", "/run", "/tmp", "/var")
    found = machine.run("grep", "-rlaF", "-D", "skip", "-f", "-", *places, expect=None, stdin=text)
    return found.split("\n")[:-1]


def journal(machine: Machine) -> str:
    machine.run("journalctl", "--sync")
    return machine.run("journalctl", "--all", "--output=export")


def test_apply_and_verify_with_a_password_that_is_seen_nowhere(people: Machines) -> None:
    beta, operator = people["beta"], people.operator
    give(people)
    operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1400")
    with sampled(beta) as samples:
        said = [operator.run("-v", *verb) for verb in (("apply", "--yes"), ("verify",), ("plan",))]
        seen = samples()
        written = {
            text: files_with(beta, text) for text in (TRACE, "session opened for user root", "kim ALL=")
        }
    logged = journal(beta)
    told = "".join(one.stdout + one.stderr for one in said)
    kept = {path: path.read_bytes() for path in operator.home.rglob("*") if path.is_file()}

    assert [machine.run("cat", "/sys/class/net/wg0/mtu").strip() for machine in people] == ["1400"] * 4
    assert TRACE not in seen
    assert TRACE not in logged
    assert written[TRACE] == []
    assert TRACE not in told
    assert [path for path, content in kept.items() if TRACE.encode() in content] == []
    # The controls: arguments and environment of the very sudo that was told it, its log, a file.
    assert "sudo -S -p wireloom-" in seen
    assert "SUDO_COMMAND=/usr/bin/sh -c echo wireloom-" in seen
    assert "SSH_CONNECTION=203.0.113.254" in seen
    assert "COMMAND=/usr/bin/sh -c 'echo wireloom-" in logged
    assert all("/journal/" in path for path in written["session opened for user root"][:1])
    assert written["kim ALL="] == ["/etc/sudoers.d/kim"]
    assert "mtu" in told
    assert {path.suffix for path in kept} >= {".lock", ".yaml", ".jsonl"}


def test_every_machine_gets_only_what_its_own_sudo_asks_for(people: Machines) -> None:
    before = {machine.name: count(machine, "sudo:session): session opened") for machine in people}
    give(people)
    assert people.operator.changes() == []
    opened = {
        machine.name: count(machine, "sudo:session): session opened") - before[machine.name]
        for machine in people
    }
    assert opened == dict.fromkeys(before, 1)
    assert people.operator.verdict() == "holds"


def test_nothing_of_a_shell_is_left_when_its_connection_is_gone(people: Machines) -> None:
    give(people)
    assert people.operator.changes() == []
    for machine in people:
        wait_for(
            lambda machine=machine: not machine.run("pgrep", "-x", "-a", "sh|sudo", expect=None),
            lambda machine=machine: machine.run("ps", "-ef"),
        )


def count(machine: Machine, words: str) -> int:
    """How often that is in the journal."""
    return journal(machine).count(words)


def failures(machine: Machine) -> list[int]:
    """How often PAM was told a wrong password, and how often none at all when it asked."""
    logged = journal(machine)
    return [logged.count(f"sudo:auth): {what}") for what in ("authentication failure", "conversation failed")]


def test_a_wrong_password_is_sent_once_to_each_and_changes_nothing(people: Machines) -> None:
    people.operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1400")
    before = {host: failures(people[host]) for host in WANTING.values()}
    prints = footprints(people)
    give(people, "Knackebrot")

    refused = people.operator.run("-v", "apply", "--yes", expect=1)

    for node, host in WANTING.items():
        assert (
            f"{node}: error: sudo on kim@{people[host].address.ip} did not accept the password"
            in refused.stderr
        )
        assert failures(people[host]) == [before[host][0] + 1, before[host][1]]
    assert "cp1" not in refused.stderr
    assert "far1" not in refused.stderr
    assert "Knackebrot" not in refused.stdout + refused.stderr
    assert footprints(people) == prints


@pytest.mark.parametrize("verb", ["verify", "status"])
def test_a_verb_that_looks_more_than_once_sends_a_wrong_password_once(verb: str, people: Machines) -> None:
    before = {host: failures(people[host]) for host in WANTING.values()}
    give(people, "wrong")
    people.operator.run(verb, expect=1)
    for host, (wrong, silent) in before.items():
        assert failures(people[host]) == [wrong + 1, silent]


FAILLOCK = """\
auth required pam_faillock.so preauth
auth [success=1 default=ignore] pam_unix.so
auth [default=die] pam_faillock.so authfail
auth sufficient pam_faillock.so authsucc
@include common-account
@include common-session-noninteractive
"""


@pytest.fixture
def pam(people: Machines) -> Iterator[Callable[[str], None]]:
    """Sets what PAM asks for sudo on beta."""
    beta = people["beta"]
    usual = beta.run("cat", "/etc/pam.d/sudo")
    yield lambda text: beta.write("/etc/pam.d/sudo", text)
    beta.write("/etc/pam.d/sudo", usual)
    beta.run("rm", "-f", "/run/faillock/kim")


def test_a_wrong_password_counts_once_towards_a_locked_account(
    people: Machines, pam: Callable[[str], None]
) -> None:
    pam(FAILLOCK)
    for password, tries in ((("wrong"), 1), ("wrong again", 2), (PASSWORD, 0)):
        give(people, password)
        people.operator.run("plan", expect=None)
        assert people["beta"].run("faillock", "--user", "kim").count(" SVC ") == tries


def test_a_locked_account_is_explained(people: Machines, pam: Callable[[str], None]) -> None:
    pam(FAILLOCK)
    for password in ("wrong", "wrong", "wrong", PASSWORD):
        give(people, password)
        refused = people.operator.run("plan", expect=1)
    assert "w1: error: sudo on kim@203.0.113.2 did not accept the password" in refused.stderr
    assert "is the account locked?" in refused.stderr


TWO_QUESTIONS = """\
auth required pam_unix.so
auth required pam_ftp.so
@include common-account
"""


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (TWO_QUESTIONS, "wants something more than a password"),
        ("\n".join([*reversed(TWO_QUESTIONS.splitlines()[:2]), ""]), "did not accept the password"),
    ],
    ids=["after it", "before it"],
)
def test_a_module_of_pam_that_asks_something_else_is_refused(
    lines: str, reason: str, people: Machines, pam: Callable[[str], None]
) -> None:
    pam(lines)
    give(people)
    refused = people.operator.run("plan", expect=1)
    assert f"w1: error: sudo on kim@203.0.113.2 {reason}" in refused.stderr


def a_lecture(machine: Machine) -> None:
    allow(machine, "kim", Sudo.PASSWORD, "lecture=always")


def no_memory(machine: Machine) -> None:
    allow(machine, "kim", Sudo.PASSWORD, "timestamp_timeout=0")


def memory(machine: Machine) -> None:
    allow(machine, "kim", Sudo.PASSWORD, "timestamp_type=global")


def no_terminal(machine: Machine) -> None:
    allow(machine, "kim", Sudo.PASSWORD, "!use_pty, pwfeedback")


def fish(machine: Machine) -> None:
    machine.run("usermod", "--shell", "/usr/bin/fish", "kim")


def zsh(machine: Machine) -> None:
    machine.run("usermod", "--shell", "/usr/bin/zsh", "kim")


def chatter(machine: Machine) -> None:
    machine.write("/home/kim/.bashrc", f"{CHATTER}set -x\n")


def german(machine: Machine) -> None:
    machine.write("/home/kim/.bashrc", GERMAN)


@pytest.fixture
def plain_kim(people: Machines) -> Iterator[Machine]:
    yield people["beta"]
    people["beta"].run("usermod", "--shell", "/bin/bash", "kim")
    people["beta"].shell("rm -rf /home/kim/.bashrc /run/sudo/ts/*")


@pytest.mark.parametrize("arrange", [a_lecture, no_memory, memory, no_terminal, fish, zsh, chatter, german])
def test_a_password_works_with(
    arrange: Callable[[Machine], None], people: Machines, plain_kim: Machine
) -> None:
    arrange(plain_kim)
    plain_kim.run("ip", "link", "set", "wg0", "mtu", "1300")
    give(people)
    people.operator.run("apply", "--yes")
    assert plain_kim.run("cat", "/sys/class/net/wg0/mtu").strip() == "1440"
    assert people.operator.changes() == []


@pytest.mark.parametrize("arrange", [a_lecture, no_terminal, fish, zsh, chatter, german])
def test_a_wrong_password_is_known_as_such_with(
    arrange: Callable[[Machine], None], people: Machines, plain_kim: Machine
) -> None:
    arrange(plain_kim)
    give(people, "wrong")
    refused = people.operator.run("plan", expect=1)
    assert (
        'w1: error: sudo on kim@203.0.113.2 did not accept the password: "Sorry, try again."'
        in refused.stderr
    )


def test_a_password_is_no_command_where_sudo_has_stopped_asking(people: Machines, plain_kim: Machine) -> None:
    command = "touch /root/run-as-a-command"
    add_user(people["beta"], "kim", Sudo.PASSWORD, command)
    add_user(people["gamma"], "kim", Sudo.FREE)
    memory(plain_kim)
    people.operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1400")
    give(people, command)
    people.operator.run("apply", "--yes")
    assert [machine.run("ls", "/root/run-as-a-command", expect=None) for machine in people] == [""] * 4


NO = {
    "not in sudoers": ("", "", "does not allow this user to run commands"),
    "another command": ("ALL=(ALL) /usr/bin/id", "", "does not allow this user to run commands"),
    "another user than root": ("ALL=(gate) ALL", "", "does not allow this user to run commands"),
    "requiretty": (Sudo.PASSWORD, "requiretty", "insists on a terminal (requiretty)"),
}


@pytest.mark.parametrize(("rule", "defaults", "reason"), NO.values(), ids=NO.keys())
def test_the_right_password_is_not_enough(rule: str, defaults: str, reason: str, people: Machines) -> None:
    allow(people["beta"], "kim", rule, defaults)
    give(people)
    refused = people.operator.run("plan", expect=1)
    assert f"w1: error: sudo on kim@203.0.113.2 {reason}" in refused.stderr
    assert "db1" not in refused.stderr


def test_a_single_try_and_a_wrong_password(people: Machines) -> None:
    allow(people["beta"], "kim", Sudo.PASSWORD, "passwd_tries=1")
    give(people, "wrong")
    refused = people.operator.run("plan", expect=1)
    assert "w1: error: sudo on kim@203.0.113.2 did not accept the password" in refused.stderr


def test_a_machine_without_sudo(people: Machines) -> None:
    beta = people["beta"]
    beta.run("mv", "/usr/bin/sudo", "/usr/bin/sudo.away")
    refused = people.operator.run("plan", expect=1)
    beta.run("mv", "/usr/bin/sudo.away", "/usr/bin/sudo")
    assert "w1: error: there is no sudo on the machine of kim@203.0.113.2" in refused.stderr


@pytest.mark.parametrize(
    ("password", "reason"), [("", "is empty"), (f"{PASSWORD}\n", "has the end of a line")]
)
def test_what_can_not_be_a_password_is_sent_nowhere(password: str, reason: str, people: Machines) -> None:
    before = {host: count(people[host], "COMMAND=/usr/bin/sh -c") for host in WANTING.values()}
    give(people, password)
    refused = people.operator.run("plan", expect=1)
    assert f"{PASSWORD_VARIABLE}: error: the sudo password {reason}" in refused.stderr
    assert TRACE not in refused.stderr
    assert before == {host: count(people[host], "COMMAND=/usr/bin/sh -c") for host in WANTING.values()}


def test_without_a_password_and_a_terminal_the_machines_that_want_one_are_named(people: Machines) -> None:
    refused = people.operator.run("plan", expect=1)
    for node, host in WANTING.items():
        assert f"{node}: error: sudo on kim@{people[host].address.ip} asks for a password" in refused.stderr
    assert refused.stderr.count(f"set {PASSWORD_VARIABLE}") == 2
    assert "cp1" not in refused.stderr
