"""A private key is used, and never seen."""

import copy
import errno
import os
import pickle
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from wireloom.secret import LONGEST_PASSWORD, Password, PrivateKey, Secret

TEXT = b64encode(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")).decode()
PUBLIC = b64encode(bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")).decode()
"""Alice's keys in RFC 7748, section 6.1: a published pair, nobody's secret."""


def test_the_public_key_is_what_wg_says() -> None:
    assert str(PrivateKey(TEXT).public_key) == PUBLIC


@pytest.mark.skipif(not shutil.which("wg"), reason="wireguard-tools are not installed")
def test_wg_takes_a_new_key_for_what_it_is() -> None:
    key = PrivateKey.make()
    said = subprocess.run(["wg", "pubkey"], input=key.reveal(), capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(key.public_key)


SHOWN = {
    "str": str,
    "repr": repr,
    "format": "{}".format,
    "f-string": lambda key: f"{key!s:>5} {key!r}",
    "percent": lambda key: "%s" % key,  # noqa: UP031
    "in a tuple": lambda key: repr((key, [key])),
    "ascii": ascii,
}


SECRETS = {"PrivateKey": PrivateKey(TEXT), "Password": Password(TEXT.encode())}


@pytest.mark.parametrize(("name", "secret"), SECRETS.items(), ids=SECRETS)
@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_it_is_masked(show: Callable[[Secret], str], name: str, secret: Secret) -> None:
    shown = show(secret)
    assert f"{name}(…)" in shown or rf"{name}(\u2026)" in shown
    assert TEXT[:8] not in shown


NO_KEYS = {"short": TEXT[4:], "zero": "A" * 43 + "=", "one character off": "!" + TEXT[1:], "é": "é" * 44}


@pytest.mark.parametrize("text", NO_KEYS.values(), ids=NO_KEYS)
def test_a_refused_key_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="not a WireGuard private key") as caught:
        PrivateKey(text)
    assert text[:20] not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_written_key_is_read_again(tmp_path: Path) -> None:
    PrivateKey(TEXT).write(tmp_path / "a.key")
    assert PrivateKey.read(tmp_path / "a.key").reveal() == TEXT


def test_a_written_key_is_nobody_elses(tmp_path: Path) -> None:
    PrivateKey(TEXT).write(tmp_path / "a.key")
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_not_carried_away(carry: Callable[[object], object], secret: Secret) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        carry(secret)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.key").write_text("old")
    with pytest.raises(FileExistsError):
        PrivateKey(TEXT).write(tmp_path / "a.key")
    assert (tmp_path / "a.key").read_text() == "old"


def test_a_full_disk_leaves_no_half_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        PrivateKey(TEXT).write(tmp_path / "a.key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("raw", [b" two  words ", "Schlüssel".encode(), b"\xff\x80", b"x" * LONGEST_PASSWORD])
def test_a_password_is_what_was_typed(raw: bytes) -> None:
    assert Password(raw).reveal() == raw


NO_PASSWORDS = {
    "empty": (b"", "is empty"),
    "a line's end, as an export of $(cat FILE; echo) has it": (b"sesame\n", "has the end of a line in it"),
    "two lines": (b"sesame\nrm -rf /", "has the end of a line in it"),
    "a carriage return, where sudo stops reading": (b"sesame\rid", "has the end of a line in it"),
    "a zero byte": (b"sesame\0", "has the end of a line in it"),
    "more than sudo reads": (b"x" * (LONGEST_PASSWORD + 1), "is longer than 254 bytes"),
}


@pytest.mark.parametrize(("raw", "reason"), NO_PASSWORDS.values(), ids=NO_PASSWORDS)
def test_what_is_more_or_less_than_a_line_is_no_password(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        Password(raw)
    assert "sesame" not in str(caught.value)
