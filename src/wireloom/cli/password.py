"""The sudo password: from the environment, or from the keyboard."""

import asyncio
import os
import sys
import termios

from wireloom.cli.settings import Settings
from wireloom.errors import UserError
from wireloom.report.terminal import Progress
from wireloom.secret import Password
from wireloom.transport.sudo import PASSWORD_VARIABLE

LONGEST_LINE = 4096
"""Bytes of one line that a terminal gives (termios(3), canonical mode)."""


async def ask_password(settings: Settings, progress: Progress, *, yes: bool) -> Password | None:
    """The password that the variable holds or somebody types; None where there is nobody to ask.

    ``yes``: who runs this wants no question.

    Raises UserError for what can't be a password.
    """
    given = os.environb.get(PASSWORD_VARIABLE.encode())
    if given is not None:
        return _read_as_password(given, where=PASSWORD_VARIABLE)
    if yes or settings.json or settings.quiet or not sys.stdin.isatty():
        return None
    with progress.interrupted():
        typed = await _type_hidden("sudo password, for all machines that want one: ")
    return _read_as_password(typed)


def _read_as_password(raw: bytes, *, where: str = "") -> Password:
    try:
        return Password(raw)
    except ValueError as error:
        hint = "nothing was sent to any machine. Set it to the password alone, or unset it to be asked"
        raise UserError.one(f"the sudo password {error}", where=where, hint=hint if where else "") from None


async def _type_hidden(question: str) -> bytes:
    """What somebody types until Enter, without showing it; nothing at the end of input.

    Not ``getpass``: it would hold up the scripts on all other machines, and in a thread of its own it would
    outlive Ctrl-C.
    """
    keyboard = sys.stdin.fileno()
    shown = termios.tcgetattr(keyboard)
    hidden = [*shown]
    hidden[3] &= ~termios.ECHO
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        loop.remove_reader(keyboard)
        typed.set_result(os.read(keyboard, LONGEST_LINE))

    termios.tcsetattr(keyboard, termios.TCSAFLUSH, hidden)
    try:
        sys.stderr.write(question)
        sys.stderr.flush()
        loop.add_reader(keyboard, read)
        return (await typed).removesuffix(b"\n")
    finally:
        loop.remove_reader(keyboard)
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, shown)
        sys.stderr.write("\n")
