"""One script on one open SSH connection: sent, read back within bounds, ended in time."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import asyncssh

from wireloom.secret import Password
from wireloom.transport.each import carry_through
from wireloom.transport.frame import PLAIN, end_script, frame_script, started_as, unframe
from wireloom.transport.port import Completed, TransportError
from wireloom.transport.raw import Raw
from wireloom.transport.sudo import WITHOUT_PASSWORD, Ask, MachineSudo, PasswordWanted, Prompt

MAX_OUTPUT = 16 * 1024 * 1024
"""Bytes of stdout, and of stderr, that a script may print. More is a mistake, and would fill our memory."""

CLOSE_SECONDS = 2.0
LINGER_SECONDS = 0.5
"""How long an output must be silent, after the script itself has ended, before we ask whether more comes."""

_CHUNK = 64 * 1024
_SERVING = 1024 * 1024
"""Bytes of data that are handed to asyncssh at once: it keeps a copy of what is not sent yet."""


class _TooMuchError(Exception):
    """The output passed MAX_OUTPUT."""


@dataclass(slots=True)
class SshConnection:
    """An open connection to one machine. ``who`` is ``user@host`` for messages.

    ``sudo`` is what is known of sudo there (None: root needs none); ``ask`` gets the password, should it want
    one.
    """

    ssh: asyncssh.SSHClientConnection
    host_key: str
    who: str
    sudo: MachineSudo | None
    ask: Ask

    async def run(self, script: str, *, timeout: float, data: bytes = b"") -> Completed:
        """Run ``script`` as root; see the port. Out of time or cancelled, its process group is ended.

        The time that somebody takes to type a password does not count.
        """
        sudo = self.sudo
        if sudo is not None and sudo.refusal is not None:
            raise sudo.refusal
        try:
            return await self._run(script, timeout, data)
        except PasswordWanted:
            if sudo is None or sudo.password is not None:
                raise
            sudo.password = await self.ask()
            if sudo.password is None:
                raise
        return await self._run(script, timeout, data)

    async def close(self) -> None:
        """Say goodbye, for at most CLOSE_SECONDS; safe to call twice."""
        await hang_up(self.ssh)

    async def _run(self, script: str, timeout: float, data: bytes) -> Completed:
        """Run it once, in the way that sudo is known to want."""
        talk = self._begin(data)
        try:
            raw = await self._hear_out(talk, script, timeout)
            return unframe(raw, talk.prompt.nonce, who=self.who, sudo=self.sudo is not None)
        except TransportError as error:
            if self.sudo is not None and talk.told and not talk.inside and not error.unreachable:
                self.sudo.refusal = error
            raise

    def _begin(self, data: bytes = b"") -> "_Talk":
        """A talk, not yet begun, with one of the fixed commands."""
        prompt = Prompt(f"wireloom-{secrets.token_hex(8)}")
        if self.sudo is None:
            return _Talk(self.ssh, PLAIN, prompt, data)
        if self.sudo.password is None:
            return _Talk(self.ssh, WITHOUT_PASSWORD, prompt, data)
        return _Talk(self.ssh, prompt.command, prompt, data, self.sudo.password)

    async def _hear_out(self, talk: "_Talk", script: str, timeout: float) -> Raw:
        """All that comes back, in time. Raises TransportError."""
        try:
            async with asyncio.timeout(timeout):
                raw = await talk.hold(script)
        except BaseException as error:
            await carry_through(self._end(talk))
            wrong = self._explain(error, timeout)
            if wrong is None:
                raise
            raise wrong from None
        if raw.status is None and not talk.signalled:
            raise self._broken("it ended without an exit status")
        return raw

    async def _end(self, talk: "_Talk") -> None:
        """Let nothing of a script live on that we don't listen to, as far as the machine still answers."""
        process = talk.process
        if process is None or talk.ended:
            return
        pid = started_as(talk.stdout.decode(errors="replace"), talk.prompt.nonce)
        process.channel.abort()
        if pid is None or self.ssh.is_closed():
            return
        with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._begin().hold(end_script(pid))

    def _explain(self, error: BaseException, timeout: float) -> TransportError | None:
        """What an interrupted run means; None for what is not ours to explain."""
        match error:
            case TimeoutError():
                return TransportError(
                    f"a script on {self.who} did not finish within {timeout:g} s and was ended",
                    hint="look at what the machine is doing (load, disk, DNS); part of the work may be done",
                )
            case _TooMuchError():
                return TransportError(
                    f"a script on {self.who} printed more than {MAX_OUTPUT // 1024**2} MiB and was ended"
                )
            case asyncssh.ChannelOpenError() if not self.ssh.is_closed():
                return TransportError(
                    f"{self.who} lets us in but gives no session: {error.reason}",
                    hint="look at MaxSessions and at restrictions of the key in authorized_keys",
                )
            case asyncssh.Error() | OSError():
                return self._broken(str(error))
        return None

    def _broken(self, reason: str) -> TransportError:
        """The connection ended before the script did."""
        return TransportError(
            f"the connection to {self.who} broke while a script ran: {reason or 'closed'}",
            hint="try again; the script may have done its work",
            unreachable=True,
        )


