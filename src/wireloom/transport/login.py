"""How to log in to one machine: the fleet file first, the user's ssh configuration, ssh's defaults."""

import getpass
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import asyncssh

from wireloom.transport.port import TransportError
from wireloom.values import NodeName, SshTarget

DEFAULT_IDENTITIES = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
"""The private keys in ~/.ssh that ssh tries when nothing names one (ssh_config(5), IdentityFile)."""

CIPHERS = (
    *("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"),
    *("aes256-ctr", "aes192-ctr", "aes128-ctr"),
)
"""asyncssh's own, those first that cost it one call for a packet: its first one, chacha20, takes five."""

_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")
_SPEC = re.compile(
    r"""(?:ssh://)? (?:(?P<user>[^@]+)@)?
    (?: \[(?P<bracketed>[^\]]+)\] | (?P<host>[^:@/]+) | (?P<bare>[0-9A-Fa-f]*(?: :[0-9A-Fa-f.]*){2,}) )
    (?: :(?P<port>\d{1,5}) )? /?""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Login:
    """One machine as it will be dialled. ``alias`` is the name that the ssh configuration knows it by.

    ``node`` is None for a jump host outside the fleet. ``jump`` is what the ssh configuration's ProxyJump
    says (None: nothing). ``identities``: private key files to try; ``explicit``: the key was named to us.
    ``agent``: the socket of an agent to ask. ``ciphers``, best first; none: the ssh configuration names them.
    """

    alias: str
    host: str
    port: int
    user: str
    node: NodeName | None = None
    sudo: bool = False
    jump: str | None = None
    identities: tuple[str, ...] = ()
    identities_only: bool = False
    explicit: bool = False
    agent: str | None = None
    key_alias: str | None = None
    known_hosts: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = CIPHERS

    @property
    def who(self) -> str:
        """``user@host``, for messages."""
        return f"{self.user}@{self.host}"

    @property
    def place(self) -> str:
        """``host port 22``, for messages."""
        return f"{self.host} port {self.port}"


def config_files() -> tuple[str, ...]:
    """The user's own ssh configuration, if there is one; /etc/ssh/ssh_config is not read."""
    mine = Path("~/.ssh/config").expanduser()
    return (str(mine),) if mine.is_file() and os.access(mine, os.R_OK) else ()


def parse_jump(text: str) -> SshTarget:
    """One hop of a ProxyJump: ``[user@]host[:port]``, an IPv6 address in brackets or bare.

    Raises TransportError when it is none of these.
    """
    match = _SPEC.fullmatch(text.strip())
    port = int(match["port"]) if match is not None and match["port"] else None
    if match is None or (port is not None and not 0 < port < 65536):
        raise TransportError(
            f"`{text}` is not a jump host",
            hint="write [user@]host[:port], several of them with commas between",
        )
    return SshTarget(match["bracketed"] or match["host"] or match["bare"], port, match["user"])


async def read_login(
    target: SshTarget, node: NodeName | None, config: Sequence[str], *, personal: bool = True
) -> Login:
    """Complete ``target`` from the configuration files ``config``.

    ``personal``: the user's own keys, agent and known_hosts play a part. Without a user anywhere, a node is
    root's; a jump host outside the fleet gets the local user's name, as ssh would. Raises TransportError
    when a configuration file does not parse.
    """
    try:
        options = await asyncssh.SSHClientConnectionOptions.construct(
            config=list(config),
            host=target.host,
            port=target.port or (),
            username=target.user or (),
            client_keys=None,
            known_hosts=None,
        )
    except (ValueError, OSError, UnicodeError) as error:
        raise TransportError(
            f"the ssh configuration can't be used for {target.host}: {error}",
            hint=f"compare with `ssh -G {target.host}`, and correct the line",
        ) from None
    said = cast("Any", options.config)
    named = (target.identity,) if target.identity else tuple(said.get("IdentityFile") or ())
    return Login(
        alias=target.host,
        host=options.host,
        port=options.port,
        user=said.get("User") or ("root" if node is not None else getpass.getuser()),
        node=node,
        sudo=target.sudo,
        jump=said.get("ProxyJump"),
        identities=_absolute(named) or (_default_identities() if personal else ()),
        identities_only=bool(target.identity) or bool(said.get("IdentitiesOnly")),
        explicit=bool(target.identity),
        agent=_agent(said.get("IdentityAgent", "SSH_AUTH_SOCK")) if personal else None,
        key_alias=said.get("HostKeyAlias"),
        known_hosts=_known_hosts(said) if personal else (),
        ciphers=() if said.get("Ciphers") else CIPHERS,
    )


def bare_login(host: str, port: int, node: NodeName, identity: Path | None) -> Login:
    """A login as root that no configuration of the user has a part in, with one key."""
    return Login(
        alias=host,
        host=host,
        port=port,
        user="root",
        node=node,
        identities=(str(identity),) if identity else (),
        identities_only=True,
        explicit=identity is not None,
    )


def _absolute(files: Sequence[str]) -> tuple[str, ...]:
    """Paths with ``~`` put in."""
    return tuple(str(Path(one).expanduser()) for one in files)


def _default_identities() -> tuple[str, ...]:
    """The usual private keys that exist."""
    paths = (Path("~/.ssh", name).expanduser() for name in DEFAULT_IDENTITIES)
    return tuple(str(path) for path in paths if path.is_file())


def _agent(named: str | None) -> str | None:
    """The agent's socket, if it is there; ``named`` is IdentityAgent's value (None: "none")."""
    if named is None:
        return None
    if named == "SSH_AUTH_SOCK":
        named = os.environ.get("SSH_AUTH_SOCK", "")
    elif named.startswith("$"):
        named = os.environ.get(named[1:].strip("{}"), "")
    if not named:
        return None
    path = Path(named).expanduser()
    try:
        return str(path) if stat.S_ISSOCK(path.stat().st_mode) else None
    except OSError:
        return None


def _known_hosts(said: Any) -> tuple[str, ...]:
    """The known_hosts files that ssh would read, absolute."""
    mine, everyone = said.get("UserKnownHostsFile"), said.get("GlobalKnownHostsFile")
    files = [
        *(_KNOWN_HOSTS[:2] if mine is None else mine),
        *(_KNOWN_HOSTS[2:] if everyone is None else everyone),
    ]
    return _absolute(files)
