"""SSH to the nodes of a fleet: their own way there, their host keys checked before anything is sent."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import asyncssh

from wireloom.secret import Password
from wireloom.transport.credentials import Credentials, load_credentials
from wireloom.transport.failure import Attempt, explain
from wireloom.transport.guest import Guest
from wireloom.transport.hostkey import Known, algorithms_to_ask, key_text, look_up, read_known_hosts
from wireloom.transport.login import Login, bare_login, config_files, read_login
from wireloom.transport.port import Dialer, HostKeyUnknown, TransportError
from wireloom.transport.route import Route, find_route
from wireloom.transport.session import SshConnection, hang_up
from wireloom.transport.sudo import Ask, FleetSudo
from wireloom.values import NodeName, SshTarget

ATTEMPTS = 3
FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled for each one after."""

KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 3
"""A machine that is silent for 20 s is gone: TCP by itself would notice after hours."""


class SshTransport:
    """Opens SSH connections to the nodes of one fleet; ``async with`` closes what is left open.

    ``pinned`` are the host keys of the lock (``type base64``). ``accept_new``: believe a machine at first
    contact; what it showed is held against it as long as this transport lives. ``attempts`` are made where
    the machine did not answer, each within ``connect_timeout`` seconds; ``limit`` logins go on at a time.
    ``use_config``: the user's ssh configuration, keys, agent and known_hosts play a part. With ``dial`` they
    don't, every node is root's, with the key ``identity``, and there is no jump and no sudo.
    ``sudo`` is what is known of sudo on the nodes, shared by the transports of one command; ``ask`` gets the
    one password for all of them when the first node wants it, and is called once.
    """

    def __init__(
        self,
        targets: Mapping[NodeName, SshTarget],
        *,
        pinned: Mapping[NodeName, str],
        accept_new: bool,
        connect_timeout: float = 10.0,
        attempts: int = ATTEMPTS,
        limit: int = 64,
        dial: Dialer | None = None,
        identity: Path | None = None,
        use_config: bool = True,
        sudo: FleetSudo | None = None,
        ask: Ask | None = None,
    ) -> None:
        self._targets = targets
        self._pinned = dict(pinned)
        self._accept_new = accept_new
        self._connect_timeout = connect_timeout
        self._attempts = attempts
        self._room = asyncio.Semaphore(limit)
        self._dial = dial
        self._identity = identity
        self._personal = use_config and dial is None
        self._sudo = FleetSudo() if sudo is None else sudo
        self._ask = ask
        self._asking = asyncio.Lock()
        self._config = config_files() if self._personal else ()
        self._credentials: dict[tuple[object, ...], Credentials] = {}
        self._known_hosts: dict[tuple[str, ...], asyncssh.SSHKnownHosts] = {}
        self._open: WeakSet[asyncssh.SSHClientConnection] = WeakSet()
        self._jumps: dict[Route, asyncio.Task[asyncssh.SSHClientConnection]] = {}
        _quieten()

    async def __aenter__(self) -> Self:
        """The transport itself; nothing is opened yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what is left open."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection that is still open, those over jump hosts first; safe to call twice."""
        await asyncio.gather(*(hang_up(ssh) for ssh in list(self._open)))
        for route in sorted(self._jumps, key=len, reverse=True):
            task = self._jumps.pop(route)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled() and task.exception() is None:
                await hang_up(task.result())

    async def connect(self, node: NodeName) -> SshConnection:
        """A fresh connection to ``node``, over the shared connections to its jump hosts.

        Raises TransportError, and HostKeyUnknown for a node (not always this one: see there) that shows a
        key at first contact without ``accept_new``.
        """
        *before, login = await self._route(node)
        via = await self._jump(tuple(before)) if before else None
        ssh, host_key = await self._log_in(login, before[-1].who if before else None, via)
        self._open.add(ssh)
        sudo = self._sudo.on(node) if login.sudo and login.user != "root" else None
        return SshConnection(ssh, host_key, login.who, sudo, self._ask_once)

    async def _ask_once(self) -> Password | None:
        """The password for sudo. Nodes that want it at the same time wait for one answer."""
        async with self._asking:
            if not self._sudo.asked and self._ask is not None:
                self._sudo.asked = True
                self._sudo.password = await self._ask()
        return self._sudo.password

    async def _route(self, node: NodeName) -> Route:
        """Who to log in to on the way to ``node``."""
        if self._dial is not None:
            target = self._targets.get(node)
            host = target.host if target is not None else node
            return (bare_login(host, 22, node, self._identity),)
        return await find_route(node, self._targets, self._read)

    async def _read(self, target: SshTarget, node: NodeName | None) -> Login:
        """A target completed by the ssh configuration; ``identity`` of the transport if it names none."""
        if self._identity is not None and target.identity is None:
            target = replace(target, identity=str(self._identity))
        return await read_login(target, node, self._config, personal=self._personal)

    async def _jump(self, route: Route) -> asyncssh.SSHClientConnection:
        """The connection to the last machine of ``route``, made once and shared by all who come this way."""
        task = self._jumps.get(route)
        if task is None or _is_spent(task):
            task = asyncio.create_task(self._open_jump(route), name=f"jump host {route[-1].host}")
            task.add_done_callback(_retrieve)
            self._jumps[route] = task
        try:
            return await asyncio.shield(task)
        except HostKeyUnknown:
            raise
        except TransportError as error:
            raise TransportError(
                f"jump host {route[-1].host}: {error.what}", hint=error.hint, unreachable=error.unreachable
            ) from None

    async def _open_jump(self, route: Route) -> asyncssh.SSHClientConnection:
        """Log in to the last machine of ``route`` over the ones before it."""
        *before, login = route
        via = await self._jump(tuple(before)) if before else None
        ssh, _ = await self._log_in(login, before[-1].who if before else None, via)
        return ssh

    async def _log_in(
        self, login: Login, via: str | None, tunnel: asyncssh.SSHClientConnection | None
    ) -> tuple[asyncssh.SSHClientConnection, str]:
        """Log in, again and with longer pauses where that may help; the connection and its host key."""
        credentials = await self._load(login)
        pause = FIRST_PAUSE
        for left in reversed(range(self._attempts)):
            guest = Guest(login, self._pin(login), self._known(login), accept_new=self._accept_new)
            try:
                async with self._room, asyncio.timeout(self._connect_timeout):
                    ssh = await self._connect(login, credentials, guest, tunnel)
            except TransportError:
                raise
            except Exception as problem:  # every kind is put into words: none may reach the operator raw
                if guest.refusal is not None:
                    raise guest.refusal from None
                attempt = Attempt(login, credentials, guest.stage, self._connect_timeout, via)
                failure = explain(problem, attempt)
                if not failure.again or not left or (tunnel is not None and tunnel.is_closed()):
                    raise failure.error from None
            else:
                return ssh, self._remember(login, ssh)
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError("a login needs at least one attempt")

    async def _connect(
        self,
        login: Login,
        credentials: Credentials,
        guest: Guest,
        tunnel: asyncssh.SSHClientConnection | None,
    ) -> asyncssh.SSHClientConnection:
        """One attempt. Raises what asyncssh and the socket raise."""
        sock, host, port = None, login.alias, login.port
        if self._dial is not None and login.node is not None:
            sock, (host, port) = await _open_socket(self._dial, login.node)
        try:
            return await asyncssh.connect(
                host,
                port,
                sock=sock,
                tunnel=tunnel,
                config=list(self._config) or None,
                client_factory=lambda: guest,
                **_options(login, credentials, guest),
                **({"proxy_command": None} if tunnel is not None or sock is not None else {}),
            )
        except BaseException:
            if sock is not None:
                sock.close()
            raise

    async def _load(self, login: Login) -> Credentials:
        """The login's keys, each set of files read once."""
        key = (login.identities, login.identities_only, login.explicit, login.agent)
        if key not in self._credentials:
            self._credentials[key] = await asyncio.to_thread(load_credentials, login)
        return self._credentials[key]

    def _pin(self, login: Login) -> str | None:
        """The host key that the machine must have."""
        return None if login.node is None else self._pinned.get(login.node)

    def _known(self, login: Login) -> Known:
        """What the user's known_hosts says about the machine, each set of files read once."""
        if login.known_hosts not in self._known_hosts:
            self._known_hosts[login.known_hosts] = read_known_hosts(login.known_hosts)
        return look_up(self._known_hosts[login.known_hosts], login.key_alias or login.host, login.port)

    def _remember(self, login: Login, ssh: asyncssh.SSHClientConnection) -> str:
        """The host key that was proven. Later connections of this transport must show the same."""
        key = ssh.get_server_host_key()
        if key is None:
            ssh.abort()
            raise TransportError(f"{login.place} proved no host key")
        text = key_text(key)
        if login.node is not None:
            self._pinned.setdefault(login.node, text)
        return text