@dataclass(slots=True)
class _Talk:
    """One channel while it lasts, and what it said so far.

    ``told``: the password was sent, which is done once at most.
    """

    ssh: asyncssh.SSHClientConnection
    command: str
    prompt: Prompt
    data: bytes = b""
    password: Password | None = None
    process: "asyncssh.SSHClientProcess[bytes] | None" = None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    told: bool = False
    ended: bool = False
    _open: int = 2
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def signalled(self) -> bool:
        """Whether a signal ended the command."""
        return self.process is not None and self.process.exit_signal is not None

    @property
    def inside(self) -> bool:
        """Whether the shell behind sudo's prompt is there."""
        return self.prompt.has_shell(self.stdout)

    async def hold(self, script: str) -> Raw:
        """Send the script and read until both outputs end. Raises _TooMuchError, asyncssh.Error, OSError.

        Neither a terminal nor the environment that the user's ssh configuration may ask for. LC_ALL is for
        the login shell's own messages; a server that does not accept it ignores it.
        """
        self.process = process = await self.ssh.create_process(
            self.command, encoding=None, request_pty=False, env={"LC_ALL": "C"}, send_env=[]
        )
        tasks = (
            asyncio.create_task(self._say(process, script)),
            asyncio.create_task(self._receive(process.stdout, self.stdout)),
            asyncio.create_task(self._receive(process.stderr, self.stderr)),
        )
        try:
            await self._listen(process, tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.ended = True
        return Raw(
            process.exit_status, self.stdout.decode(errors="replace"), self.stderr.decode(errors="replace")
        )

    async def _say(self, process: "asyncssh.SSHClientProcess[bytes]", script: str) -> None:
        """Write script and data, and end stdin. A machine that stops reading says why in its output."""
        with contextlib.suppress(OSError, asyncssh.Error):
            if self.password is None or await self._enter(process, self.password):
                process.stdin.write(frame_script(script, self.prompt.nonce, fed=bool(self.data)).encode())
                await process.stdin.drain()
                await self._feed(process)
            process.stdin.write_eof()

    async def _feed(self, process: "asyncssh.SSHClientProcess[bytes]") -> None:
        """Write the data, once the script has begun."""

        def has_begun() -> bool:
            return started_as(self.stdout.decode(errors="replace"), self.prompt.nonce) is not None

        if self.data:
            await self._wait_for(has_begun)
        if self.data and has_begun():
            for start in range(0, len(self.data), _SERVING):
                process.stdin.write(self.data[start : start + _SERVING])
                await process.stdin.drain()

    async def _enter(self, process: "asyncssh.SSHClientProcess[bytes]", password: Password) -> bool:
        """Get past sudo, and say whether the shell is there that is to read the script.

        The password is sent once, and only to a prompt. There may be none (NOPASSWD; sudo remembers us from
        a minute ago): the shell would run the password as a command. A second prompt means no. A script sent
        too early would answer it, and the mere end of input counts as a second wrong try for pam_faillock:
        sudo is killed there, which we may do, as its real user is still ours.
        """

        def times_asked() -> int:
            return self.prompt.times_asked(self.stderr)

        await self._wait_for(lambda: self.inside or times_asked() > 0)
        if not self.inside and times_asked() > 0:
            self.told = True
            process.stdin.write(password.reveal() + b"\n")
            await self._wait_for(lambda: self.inside or times_asked() > 1)
            if not self.inside:
                process.kill()
        return self.inside

    async def _wait_for(self, heard: Callable[[], bool]) -> None:
        """Wait until something was heard, or both outputs have ended."""
        while not heard() and self._open:
            self._news.clear()
            await self._news.wait()

    async def _receive(self, reader: "asyncssh.SSHReader[bytes]", received: bytearray) -> None:
        """All of one output, as long as it is not more than MAX_OUTPUT."""
        try:
            while chunk := await reader.read(_CHUNK):
                received += chunk
                self._news.set()
                if len(received) > MAX_OUTPUT:
                    raise _TooMuchError
        finally:
            self._open -= 1
            self._news.set()

    async def _listen(
        self, process: "asyncssh.SSHClientProcess[bytes]", tasks: "tuple[asyncio.Task[None], ...]"
    ) -> None:
        """Wait for the end of both outputs, or until a script that is over has nothing more to say.

        A daemon that it left behind may hold its outputs open for ever.
        """
        while pending := [task for task in tasks if not task.done()]:
            done, _ = await asyncio.wait(pending, timeout=LINGER_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
            if not done and self._is_over(process) and not await self._hears_more():
                process.channel.abort()
                return
        for task in tasks:
            task.result()
        await process.wait_closed()

    @staticmethod
    def _is_over(process: "asyncssh.SSHClientProcess[bytes]") -> bool:
        """Whether the machine told how the command ended."""
        return process.exit_status is not None or process.exit_signal is not None

    async def _hears_more(self) -> bool:
        """Whether output still comes in, after an answer to a question put to the server now.

        An answer comes after all that was sent before it, so a slow network can't be taken for silence
        and cut an output short.
        """
        before = len(self.stdout) + len(self.stderr)
        with contextlib.suppress(asyncssh.ChannelOpenError):  # a refusal is an answer too
            question = await self.ssh.create_process(
                PLAIN, encoding=None, request_pty=False, stdin=asyncssh.DEVNULL
            )
            question.close()
        await asyncio.sleep(LINGER_SECONDS)
        return len(self.stdout) + len(self.stderr) > before


async def hang_up(ssh: asyncssh.SSHClientConnection) -> None:
    """Close a connection; one that does not answer any more is dropped after CLOSE_SECONDS."""
    ssh.close()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await ssh.wait_closed()
    except (TimeoutError, asyncssh.Error, OSError):
        ssh.abort()
