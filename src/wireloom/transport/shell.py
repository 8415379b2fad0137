"""A root shell on one channel, which is given scripts one after another and tells them apart."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import asyncssh

from wireloom.secret import Password
from wireloom.transport.frame import end_mark, frame_script, opening, started_as
from wireloom.transport.raw import Raw, read_mark
from wireloom.transport.sudo import Prompt

MAX_OUTPUT = 16 * 1024 * 1024
"""Bytes of stdout, and of stderr, that a script may print. More is a mistake, and would fill our memory."""

PATIENCE_SECONDS = 3.0
"""How long a first script may take to begin before it is told that no more comes."""

_CHUNK = 64 * 1024
_LONGEST_MARK = 64
_SERVING = 1024 * 1024
"""Bytes of data that are handed to asyncssh at once: it keeps a copy of what is not sent yet."""


class TooMuchError(Exception):
    """The output passed MAX_OUTPUT, which is the text of this."""


@dataclass(slots=True)
class _Output:
    """What one of the two outputs has said since a script was sent, and whether its end was among it."""

    text: bytearray = field(default_factory=bytearray)
    end: bytes = b""
    has_ended: bool = False

    def expect(self, end: bytes) -> None:
        """Begin anew, with another script, whose end this is."""
        self.text, self.end, self.has_ended = bytearray(), end, False

    def add(self, chunk: bytes) -> None:
        """Take in what came. It is looked through once: an output may be long."""
        before = max(0, len(self.text) - _LONGEST_MARK)
        self.text += chunk
        self.has_ended = self.has_ended or read_mark(self.text, self.end, before) is not None


@dataclass(slots=True)
class Shell:
    """One channel, and the shell behind it from the first script on.

    A script goes to it when the one before has ended. It keeps nothing of that one: each has a subshell.
    ``told``: the password was sent, which is done once at most. ``used``: a script has run in it.
    """

    ssh: asyncssh.SSHClientConnection
    command: str
    prompt: Prompt
    password: Password | None = None
    process: "asyncssh.SSHClientProcess[bytes] | None" = None
    nonce: str = ""
    told: bool = False
    used: bool = False
    _stdout: _Output = field(default_factory=_Output)
    _stderr: _Output = field(default_factory=_Output)
    _open: int = 2
    _no_more: bool = False
    _failure: Exception | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _readers: "tuple[asyncio.Task[None], ...]" = ()

    @property
    def lives(self) -> bool:
        """Whether it can be given another script, as far as is known here."""
        return self.process is not None and self._open == 2 and not self._no_more and not self._is_over

    @property
    def begun(self) -> bool:
        """Whether the last script has begun."""
        return self.started_as is not None

    @property
    def started_as(self) -> int | None:
        """The process id of the shell, once the last script has begun."""
        return started_as(self._stdout.text, self.nonce)

    @property
    def has_ended(self) -> bool:
        """Whether the last script's end was heard, and so all that it has printed."""
        return self._stdout.has_ended and self._stderr.has_ended

    @property
    def signalled(self) -> bool:
        """Whether a signal ended it."""
        return self.process is not None and self.process.exit_signal is not None

    @property
    def inside(self) -> bool:
        """Whether the shell behind sudo's prompt is there."""
        return self.used or self.prompt.has_shell(self._stdout.text)

    async def run(self, script: str, data: bytes) -> Raw:
        """Send a script and read until it has ended, or the shell has.

        Raises TooMuchError, asyncssh.Error, OSError: the shell is then of no more use, and to be dropped.
        """
        self.nonce = f"wireloom-{secrets.token_hex(8)}"
        for output in (self._stdout, self._stderr):
            output.expect(end_mark(self.nonce))
        framed = frame_script(script, self.nonce, fed=bool(data))
        process = self.process or await self._begin()
        saying = asyncio.create_task(self._say(process, framed, data))
        try:
            await self._wait_for(lambda: self.has_ended)
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        if not self.has_ended:
            await process.wait_closed()
        self.used = self.used or self.begun
        outputs = (one.text.decode(errors="replace") for one in (self._stdout, self._stderr))
        return Raw(process.exit_status, *outputs)

    def drop(self) -> None:
        """Close the channel: a shell that waits for a script ends with it."""
        if self.process is not None:
            self.process.channel.abort()

    async def _begin(self) -> "asyncssh.SSHClientProcess[bytes]":
        """Open the channel, and listen from now on.

        Neither a terminal nor the environment that the user's ssh configuration may ask for. LC_ALL is for
        the login shell's own messages; a server that does not accept it ignores it.
        """
        self.process = process = await self.ssh.create_process(
            self.command, encoding=None, request_pty=False, env={"LC_ALL": "C"}, send_env=[]
        )
        self._readers = (
            asyncio.create_task(self._receive(process.stdout, self._stdout)),
            asyncio.create_task(self._receive(process.stderr, self._stderr)),
        )
        return process

    async def _say(self, process: "asyncssh.SSHClientProcess[bytes]", framed: str, data: bytes) -> None:
        """Write script and data. A machine that stops reading says why in its output.

        Stdin ends where data was in it, or where sudo is not to be asked again. It ends also where a first
        script does not begin: a start-up file that reads its input would else wait for ever.
        """
        with contextlib.suppress(OSError, asyncssh.Error):
            if self.used or self.password is None or await self._enter(process, self.password):
                process.stdin.write((framed if self.used else opening(self.nonce) + framed).encode())
                await process.stdin.drain()
                if not data and (self.used or await self._begins_soon()):
                    return
                await self._feed(process, data)
            self._no_more = True
            process.stdin.write_eof()

    async def _begins_soon(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._wait_for(lambda: self.begun)
        return self.begun

    async def _feed(self, process: "asyncssh.SSHClientProcess[bytes]", data: bytes) -> None:
        """Write the data, once the script has begun."""
        if data:
            await self._wait_for(lambda: self.begun)
        if data and self.begun:
            for start in range(0, len(data), _SERVING):
                process.stdin.write(data[start : start + _SERVING])
                await process.stdin.drain()

    async def _enter(self, process: "asyncssh.SSHClientProcess[bytes]", password: Password) -> bool:
        """Get past sudo, and say whether the shell is there that is to read the script.

        The password is sent once, and only to a prompt. There may be none (NOPASSWD; sudo remembers us from
        a minute ago): the shell would run the password as a command. A second prompt means no. A script sent
        too early would answer it, and the mere end of input counts as a second wrong try for pam_faillock:
        sudo is killed there, which we may do, as its real user is still ours.
        """

        def times_asked() -> int:
            return self.prompt.times_asked(self._stderr.text)

        await self._wait_for(lambda: self.inside or times_asked() > 0)
        if not self.inside and times_asked() > 0:
            self.told = True
            process.stdin.write(password.reveal() + b"\n")
            await self._wait_for(lambda: self.inside or times_asked() > 1)
            if not self.inside:
                process.kill()
        return self.inside

    async def _wait_for(self, heard: Callable[[], bool]) -> None:
        """Wait until something was heard, or nothing more can be."""
        while not heard() and self._open and self._failure is None:
            self._news.clear()
            await self._news.wait()

    async def _receive(self, reader: "asyncssh.SSHReader[bytes]", output: _Output) -> None:
        """All of one output, as long as no script's is more than MAX_OUTPUT."""
        try:
            while chunk := await reader.read(_CHUNK):
                output.add(chunk)
                self._news.set()
                if len(output.text) > MAX_OUTPUT:
                    raise TooMuchError(f"{MAX_OUTPUT // 1024**2} MiB")
        except (TooMuchError, asyncssh.Error, OSError) as error:
            self._failure = error
        finally:
            self._open -= 1
            self._news.set()

    @property
    def _is_over(self) -> bool:
        """Whether the machine told how the shell ended."""
        return self.process is not None and (self.process.exit_status is not None or self.signalled)
