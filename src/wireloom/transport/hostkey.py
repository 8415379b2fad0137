"""Who vouches for a machine's host key: the pin in the lock, the user's known_hosts, or nobody yet."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import asyncssh

RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")
"""How an ``ssh-rsa`` key signs today; SHA-1 signatures are refused (RFC 8332)."""

PLAIN_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    *RSA_ALGORITHMS,
)
CERTIFICATE_ALGORITHMS = (
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
)


class Verdict(Enum):
    """What is known about a host key that a machine showed."""

    TRUSTED = auto()
    UNKNOWN = auto()
    CHANGED = auto()
    REVOKED = auto()


@dataclass(frozen=True, slots=True)
class Known:
    """What the user's known_hosts files say about one host, keys as ``type base64``."""

    keys: tuple[str, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()
    revoked: tuple[asyncssh.SSHKey, ...] = ()

    @property
    def revoked_keys(self) -> tuple[str, ...]:
        """The revoked keys as ``type base64``."""
        return tuple(key_text(key) for key in self.revoked)


def judge(offered: str, *, pinned: str | None, known: Known) -> Verdict:
    """Whether to believe the machine that shows ``offered`` (``type base64``).

    A pin decides alone. Without one, known_hosts that names only other keys for the host speaks against
    it, of whatever type they are: a machine in the middle would choose a type that isn't known.
    """
    offered = bare(offered)
    if offered in known.revoked_keys:
        return Verdict.REVOKED
    if pinned is not None:
        return Verdict.TRUSTED if offered == bare(pinned) else Verdict.CHANGED
    if offered in known.keys:
        return Verdict.TRUSTED
    return Verdict.CHANGED if known.keys else Verdict.UNKNOWN


def algorithms_to_ask(pinned: str | None, known: Known) -> list[str]:
    """The host key algorithms to offer, those of expected keys first.

    A server has several keys and shows the first type that the client asks for: asked for another one, it
    would look changed. Certificates are asked for only where known_hosts names an authority.
    """
    expected = (bare(pinned),) if pinned is not None else known.keys
    certificates = CERTIFICATE_ALGORITHMS if pinned is None and known.authorities else ()
    first: list[str] = []
    for key in expected:
        kind = key.split(" ")[0]
        first += RSA_ALGORITHMS if kind == "ssh-rsa" else [kind] if kind in PLAIN_ALGORITHMS else []
    return list(dict.fromkeys([*certificates, *first, *PLAIN_ALGORITHMS]))


def bare(host_key: str) -> str:
    """``type base64`` without a comment."""
    return " ".join(host_key.split()[:2])


def key_text(key: asyncssh.SSHKey) -> str:
    """An asyncssh key as ``type base64``."""
    return bare(key.export_public_key("openssh").decode())


def fingerprint(host_key: str) -> str:
    """``SHA256:…`` of a key in ``type base64``, as ssh-keygen prints it."""
    try:
        blob = base64.b64decode(bare(host_key).partition(" ")[2], validate=True)
    except (binascii.Error, ValueError):
        return "(not a key)"
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def read_known_hosts(files: Sequence[str]) -> asyncssh.SSHKnownHosts:
    """All entries of the files that can be read; like ssh, lines that make no sense are passed over."""
    known = asyncssh.SSHKnownHosts()
    for name in files:
        try:
            text = Path(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            try:
                known.load(line)
            except ValueError:
                continue
    return known


def look_up(hosts: asyncssh.SSHKnownHosts, host: str, port: int) -> Known:
    """What ``hosts`` says about a host as the user names it, and its port."""
    keys, authorities, revoked, *_ = hosts.match(host, "", None if port == 22 else port)
    return Known(tuple(key_text(key) for key in keys), tuple(authorities), tuple(revoked))