async def _open_socket(dial: Dialer, node: NodeName) -> tuple[socket.socket, tuple[str, int]]:
    """The dialer's socket, connected. Raises OSError."""
    sock, address = dial.open_socket(node)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock, address


def _options(login: Login, credentials: Credentials, guest: Guest) -> dict[str, Any]:
    """What every login is told, whatever the user's configuration says of it.

    Plain host keys are all left to ``guest``; authorities and their revocation are asyncssh's to check,
    where there is no pin.
    """
    by_certificate = guest.pinned is None and bool(guest.known.authorities)
    known = guest.known if by_certificate else Known()
    return {
        "username": login.user,
        "known_hosts": ([], list(known.authorities), list(known.revoked)),
        "host_key_alias": login.key_alias,
        "server_host_key_algs": algorithms_to_ask(guest.pinned, guest.known),
        "encryption_algs": login.ciphers,
        "client_keys": list(credentials.keys),
        "ignore_encrypted": True,
        "agent_path": credentials.agent,
        "agent_identities": None if credentials.only is None else list(credentials.only),
        "agent_forwarding": False,
        "x11_forwarding": False,
        "password_auth": False,
        "kbdint_auth": False,
        "gss_kex": False,  # it would put Kerberos in the place of host keys
        "connect_timeout": None,  # ours is around all of it
        "keepalive_interval": KEEPALIVE_SECONDS,
        "keepalive_count_max": KEEPALIVE_COUNT,
    }


def _is_spent(task: asyncio.Task[asyncssh.SSHClientConnection]) -> bool:
    """Whether a shared login failed or its connection has ended since."""
    return task.done() and (task.cancelled() or task.exception() is not None or task.result().is_closed())


def _retrieve(task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
    """Look at a failure that everybody waiting for it may have been cancelled away from."""
    if not task.cancelled():
        task.exception()


def _quieten() -> None:
    """Keep asyncssh's log to itself unless wireloom is being debugged: every failure is reported by us."""
    if not logging.getLogger("wireloom").isEnabledFor(logging.DEBUG):
        logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
