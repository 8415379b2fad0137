"""sudo with and without a password, over a real sshd; for the real sudo see tests/machines/test_sudo.py."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.transport.conftest import ServerMaker, TransportMaker
from wireloom.secret import Password
from wireloom.transport.frame import REMOTE_PATH
from wireloom.transport.port import Completed, TransportError
from wireloom.transport.raw import Raw
from wireloom.transport.session import SshConnection
from wireloom.transport.sudo import FleetSudo, PasswordWanted, Prompt, explain
from wireloom.values import NodeName

N = NodeName("n")
NONCE = "wireloom-0123"
MARK = Prompt(NONCE).mark

REFUSALS = {
    "password": (1, "sudo: a password is required", "asks for a password", "NOPASSWD"),
    "password, of the variable": (1, "sudo: a password is required", "asks for a", "WIRELOOM_SUDO_PASSWORD"),
    "pam": (1, "sudo: interactive authentication is required", "asks for a password", "NOPASSWD"),
    "a start-up file that fails": (
        1,
        "bash: nvm: command not found\nsudo: a password is required",
        "asks for a password",
        "NOPASSWD",
    ),
    "terminal": (
        1,
        "sudo: sorry, you must have a tty to run sudo",
        "insists on a terminal (requiretty)",
        "Defaults:ann !requiretty",
    ),
    "sudoers": (1, "ann is not in the sudoers file.", "does not allow this user", "ann ALL=(root) NOPASSWD"),
    "not allowed, after the password": (
        1,
        f"{MARK}Sorry, user ann is not allowed to execute '/bin/sh -s' as root on w1.",
        'does not allow this user to run commands: "Sorry, user',
        "NOPASSWD",
    ),
    "no sudo": (127, "env: 'sudo': No such file or directory", "there is no sudo", "log in as root"),
    "no sudo, busybox": (
        127,
        "env: can't execute 'sudo': No such file or directory",
        "there is no sudo",
        "log in as root",
    ),
    "wrong, asked again": (
        None,
        f"{MARK}Sorry, try again.\n{MARK}",
        'did not accept the password: "Sorry, try again."',
        "sent there once",
    ),
    "wrong, asked once": (
        1,
        f"{MARK}sudo: 1 incorrect password attempt",
        "did not accept the password",
        "sudo -v",
    ),
    "wrong, sudo-rs": (
        None,
        f"[sudo: {MARK}] Password: \nsudo: Authentication failed, try again.\n[sudo: {MARK}] Password: ",
        'did not accept the password: "sudo: Authentication failed, try again."',
        "sent there once",
    ),
    "a second question, sudo-rs": (
        None,
        f"[sudo: {MARK}] Password: \n[sudo: {MARK}] Verification code: ",
        "something more than a password",
        "ask for no more",
    ),
    "sudoers, sudo-rs": (
        1,
        f"[sudo: {MARK}] Password: \nsudo: I'm sorry ann. I'm afraid I can't do that",
        "does not allow this user",
        "ann ALL=(root) NOPASSWD",
    ),
    "a second question": (None, f"{MARK}{MARK}", "something more than a password", "ask for no more"),
    "another language": (
        1,
        "sudo: Ein Passwort",
        'did not start a shell (exit status 1): "sudo: Ein',
        "-- id",
    ),
}


@pytest.mark.parametrize(("status", "said", "what", "hint"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_is_explained(status: int | None, said: str, what: str, hint: str) -> None:
    error = explain(Raw(status, "", f"{said}\n"), NONCE, "ann@w1")
    assert "ann@w1" in error.what
    assert what in error.what
    assert hint in error.hint
    assert MARK not in error.what
    assert not error.unreachable


FAKE = """\
#!/bin/sh
here=${0%/*}
echo "$*" >>"$here/calls"
answer=
ask() {
    printf %s "$prompt" | sed s/%%/%/ >&2
    if IFS= read -r answer; then echo "$answer" >>"$here/answers"; else echo EOF >>"$here/answers"; exit 1; fi
}
case $1 in
-n) shift 2 && WITHOUT ;;
-S) prompt=$3; shift 4 && WITH ;;
esac
"""
WANTS_ONE = "{ echo 'sudo: a password is required' >&2; exit 1; }"
TAKES_ONE = 'ask && exec "$@"'
REFUSES = "{ ask; echo 'Sorry, try again.' >&2; ask; echo 'Sorry, try again.' >&2; ask; exit 1; }"
PASSWORD = b"Kn\xc3\xa4ckebrot mit K\xc3\xa4se $(id) 7"


@dataclass
class FakeSudo:
    """A stand-in and what became of it; ``password`` is what the user has, who was ``asked`` that often."""

    directory: Path
    connect: Callable[[], Any]
    password: Password | None = None
    asked: int = 0

    async def ask(self) -> Password | None:
        self.asked += 1
        return self.password

    def behave(self, without: str, asking: str = TAKES_ONE) -> None:
        program = self.directory / "sudo"
        program.write_text(FAKE.replace("WITHOUT", without).replace("WITH", asking))
        program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """The option that each call began with."""
        return [line.split()[0] for line in (self.directory / "calls").read_text().splitlines()]

    @property
    def answers(self) -> list[bytes]:
        """What was sent to its prompt."""
        told = self.directory / "answers"
        return told.read_bytes().splitlines() if told.exists() else []


@pytest.fixture
async def sudo(start: ServerMaker, transport: TransportMaker, tmp_path: Path) -> FakeSudo:
    """A machine with the stand-in for sudo; ``connect`` gives fresh connections, all of one command."""
    (tmp_path / "bin").mkdir()
    server = start(env=f"PATH={tmp_path}/bin:{REMOTE_PATH}")
    fleet = FleetSudo()

    async def connect(node: str = "n") -> SshConnection:
        connection = await transport({node: server}, sudo=fleet, ask=fake.ask).connect(NodeName(node))
        connection.sudo = fleet.on(NodeName(node))  # root needs none: as if somebody else had logged in
        return connection

    fake = FakeSudo(tmp_path / "bin", connect)
    fake.behave(WANTS_ONE)
    return fake


async def test_without_a_password_a_script_costs_one_call_and_nobody_is_asked(sudo: FakeSudo) -> None:
    sudo.behave('exec "$@"')
    sudo.password = Password(PASSWORD)
    assert (await (await sudo.connect()).run("echo fine", timeout=10)).stdout == "fine\n"
    assert (sudo.calls, sudo.asked, sudo.answers) == (["-n"], 0, [])


async def test_a_password_that_nobody_has_is_an_error(sudo: FakeSudo) -> None:
    connection = await sudo.connect()
    for _ in range(2):
        with pytest.raises(PasswordWanted, match="asks for a password"):
            await connection.run("echo fine", timeout=10)
    assert (sudo.calls, sudo.asked) == (["-n", "-n"], 1)


async def test_a_password_is_sent_once_for_all_scripts_of_a_connection_and_leaves_no_trace_in_them(
    sudo: FakeSudo,
) -> None:
    sudo.password = Password(PASSWORD)
    connection = await sudo.connect()
    script = "readlink /proc/self/fd/0; echo fine >&2; exit 3"
    for _ in range(2):
        assert await connection.run(script, timeout=10) == Completed(3, "/dev/null\n", "fine\n")
    assert (sudo.calls, sudo.asked, sudo.answers) == (["-n", "-S"], 1, [PASSWORD])


async def test_a_script_that_is_ended_says_nothing_against_the_password(sudo: FakeSudo) -> None:
    sudo.password = Password(PASSWORD)
    connection = await sudo.connect()
    assert (await connection.run("echo one", timeout=10)).stdout == "one\n"
    with pytest.raises(TransportError, match="did not finish"):
        await connection.run("sleep 60", timeout=1)
    assert (await connection.run("echo two", timeout=10)).stdout == "two\n"
    assert sudo.calls == ["-n", "-S", "-S", "-S"]  # one to end what took too long


@pytest.mark.parametrize("without", [WANTS_ONE, 'exec "$@"'], ids=["a password", "none"])
async def test_data_goes_to_the_script_and_not_to_a_prompt(sudo: FakeSudo, without: str) -> None:
    sudo.behave(without)
    sudo.password = Password(PASSWORD)
    connection = await sudo.connect()
    done = await connection.run("cat; cat <&3; echo end", timeout=10, data=b"one\ntwo\n")
    assert done == Completed(0, "one\ntwo\nend\n", "")
    assert sudo.answers == ([PASSWORD] if without == WANTS_ONE else [])


async def test_what_was_learned_of_a_machine_holds_for_the_next_connection(sudo: FakeSudo) -> None:
    sudo.password = Password(PASSWORD)
    for _ in range(2):
        assert (await (await sudo.connect()).run("echo fine", timeout=10)).stdout == "fine\n"
    assert (sudo.calls, sudo.asked) == (["-n", "-S", "-S"], 1)


WRONG = {
    "asked three times": (REFUSES, "did not accept the password"),
    "asked once": (
        "{ ask; echo 'sudo: 1 incorrect password attempt' >&2; exit 1; }",
        "did not accept the password",
    ),
    "accepted and not allowed": (
        "{ ask; echo 'ann is not in the sudoers file.' >&2; exit 1; }",
        "does not allow",
    ),
    "asked for something else": ('{ ask; ask; exec "$@"; }', "something more than a password"),
}


@pytest.mark.parametrize(("asking", "reason"), WRONG.values(), ids=WRONG.keys())
async def test_a_refused_password_is_sent_once_whatever_comes_after(
    asking: str, reason: str, sudo: FakeSudo, tmp_path: Path
) -> None:
    sudo.behave(WANTS_ONE, asking)
    sudo.password = Password(PASSWORD)
    for connection in (await sudo.connect(), await sudo.connect()):
        for _ in range(2):
            with pytest.raises(TransportError, match=reason) as caught:
                await connection.run(f": >{tmp_path}/ran", timeout=10)
            assert not caught.value.unreachable
    # The end of input is what a server sends that does not let us kill: OpenSSH for root, or before 7.9.
    assert (sudo.calls, [one for one in sudo.answers if one != b"EOF"]) == (["-n", "-S"], [PASSWORD])
    assert not (tmp_path / "ran").exists()


SILENT = {
    "NOPASSWD since, or remembered": ("", 'exec "$@"'),
    "a login shell that shows what it runs": ("set -x\n", 'exec "$@"'),
    "a login shell that shows what it reads": ("set -v\nPS4=x\n", '{ echo "$prompt" >&2; exec "$@"; }'),
}


@pytest.mark.parametrize(("bashrc", "asking"), SILENT.values(), ids=SILENT.keys())
async def test_without_a_prompt_the_password_goes_to_nobody(
    bashrc: str, asking: str, sudo: FakeSudo, tmp_path: Path
) -> None:
    (sudo.directory.parent / "machine/home/.bashrc").write_text(bashrc)
    sudo.behave(WANTS_ONE, asking)
    sudo.password = Password(f": >{tmp_path}/run-as-a-command".encode())
    done = await (await sudo.connect()).run("echo fine", timeout=10)
    assert done == Completed(0, "fine\n", "")
    assert (sudo.calls, sudo.asked) == (["-n", "-S"], 1)
    assert not (tmp_path / "run-as-a-command").exists()


async def test_a_lecture_and_a_prompt_in_pieces_are_understood(sudo: FakeSudo) -> None:
    lecture = "{ echo 'We trust you have received the usual lecture' >&2; "
    pieces = 'printf %.12s "$prompt" >&2; sleep 0.3; prompt=${prompt#????????????}; ask; exec "$@"; }'
    sudo.behave(WANTS_ONE, lecture + pieces)
    sudo.password = Password(PASSWORD)
    assert await (await sudo.connect()).run("echo fine", timeout=10) == Completed(0, "fine\n", "")


async def test_a_sudo_that_neither_asks_nor_answers_is_told_nothing(sudo: FakeSudo) -> None:
    sudo.behave(WANTS_ONE, '{ sleep 3; IFS= read -r answer; echo "$answer" >>$here/answers; exit 1; }')
    sudo.password = Password(PASSWORD)
    with pytest.raises(TransportError, match="did not finish within 1 s"):
        await (await sudo.connect()).run("echo fine", timeout=1)
    await asyncio.sleep(3)
    assert b"".join(sudo.answers) == b""


async def test_an_answer_that_does_not_come_in_time_is_not_asked_for_again(sudo: FakeSudo) -> None:
    sudo.behave(WANTS_ONE, "{ ask; cat; }")
    sudo.password = Password(PASSWORD)
    for _ in range(2):
        with pytest.raises(TransportError, match="did not finish within 1 s"):
            await (await sudo.connect()).run("echo fine", timeout=1)
    assert sudo.answers == [PASSWORD]


async def test_the_time_at_the_keyboard_does_not_count(sudo: FakeSudo) -> None:
    async def type_slowly() -> Password:
        await asyncio.sleep(3.5)
        return Password(PASSWORD)

    connection = await sudo.connect()
    connection.ask = type_slowly
    assert (await connection.run("echo fine", timeout=3)).stdout == "fine\n"


async def test_machines_that_ask_at_the_same_time_are_answered_by_one(
    start: ServerMaker, transport: TransportMaker, sudo: FakeSudo
) -> None:
    async def type_in() -> Password:
        await asyncio.sleep(0.5)
        return await sudo.ask() or Password(PASSWORD)

    server = start("fleet", env=f"PATH={sudo.directory}:{REMOTE_PATH}")
    fleet, names = FleetSudo(), [NodeName(f"n{number}") for number in range(5)]
    one = transport(dict.fromkeys(names, server), sudo=fleet, ask=type_in)

    async def run(name: NodeName) -> Completed:
        connection = await one.connect(name)
        connection.sudo = fleet.on(name)
        return await connection.run("echo fine", timeout=20)

    done = await asyncio.gather(*map(run, names))
    assert [one.stdout for one in done] == ["fine\n"] * 5
    assert (sudo.asked, sudo.answers) == (1, [PASSWORD] * 5)


async def test_a_script_that_is_ended_behind_a_password(sudo: FakeSudo, tmp_path: Path) -> None:
    sudo.password = Password(PASSWORD)
    with pytest.raises(TransportError, match="did not finish within 2 s"):
        await (await sudo.connect()).run(f"sleep 5; : >{tmp_path}/late", timeout=2)
    await asyncio.sleep(4)
    assert not (tmp_path / "late").exists()


async def test_root_is_asked_for_nothing(sudo: FakeSudo) -> None:
    connection = await sudo.connect()
    connection.sudo = None
    assert (await connection.run("echo fine", timeout=10)).stdout == "fine\n"
    assert not (sudo.directory / "calls").exists()
