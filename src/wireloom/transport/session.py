"""Scripts on one open SSH connection: sent, read back within bounds, ended in time."""

import asyncio
import contextlib
import secrets
from dataclasses import dataclass

import asyncssh

from wireloom.transport.each import carry_through
from wireloom.transport.frame import PLAIN, end_script, unframe
from wireloom.transport.port import Completed, TransportError
from wireloom.transport.raw import Raw
from wireloom.transport.shell import Shell, TooMuchError
from wireloom.transport.sudo import WITHOUT_PASSWORD, Ask, MachineSudo, PasswordWanted, Prompt

CLOSE_SECONDS = 2.0


@dataclass(slots=True)
class SshConnection:
    """An open connection to one machine. ``who`` is ``user@host`` for messages.

    ``sudo`` is what is known of sudo there (None: root needs none); ``ask`` gets the password, should it want
    one. One shell is kept for the next script: a login shell, sudo and a shell cost more than most scripts,
    and a channel two round trips. Scripts side by side have a shell each.
    """

    ssh: asyncssh.SSHClientConnection
    host_key: str
    who: str
    sudo: MachineSudo | None
    ask: Ask
    _kept: Shell | None = None

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
        """Run it once, in the way that sudo is known to want.

        A shell that was kept may have ended since, without having read this: then in another one.
        """
        shell = self._take(data)
        was_kept = shell.used
        try:
            raw = await self._hear_out(shell, script, timeout, data)
            if was_kept and not shell.begun:
                shell = self._new_shell()
                raw = await self._hear_out(shell, script, timeout, data)
            return unframe(raw, shell.nonce, who=self.who, sudo=shell.prompt if self.sudo else None)
        except TransportError as error:
            if self.sudo is not None and shell.told and not shell.inside and not error.unreachable:
                self.sudo.refusal = error
            raise

    def _take(self, data: bytes) -> Shell:
        """The shell that was kept, or a new one. Data ends the shell's own input: that takes a new one."""
        kept = self._kept
        if kept is None or not kept.lives or data:
            return self._new_shell()
        self._kept = None
        return kept

    def _give_back(self, shell: Shell) -> None:
        """Keep it for the next script, unless there is one already."""
        if shell.lives and (self._kept is None or not self._kept.lives):
            self._kept = shell
        else:
            shell.drop()

    def _new_shell(self) -> Shell:
        """A shell, not yet begun, with one of the fixed commands."""
        prompt = Prompt(f"wireloom-{secrets.token_hex(8)}")
        if self.sudo is None:
            return Shell(self.ssh, PLAIN, prompt)
        if self.sudo.password is None:
            return Shell(self.ssh, WITHOUT_PASSWORD, prompt)
        return Shell(self.ssh, prompt.command, prompt, self.sudo.password)

    async def _hear_out(self, shell: Shell, script: str, timeout: float, data: bytes) -> Raw:
        """All that comes back, in time. Raises TransportError."""
        try:
            async with asyncio.timeout(timeout):
                raw = await shell.run(script, data)
        except BaseException as error:
            await carry_through(self._end(shell))
            wrong = self._explain(error, timeout)
            if wrong is None:
                raise
            raise wrong from None
        self._give_back(shell)
        if raw.status is None and not shell.signalled and not shell.has_ended:
            raise self._broken("it ended without an exit status")
        return raw

    async def _end(self, shell: Shell) -> None:
        """Let nothing of a script live on that we don't listen to, as far as the machine still answers."""
        pid = None if shell.has_ended else shell.started_as
        shell.drop()
        if pid is None or self.ssh.is_closed():
            return
        other = self._new_shell()
        with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await other.run(end_script(pid), b"")
        other.drop()

    def _explain(self, error: BaseException, timeout: float) -> TransportError | None:
        """What an interrupted run means; None for what is not ours to explain."""
        match error:
            case TimeoutError():
                return TransportError(
                    f"a script on {self.who} did not finish within {timeout:g} s and was ended",
                    hint="look at what the machine is doing (load, disk, DNS); part of the work may be done",
                )
            case TooMuchError():
                return TransportError(f"a script on {self.who} printed more than {error} and was ended")
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


async def hang_up(ssh: asyncssh.SSHClientConnection) -> None:
    """Close a connection; one that does not answer any more is dropped after CLOSE_SECONDS."""
    ssh.close()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await ssh.wait_closed()
    except (TimeoutError, asyncssh.Error, OSError):
        ssh.abort()
