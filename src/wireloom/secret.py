"""Secrets as types that can't be printed by accident: private keys, tokens, passwords."""

import base64
import os
import re
from pathlib import Path
from typing import NoReturn

from wireloom.values import KEY_BYTES, PublicKey

LONGEST_PASSWORD = 254
"""Bytes of a password: sudo before 1.9 reads no more than 255 of a line, and leaves the rest to its child."""


class Secret:
    """Something to use and never to see: had from ``reveal`` alone, masked in repr, str and format."""

    __slots__ = ("_raw",)

    _raw: bytes

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: both would carry the secret away."""
        raise TypeError(f"a {type(self).__name__} is not pickled")

    def __repr__(self) -> str:
        """Masked."""
        return f"{type(self).__name__}(…)"

    __str__ = __repr__


class PrivateKey(Secret):
    """A WireGuard private key."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Read 44 characters of base64. Raises ValueError, which does not repeat them."""
        try:
            raw = base64.b64decode(text.strip(), validate=True)
        except ValueError:
            raw = b""
        if len(raw) != KEY_BYTES or not any(raw):
            raise ValueError("not a WireGuard private key: 44 characters of base64 that stand for 32 bytes")
        self._raw = raw

    @classmethod
    def make(cls) -> "PrivateKey":
        """A new key from the kernel's randomness, clamped as `wg genkey` does it (RFC 7748, section 5)."""
        raw = bytearray(os.urandom(KEY_BYTES))
        raw[0] &= 248
        raw[31] = (raw[31] & 127) | 64
        return cls(base64.b64encode(raw).decode())

    @classmethod
    def read(cls, path: Path) -> "PrivateKey":
        """The key in a file. Raises ValueError and OSError."""
        return cls(path.read_text(encoding="ascii", errors="replace"))

    def write(self, path: Path) -> None:
        """Write the key to a new file with mode 0600. Raises FileExistsError rather than replace one.

        A file that could not be written whole (a full disk) is taken away: half a key is none.
        """
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(self.reveal() + "\n")
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink()
            raise

    @property
    def public_key(self) -> PublicKey:
        """X25519 of the base point (RFC 7748)."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        raw = X25519PrivateKey.from_private_bytes(self._raw).public_key().public_bytes_raw()
        return PublicKey(base64.b64encode(raw).decode())

    def reveal(self) -> str:
        """The base64 text, for the file that it belongs in and nowhere else."""
        return base64.b64encode(self._raw).decode()


class Token(Secret):
    """What lets a machine into a cluster, as k3s words it: printable ASCII without blanks."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Raises ValueError, which does not repeat it."""
        if not re.fullmatch(r"[!-~]{1,1024}", text):
            raise ValueError("is not a token of k3s: printable characters without blanks")
        self._raw = text.encode()

    def reveal(self) -> str:
        """The token itself, for the stdin of the machine that is handed it."""
        return self._raw.decode()


class DatastoreEndpoint(Secret):
    """Where a database is, and how to get in: a URL as k3s takes it (docs.k3s.io/datastore)."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        """Raises ValueError, which does not repeat it."""
        if not re.fullmatch(r"[a-z]+://[!-~]{1,4096}", text):
            raise ValueError("is not one line like postgres://USER:PASSWORD@HOST:5432/DATABASE")
        self._raw = text.encode()

    def reveal(self) -> str:
        """The URL itself, for the stdin of the machines that use it."""
        return self._raw.decode()


class Password(Secret):
    """A password for a program that reads it as one line, as the bytes that the user typed or exported."""

    __slots__ = ()

    def __init__(self, raw: bytes) -> None:
        """Raises ValueError, which does not repeat it, for what can't be sent as one line and nothing more.

        A carriage return ends the line for sudo as well: what comes after it would be read by the shell.
        """
        if not raw:
            raise ValueError("is empty")
        if any(end in raw for end in (b"\n", b"\r", b"\0")):
            raise ValueError("has the end of a line in it")
        if len(raw) > LONGEST_PASSWORD:
            raise ValueError(f"is longer than {LONGEST_PASSWORD} bytes")
        self._raw = raw

    def reveal(self) -> bytes:
        """The password itself, without the end of a line, for the prompt that asked for it."""
        return self._raw
