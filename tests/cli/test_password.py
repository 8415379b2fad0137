"""Where the sudo password comes from; the keyboard is a pseudo-terminal."""

import asyncio
import io
import os
import pty
import sys
import termios
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from wireloom.cli.password import ask_password
from wireloom.cli.settings import Settings
from wireloom.errors import UserError
from wireloom.report.terminal import Progress
from wireloom.secret import Password
from wireloom.transport.sudo import PASSWORD_VARIABLE

QUESTION = "sudo password, for all machines that want one: "


@dataclass
class Keyboard:
    """The side of a terminal that somebody sits at; ``stdin`` is the program's."""

    hand: int
    stdin: int

    @property
    def shows(self) -> bool:
        """Whether what is typed is seen."""
        return bool(termios.tcgetattr(self.stdin)[3] & termios.ECHO)

    def seen(self) -> bytes:
        """What the terminal shows, by itself: the program's stderr is another one."""
        os.set_blocking(self.hand, False)
        try:
            return os.read(self.hand, 1000)
        except BlockingIOError:
            return b""


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keyboard]:
    hand, stdin = pty.openpty()
    with os.fdopen(hand), os.fdopen(stdin) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield Keyboard(hand, stdin)


class Screen:
    """All that the program has said on stderr so far."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self._said = ""

    @property
    def said(self) -> str:
        self._said += self._capture.readouterr().err
        return self._said


@pytest.fixture
def screen(capsys: pytest.CaptureFixture[str]) -> Screen:
    return Screen(capsys)


async def begin(screen: Screen, progress: Progress | None = None) -> "asyncio.Task[Password | None]":
    """A question that has been put."""
    asking = asyncio.create_task(ask_password(Settings(), progress or Progress(quiet=True), yes=False))
    async with asyncio.timeout(10):
        while QUESTION not in screen.said:  # noqa: ASYNC110 - the screen has no event
            await asyncio.sleep(0.01)
    return asking


async def test_the_variable_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, PASSWORD_VARIABLE.encode(), b" caf\xe9  ")
    password = await ask_password(Settings(), Progress(quiet=True), yes=False)
    assert password is not None
    assert password.reveal() == b" caf\xe9  "


async def test_who_has_set_the_variable_is_not_asked(
    keyboard: Keyboard, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "sesame")
    async with asyncio.timeout(10):
        assert await ask_password(Settings(), Progress(quiet=True), yes=False) is not None
    assert screen.said == ""


@pytest.mark.parametrize(("text", "reason"), [("", "is empty"), ("sesame\n", "has the end of a line in it")])
async def test_a_variable_that_holds_no_password_is_an_error(
    text: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, text)
    with pytest.raises(UserError, match=f"{PASSWORD_VARIABLE}: the sudo password {reason}") as caught:
        await ask_password(Settings(), Progress(quiet=True), yes=False)
    assert "sesame" not in str(caught.value)


async def test_nobody_is_asked_where_stdin_is_no_terminal(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("sesame\n"))
    assert await ask_password(Settings(), Progress(quiet=True), yes=False) is None
    assert screen.said == ""


@pytest.mark.parametrize("settings", [Settings(json=True), Settings(quiet=True)], ids=["--json", "--quiet"])
async def test_who_wants_no_talk_is_not_asked(settings: Settings, keyboard: Keyboard, screen: Screen) -> None:
    async with asyncio.timeout(10):
        assert await ask_password(settings, Progress(quiet=True), yes=False) is None
    assert screen.said == ""


async def test_who_says_yes_is_not_asked(keyboard: Keyboard, screen: Screen) -> None:
    async with asyncio.timeout(10):
        assert await ask_password(Settings(), Progress(quiet=True), yes=True) is None
    assert screen.said == ""


async def test_what_is_typed_is_taken_and_not_shown(keyboard: Keyboard, screen: Screen) -> None:
    asking = await begin(screen)
    hidden = not keyboard.shows
    os.write(keyboard.hand, "ein Schlüssel\n".encode())
    password = await asking
    assert password is not None
    assert password.reveal() == "ein Schlüssel".encode()
    assert (hidden, keyboard.seen(), keyboard.shows) == (True, b"", True)
    assert screen.said == f"{QUESTION}\n"


async def test_a_slip_of_the_finger_can_be_mended(keyboard: Keyboard, screen: Screen) -> None:
    asking = await begin(screen)
    os.write(keyboard.hand, b"sesam\x7fme\n")
    password = await asking
    assert password is not None
    assert password.reveal() == b"sesame"


@pytest.mark.parametrize("typed", [b"\n", b"\x04"], ids=["Enter", "Ctrl-D"])
async def test_nothing_typed_is_an_error(typed: bytes, keyboard: Keyboard, screen: Screen) -> None:
    asking = await begin(screen)
    os.write(keyboard.hand, typed)
    with pytest.raises(UserError, match="the sudo password is empty"):
        await asking
    assert keyboard.shows


async def test_an_interrupt_leaves_the_terminal_as_it_was(keyboard: Keyboard, screen: Screen) -> None:
    asking = await begin(screen)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert keyboard.shows


async def test_other_work_goes_on_while_somebody_types(keyboard: Keyboard, screen: Screen) -> None:
    asking = await begin(screen)
    async with asyncio.timeout(10):
        await asyncio.sleep(0.1)
    assert not asking.done()
    os.write(keyboard.hand, b"sesame\n")
    assert await asking is not None


async def test_the_spinner_stops_for_the_question(keyboard: Keyboard, screen: Screen) -> None:
    class Told(Progress):
        stopped = ""

        def pause(self) -> None:
            self.stopped = "too late" if screen.said else "before the question"

    progress = Told(quiet=True)
    asking = await begin(screen, progress)
    os.write(keyboard.hand, b"sesame\n")
    await asking
    assert progress.stopped == "before the question"
