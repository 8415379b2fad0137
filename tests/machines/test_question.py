"""The question for the sudo password, at a terminal, with real machines behind it."""

import os
import pty
import select
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.machines.machines import Machines
from tests.machines.people import PASSWORD, TRACE
from tests.machines.test_users import footprints

QUESTION = "sudo password, for all machines that want one: "


class Terminal:
    """Somebody at a terminal, and all that it showed."""

    def __init__(self) -> None:
        self.hand, self.program = pty.openpty()
        self.shown = b""

    def read_until(self, text: str) -> None:
        """Look until it shows that; with a text that never comes, until the program has gone."""
        while text.encode() not in self.shown and (chunk := self._read()):
            self.shown += chunk

    def _read(self) -> bytes:
        with suppress(OSError):  # the program has gone
            return os.read(self.hand, 10_000)
        return b""

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.hand)[3] & termios.ECHO)


@contextmanager
def at_a_terminal(group: Machines, *words: str) -> Iterator[tuple[Terminal, Callable[[], int]]]:
    """``wireloom WORDS`` at a terminal, and how to wait for its exit code."""
    terminal = Terminal()
    process = group.operator.sit_at(terminal.program, *words)
    try:
        os.close(terminal.program)
        yield terminal, lambda: process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(terminal.hand)


def test_who_sits_at_a_terminal_is_asked_once_for_all_machines(people: Machines) -> None:
    people.operator.edit("ipv4: 10.99.0.0/16", "ipv4: 10.99.0.0/16, mtu: 1400")
    with at_a_terminal(people, "apply") as (terminal, wait):
        terminal.read_until(QUESTION)
        hidden = not terminal.echoes
        before = terminal.shown
        os.write(terminal.hand, f"{PASSWORD}\n".encode())
        terminal.read_until("[y/N]")
        seen_again = terminal.echoes
        os.write(terminal.hand, b"y\n")
        terminal.read_until("applied:")
        code = wait()
    shown = terminal.shown.decode()
    assert code == 0, shown
    assert (hidden, seen_again) == (True, True)
    assert shown.count(QUESTION) == 1
    assert TRACE not in shown
    assert before.decode().endswith(QUESTION)
    assert people["beta"].run("cat", "/sys/class/net/wg0/mtu").strip() == "1400"


def test_the_spinner_does_not_spin_over_the_question(people: Machines) -> None:
    with at_a_terminal(people, "plan") as (terminal, wait):
        terminal.read_until(QUESTION)
        spins = select.select([terminal.hand], [], [], 1)[0]
        os.write(terminal.hand, f"{PASSWORD}\n".encode())
        terminal.read_until("as the fleet file says")
        assert wait() == 0
    assert spins == []


def test_yes_asks_for_no_password_either(people: Machines) -> None:
    prints = footprints(people)
    with at_a_terminal(people, "apply", "--yes") as (terminal, wait):
        terminal.read_until("never to be seen")
        assert wait() == 1
    shown = terminal.shown.decode()
    assert QUESTION not in shown
    assert "sudo on kim@203.0.113.2 asks for a password" in shown
    assert "set WIRELOOM_SUDO_PASSWORD, or run this in a terminal and without --yes" in shown
    assert footprints(people) == prints


def test_ctrl_c_at_the_question_leaves_everything_as_it_was(people: Machines) -> None:
    prints = footprints(people)
    with at_a_terminal(people, "apply") as (terminal, wait):
        terminal.read_until(QUESTION)
        os.write(terminal.hand, b"\x03")
        terminal.read_until("interrupted")
        echoes = terminal.echoes
        assert wait() == 130
    assert echoes
    assert "Traceback" not in terminal.shown.decode()
    assert footprints(people) == prints
