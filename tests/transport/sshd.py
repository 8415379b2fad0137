"""Real OpenSSH servers for tests: each on a loopback port of its own, with its own keys, home and log."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""


def make_key(path: Path, kind: str = "ed25519", *, passphrase: str = "", bits: int | None = None) -> Path:
    """A key pair made by ssh-keygen; the path of its private half."""
    size = ["-b", str(bits)] if bits else []
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", "test", "-f", str(path)], check=True
    )
    return path


def public(path: Path) -> str:
    """``type base64`` of a key made by make_key."""
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Sshd:
    """One running server. ``home``: HOME of its sessions; ``key``: a user key that it accepts."""

    directory: Path
    key: Path
    port: int
    host_keys: list[Path]
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def host_key(self) -> str:
        return public(self.host_keys[0])

    @property
    def home(self) -> Path:
        return self.directory / "home"

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def connections(self) -> int:
        """How many connections came in so far."""
        return self.log().count("Connection from 127.0.0.1")


@contextlib.contextmanager
def running(
    directory: Path,
    key: Path,
    *,
    host_keys: list[Path] | None = None,
    extra: tuple[str, ...] = (),
    env: str = "",
) -> Iterator[Sshd]:
    """A server that lets root in with ``key``; ``extra`` are lines of its sshd_config, tried first."""
    directory.mkdir(parents=True)
    (directory / "home").mkdir()
    Path("/run/sshd").mkdir(exist_ok=True)
    keys = host_keys or [make_key(directory / "host_key")]
    (directory / "authorized_keys").write_text(Path(f"{key}.pub").read_text())
    port = free_port()
    lines = [
        *extra,
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        *(f"HostKey {one}" for one in keys),
        f"AuthorizedKeysFile {directory}/authorized_keys",
        f"PidFile {directory}/pid",
        f"SetEnv HOME={directory}/home {env}",
        "StrictModes no",
        "UsePAM no",
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "LogLevel VERBOSE",
    ]
    (directory / "sshd_config").write_text("\n".join(lines) + "\n")
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(directory / "sshd_config")], stderr=log, stdin=subprocess.DEVNULL
        )
    server = Sshd(directory, key, port, keys, process)
    try:
        _wait_for(lambda: "Server listening" in server.log(), process)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while not ready():
        assert process.poll() is None, "sshd ended"
        assert time.monotonic() < deadline, "sshd did not start"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


async def until(ready: Callable[[], bool]) -> None:
    """Wait for something that only looking at tells; fails after ten seconds."""
    async with asyncio.timeout(10):
        while not ready():  # noqa: ASYNC110 - a file or a process has no event
            await asyncio.sleep(0.02)


def sign_host_key(authority: Path, key: Path, *, principal: str) -> Path:
    """A host certificate for ``key``, valid for one name; its path."""
    subprocess.run(
        ["ssh-keygen", "-q", "-s", str(authority), "-I", "n", "-h", "-n", principal, f"{key}.pub"], check=True
    )
    return Path(f"{key}-cert.pub")


def add_to_agent(key: Path, *, passphrase: str = "") -> None:
    """``ssh-add``, which gets the passphrase from a program that prints it."""
    askpass = key.with_name("askpass")
    askpass.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
    askpass.chmod(0o700)
    env = {**os.environ, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
    subprocess.run(["ssh-add", "-q", str(key)], check=True, env=env, stdin=subprocess.DEVNULL)
