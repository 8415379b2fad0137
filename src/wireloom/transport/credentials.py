"""The keys to offer to a machine, and words for those that could not be."""

from dataclasses import dataclass
from pathlib import Path

import asyncssh

from wireloom.transport.login import Login
from wireloom.transport.port import TransportError

Loaded = asyncssh.SSHKey | tuple[asyncssh.SSHKey, str]
"""A private key, with the path of its certificate where there is one."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is offered at a login. ``only``: the agent's keys to use (None: all of them).

    ``tried`` and ``locked`` name what was offered, and the files passed over because they are encrypted.
    """

    keys: tuple[Loaded, ...]
    agent: str | None
    only: tuple[asyncssh.SSHKey, ...] | None
    tried: tuple[str, ...]
    locked: tuple[str, ...]

    def __repr__(self) -> str:
        """Names only: keys have no place in a log."""
        return f"Credentials(tried={self.tried}, locked={self.locked})"


@dataclass(frozen=True, slots=True)
class _File:
    """One identity file: its private key unless encrypted or elsewhere, and its public key if readable."""

    path: str
    private: asyncssh.SSHKey | None
    public: asyncssh.SSHKey | None
    encrypted: bool = False


def load_credentials(login: Login) -> Credentials:
    """Read the login's identity files.

    A file that the fleet file names must be there and usable; one that the ssh configuration names is passed
    over when it is missing, as ssh does. An encrypted one is used through the agent. Raises TransportError.
    """
    files = [file for path in login.identities if (file := _read_identity(path, login)) is not None]
    locked = tuple(file.path for file in files if file.encrypted)
    if login.explicit and locked and login.agent is None:
        raise TransportError(
            f"the key {locked[0]} is encrypted, and no ssh agent is running",
            hint=f'start one and add the key: eval "$(ssh-agent)"; ssh-add {locked[0]}',
        )
    only = tuple(file.public for file in files if file.public is not None) if login.identities_only else None
    return Credentials(
        keys=tuple(_with_certificate(file.path, file.private) for file in files if file.private is not None),
        agent=login.agent if only is None or only else None,
        only=only,
        tried=(
            *(("the ssh agent",) if login.agent and (only is None or only) else ()),
            *(file.path for file in files if file.private is not None),
        ),
        locked=locked,
    )


def _read_identity(path: str, login: Login) -> _File | None:
    """One identity file as far as it can be read; None when it is passed over."""
    public = _read_public(path)
    try:
        return _File(path, asyncssh.read_private_key(path), public)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        if "passphrase" in str(error).lower():
            return _File(path, None, public, encrypted=True)
        if public is not None:  # a public key names one of the agent's (ssh_config(5), IdentitiesOnly)
            return _File(path, None, public)
        problem, hint = f"is not a private key: {error}", "make one with ssh-keygen -t ed25519"
    except OSError as error:
        if public is not None:
            return _File(path, None, public)
        problem = f"can't be read: {error.strerror or error}"
        hint = "correct `identity` in the node's ssh settings"
    if login.explicit:
        raise TransportError(f"the key {path} for {login.who} {problem}", hint=hint)
    return None


def _read_public(path: str) -> asyncssh.SSHKey | None:
    """The public half, from ``path.pub`` or ``path`` itself, which holds it in clear even when encrypted."""
    for candidate in (f"{path}.pub", path):
        try:
            return asyncssh.read_public_key(candidate)
        except (asyncssh.KeyImportError, OSError):
            continue
    return None


def _with_certificate(path: str, key: asyncssh.SSHKey) -> Loaded:
    """The key, with the certificate beside it (``-cert.pub``, as ssh-keygen names it)."""
    certificate = f"{path}-cert.pub"
    return (key, certificate) if Path(certificate).is_file() else key
