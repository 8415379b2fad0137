"""Servers and transports for the tests of the SSH transport; nothing of this user's own ssh is read."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.transport.sshd import SSHD, Sshd, make_key, running
from wireloom.transport import ssh as ssh_module
from wireloom.transport.ssh import SshTransport
from wireloom.values import NodeName, SshTarget

ServerMaker = Callable[..., Sshd]
TransportMaker = Callable[..., SshTransport]


@pytest.fixture(autouse=True)
def operator_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An operator's home with an empty .ssh, no agent, and short pauses between attempts."""
    home = tmp_path / "operator"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(ssh_module, "FIRST_PAUSE", 0.05)
    return home


@pytest.fixture(scope="session")
def user_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp("user") / "id_test")


@pytest.fixture
def start(tmp_path: Path, user_key: Path) -> Iterator[ServerMaker]:
    """Starts servers: ``start("name", **settings of running)``."""
    if not SSHD or os.geteuid() != 0:
        pytest.skip("needs root and an OpenSSH server")
    with ExitStack() as stack:
        yield lambda name="machine", **settings: stack.enter_context(
            running(tmp_path / name, user_key, **settings)
        )


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, user_key: Path) -> Iterator[Sshd]:
    """One plain server for the tests that need nothing special."""
    if not SSHD or os.geteuid() != 0:
        pytest.skip("needs root and an OpenSSH server")
    with running(tmp_path_factory.mktemp("plain") / "machine", user_key) as server:
        yield server


@pytest.fixture
async def transport(user_key: Path) -> AsyncIterator[TransportMaker]:
    """Makes transports that are closed at the end: ``transport({"n": server}, **settings)``."""
    async with AsyncExitStack() as stack:

        def make(nodes: Mapping[str, Sshd | SshTarget], **settings: Any) -> SshTransport:
            targets = {
                NodeName(name): SshTarget("127.0.0.1", one.port) if isinstance(one, Sshd) else one
                for name, one in nodes.items()
            }
            options: dict[str, Any] = {
                "pinned": {},
                "accept_new": True,
                "identity": user_key,
                "connect_timeout": 8.0,
            }
            made = SshTransport(targets, **(options | settings))
            stack.push_async_callback(made.aclose)
            return made

        yield make
