"""One script on one open SSH connection: sent, read back within bounds, ended in time."""

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, field

import asyncssh

from wireloom.transport.frame import PLAIN, WITH_SUDO, Raw, end_script, frame_script, started_as, unframe
from wireloom.transport.port import Completed, TransportError

MAX_OUTPUT = 16 * 1024 * 1024
"""Bytes of stdout, and of stderr, that a script may print. More is a mistake, and would fill our memory."""

CLOSE_SECONDS = 2.0
LINGER_SECONDS = 0.5
"""How long an output must be silent, after the script itself has ended, before we ask whether more comes."""

_CHUNK = 64 * 1024


class _TooMuchError(Exception):
    """The output passed MAX_OUTPUT."""


@dataclass(slots=True)
class SshConnection:
    """An open connection to one machine. ``who`` is ``user@host`` for messages."""

    ssh: asyncssh.SSHClientConnection
    host_key: str
    who: str
    sudo: bool

    async def run(self, script: str, *, timeout: float) -> Completed:
        """Run ``script`` as root; see the port. Out of time or cancelled, its process group is ended."""
        nonce = f"wireloom-{secrets.token_hex(8)}"
        talk = _Talk(self.ssh)
        try:
            async with asyncio.timeout(timeout):
                raw = await self._hold(talk, frame_script(script, nonce))
        except BaseException as error:
            await self._end(talk, nonce)
            wrong = self._explain(error, timeout)
            if wrong is None:
                raise
            raise wrong from None
        if raw.status is None and not talk.signalled:
            raise self._broken("it ended without an exit status")
        return unframe(raw, nonce, who=self.who, sudo=self.sudo)

    async def close(self) -> None:
        """Say goodbye, for at most CLOSE_SECONDS; safe to call twice."""
        await hang_up(self.ssh)

    async def _hold(self, talk: "_Talk", script: str) -> Raw:
        """Open a channel with one of the two fixed commands, and talk until it ends.

        Neither a terminal nor the environment that the user's ssh configuration may ask for. LC_ALL goes
        along for sudo's own messages, which come before the script could ask for English; a server that
        does not accept it ignores it.
        """
        talk.process = await self.ssh.create_process(
            WITH_SUDO if self.sudo else PLAIN,
            encoding=None,
            request_pty=False,
            env={"LC_ALL": "C"},
            send_env=[],
        )
        return await talk.hold(talk.process, script.encode())

    async def _end(self, talk: "_Talk", nonce: str) -> None:
        """Let nothing of a script live on that we don't listen to, as far as the machine still answers."""
        process = talk.process
        if process is None or talk.ended:
            return
        pid = started_as(talk.stdout.decode(errors="replace"), nonce)
        process.channel.abort()
        if pid is None or self.ssh.is_closed():
            return
        with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._hold(_Talk(self.ssh), frame_script(end_script(pid), f"{nonce}-end"))

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
    """One channel while it lasts, and what it said so far."""

    ssh: asyncssh.SSHClientConnection
    process: "asyncssh.SSHClientProcess[bytes] | None" = None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    ended: bool = False

    @property
    def signalled(self) -> bool:
        """Whether a signal ended the command."""
        return self.process is not None and self.process.exit_signal is not None

    async def hold(self, process: "asyncssh.SSHClientProcess[bytes]", script: bytes) -> Raw:
        """Send the script and read until both outputs end. Raises _TooMuchError, asyncssh.Error, OSError."""
        tasks = (
            asyncio.create_task(_send(process.stdin, script)),
            asyncio.create_task(_receive(process.stdout, self.stdout)),
            asyncio.create_task(_receive(process.stderr, self.stderr)),
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


async def _send(stdin: "asyncssh.SSHWriter[bytes]", script: bytes) -> None:
    """Write the script and end stdin. A machine that stops reading says why in its output."""
    with contextlib.suppress(OSError, asyncssh.Error):
        stdin.write(script)
        await stdin.drain()
        stdin.write_eof()


async def _receive(reader: "asyncssh.SSHReader[bytes]", received: bytearray) -> None:
    """All of one output, as long as it is not more than MAX_OUTPUT."""
    while chunk := await reader.read(_CHUNK):
        received += chunk
        if len(received) > MAX_OUTPUT:
            raise _TooMuchError
