"""Getting in, or being told why not: retries, credentials, and the words of each failure."""

import asyncio
import errno
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.transport.conftest import ServerMaker, TransportMaker
from tests.transport.sshd import Sshd, add_to_agent, free_port, make_key, until
from wireloom.transport.credentials import Credentials
from wireloom.transport.failure import Attempt, Stage, explain
from wireloom.transport.login import Login
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName, SshTarget

N = NodeName("n")


async def failure(transport: TransportMaker, target: Sshd | SshTarget, **settings: object) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await transport({"n": target}, **settings).connect(N)
    assert caught.value.__cause__ is None
    return caught.value


async def test_a_node_without_ssh_is_named(transport: TransportMaker) -> None:
    with pytest.raises(TransportError, match="nas has no ssh settings"):
        await transport({}).connect(NodeName("nas"))


async def test_a_refused_key_is_not_tried_again(
    start: ServerMaker, transport: TransportMaker, tmp_path: Path
) -> None:
    server, stranger = start(), make_key(tmp_path / "stranger")
    error = await failure(transport, server, identity=stranger)
    assert f"no key was accepted for root@127.0.0.1: tried {stranger}" == error.what
    assert not error.unreachable
    assert server.connections() == 1


async def test_too_many_keys_are_explained(
    start: ServerMaker, transport: TransportMaker, tmp_path: Path
) -> None:
    server = start(extra=("MaxAuthTries 1",))
    error = await failure(transport, server, identity=make_key(tmp_path / "stranger"))
    assert "no key was accepted" in error.what
    assert server.connections() == 1


async def test_without_any_key(transport: TransportMaker, machine: Sshd) -> None:
    error = await failure(transport, machine, identity=None)
    assert "there was none to try" in error.what
    assert "ssh-keygen" in error.hint


async def test_a_missing_identity_is_named(transport: TransportMaker, machine: Sshd, tmp_path: Path) -> None:
    error = await failure(transport, machine, identity=tmp_path / "nowhere")
    assert (
        f"the key {tmp_path}/nowhere for root@127.0.0.1 can't be read: No such file or directory"
        == error.what
    )


async def test_an_identity_that_is_no_key(transport: TransportMaker, machine: Sshd, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    error = await failure(transport, machine, identity=tmp_path / "text")
    assert "is not a private key" in error.what


async def test_an_encrypted_identity_without_agent(
    transport: TransportMaker, machine: Sshd, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "locked", passphrase="secret words")
    error = await failure(transport, machine, identity=key)
    assert "is encrypted, and no ssh agent is running" in error.what
    assert f"ssh-add {key}" in error.hint


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real ssh-agent, empty."""
    path = str(tmp_path / "agent.sock")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        while not Path(path).exists():
            assert process.poll() is None
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        yield path
    finally:
        process.terminate()
        process.wait(10)


async def test_a_key_of_the_agent_is_used(
    agent: str, transport: TransportMaker, machine: Sshd, user_key: Path
) -> None:
    add_to_agent(user_key)
    await transport({"n": machine}, identity=None).connect(N)


async def test_an_encrypted_identity_is_used_through_the_agent(
    agent: str, transport: TransportMaker, start: ServerMaker, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "locked", passphrase="secret words")
    server = start(extra=(f"AuthorizedKeysFile {key}.pub",))
    for number in range(6):  # as many strangers as the server would count against us
        add_to_agent(make_key(tmp_path / f"k{number}"))
    add_to_agent(key, passphrase="secret words")
    await transport({"n": server}, identity=key).connect(N)


async def test_an_encrypted_identity_that_the_agent_lacks(
    agent: str, transport: TransportMaker, machine: Sshd, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "locked", passphrase="secret words")
    error = await failure(transport, machine, identity=key)
    assert f"passed over, being encrypted: {key}" in error.what
    assert f"ssh-add {key}" == error.hint


async def test_the_usual_key_encrypted_and_no_agent(
    transport: TransportMaker, machine: Sshd, operator_home: Path
) -> None:
    key = make_key(operator_home / ".ssh/id_ed25519", passphrase="secret words")
    error = await failure(transport, machine, identity=None)
    assert error.what == (
        f"no key was accepted for root@127.0.0.1: there was none to try; passed over, being encrypted: {key}"
    )
    assert f"ssh-add {key}" in error.hint


async def test_an_alias_names_an_encrypted_key_and_its_own_agent(
    agent: str,
    transport: TransportMaker,
    start: ServerMaker,
    tmp_path: Path,
    operator_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = make_key(tmp_path / "locked", passphrase="secret words")
    server = start(extra=(f"AuthorizedKeysFile {key}.pub",))
    add_to_agent(key, passphrase="secret words")
    monkeypatch.delenv("SSH_AUTH_SOCK")
    (operator_home / ".ssh/config").write_text(
        f"Host box\n  HostName 127.0.0.1\n  Port {server.port}\n  User root\n"
        f"  IdentityFile {key}\n  IdentitiesOnly yes\n  IdentityAgent {agent}\n"
    )
    connection = await transport({"n": SshTarget("box")}, identity=None).connect(N)
    assert (await connection.run("echo hi", timeout=10)).stdout == "hi\n"


async def test_an_agent_that_the_configuration_forbids_is_not_asked(
    agent: str, transport: TransportMaker, machine: Sshd, user_key: Path, operator_home: Path
) -> None:
    add_to_agent(user_key)
    (operator_home / ".ssh/config").write_text("Host *\n  IdentityAgent none\n")
    error = await failure(transport, machine, identity=None)
    assert "there was none to try" in error.what


async def test_an_agent_that_has_died_keeps_nobody_out(
    transport: TransportMaker, machine: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "agent.sock"))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent.sock"))
    await transport({"n": machine}).connect(N)
    error = await failure(transport, machine, identity=None)
    assert "no key was accepted for root@127.0.0.1" in error.what


async def test_a_refused_connection_is_tried_again(
    transport: TransportMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await real_sleep(0)

    monkeypatch.setattr("wireloom.transport.ssh.asyncio.sleep", sleep)
    port = free_port()
    error = await failure(transport, SshTarget("127.0.0.1", port), attempts=3)
    assert f"connection refused by 127.0.0.1 port {port}" == error.what
    assert error.unreachable
    assert [one for one in pauses if one] == [0.05, 0.1]


async def test_a_name_with_two_addresses_that_refuse(transport: TransportMaker) -> None:
    error = await failure(transport, SshTarget("localhost", free_port()), attempts=1)
    assert error.what.startswith("connection refused by localhost port")


async def test_a_server_that_comes_up_late_is_reached(transport: TransportMaker, start: ServerMaker) -> None:
    server = start()
    front = free_port()
    connecting = asyncio.create_task(transport({"n": SshTarget("127.0.0.1", front)}, attempts=5).connect(N))
    await asyncio.sleep(0.1)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pipe(reader, forth), pipe(back, writer))

    listener = await asyncio.start_server(relay, "127.0.0.1", front)
    connection = await connecting
    assert await connection.run("echo hi", timeout=10) == Completed(0, "hi\n", "")
    await connection.close()
    listener.close()


async def test_max_startups_drops_are_tried_again(start: ServerMaker, transport: TransportMaker) -> None:
    server = start(extra=("MaxStartups 1:100:1",))
    hog = socket.create_connection(("127.0.0.1", server.port))
    hog.recv(10)
    connecting = asyncio.create_task(transport({"n": server}, attempts=6).connect(N))
    await until(lambda: "MaxStartups" in server.log())
    hog.close()
    await connecting
    assert server.connections() == 2


async def test_max_startups_drops_are_explained(start: ServerMaker, transport: TransportMaker) -> None:
    server = start(extra=("MaxStartups 1:100:1",))
    with socket.create_connection(("127.0.0.1", server.port)) as hog:
        hog.recv(10)
        error = await failure(transport, server, attempts=2)
    assert "closed the connection before the login" in error.what
    assert "MaxStartups" in error.hint
    assert error.unreachable


async def serve(answer: bytes, *, close: bool) -> tuple[asyncio.Server, int]:
    """Something that listens and is not an SSH server."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        if close:
            writer.close()
        else:
            await reader.read()
            writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_a_port_that_does_not_speak(transport: TransportMaker) -> None:
    server, port = await serve(b"", close=False)
    error = await failure(transport, SshTarget("127.0.0.1", port), attempts=1, connect_timeout=0.5)
    assert "accepted the connection but did not begin to speak SSH within 0.5 s" in error.what
    assert error.unreachable
    server.close()


async def test_a_port_that_speaks_something_else(transport: TransportMaker) -> None:
    server, port = await serve(b"HTTP/1.1 400 Bad Request\r\n" * 2000, close=False)
    error = await failure(transport, SshTarget("127.0.0.1", port))
    assert f"127.0.0.1 port {port} does not speak SSH" in error.what
    server.close()


async def test_an_address_that_never_answers(transport: TransportMaker) -> None:
    with socket.socket() as full:  # a listener whose queue is full drops further SYNs
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        error = await failure(transport, SshTarget("127.0.0.1", port), attempts=1, connect_timeout=0.5)
        for one in waiting:
            one.close()
    assert f"no answer from 127.0.0.1 port {port} within 0.5 s" == error.what


async def test_a_name_that_does_not_exist(transport: TransportMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    error = await failure(transport, SshTarget("w1.example"))
    assert error.what == "there is no host named w1.example in DNS or in the ssh configuration"
    assert not error.unreachable


class Detour:
    """A dialer to one server, whatever the node."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[NodeName] = []

    def open_socket(self, node: NodeName) -> tuple[socket.socket, tuple[str, int]]:
        self.asked.append(node)
        return socket.socket(), ("127.0.0.1", self.port)


async def test_a_dialer_replaces_host_port_user_jump_sudo_and_configuration(
    transport: TransportMaker, machine: Sshd, operator_home: Path
) -> None:
    (operator_home / ".ssh/config").write_text("Host *\n  User nobody\n  ProxyJump nowhere.example\n")
    target = SshTarget("203.0.113.9", 2222, "deploy", "cp1", sudo=True, identity="/nowhere")
    detour = Detour(machine.port)
    connection = await transport({"n": target}, dial=detour, use_config=False).connect(N)
    assert detour.asked == [N]
    assert (await connection.run("id -u", timeout=10)).stdout == "0\n"


async def test_a_dialer_with_no_way_to_the_node(transport: TransportMaker) -> None:
    error = await failure(transport, SshTarget("203.0.113.9"), dial=Detour(free_port()), attempts=1)
    assert "connection refused by 203.0.113.9" in error.what


async def test_logins_at_once_stay_within_the_limit(
    transport: TransportMaker, machine: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = most = 0
    real = asyncssh.connect

    async def connect(*args: Any, **options: Any) -> asyncssh.SSHClientConnection:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return await real(*args, **options)
        finally:
            now -= 1

    monkeypatch.setattr("asyncssh.connect", connect)
    names = [NodeName(f"n{number}") for number in range(9)]
    one = transport(dict.fromkeys(names, machine), limit=3)
    connections = await asyncio.gather(*(one.connect(name) for name in names))
    assert most == 3
    assert {(await each.run("echo hi", timeout=10)).stdout for each in connections} == {"hi\n"}


LOGIN = Login("w1", "w1", 22, "root", N)
OFFERED = Credentials((), None, None, (), ())

PROBLEMS = {
    "two addresses refuse": (
        OSError(
            "Multiple exceptions: [Errno 111] Connect call failed ('::1', 22, 0, 0), [Errno 111] Connect call"
        ),
        Stage.DIALLING,
        ("connection refused by w1 port 22", True, True),
    ),
    "no route": (
        OSError(errno.EHOSTUNREACH, "No route to host"),
        Stage.DIALLING,
        ("no route to w1 port 22", True, True),
    ),
    "reset before the login": (
        OSError(errno.ECONNRESET, "Connection reset by peer"),
        Stage.CONNECTED,
        ("w1 port 22 closed the connection before the login", True, True),
    ),
    "lost during the login": (
        asyncssh.ConnectionLost("Connection lost"),
        Stage.AUTHENTICATING,
        ("w1 port 22 closed the connection during the login of root@w1", True, False),
    ),
    "DNS is down": (
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        Stage.DIALLING,
        ("the name w1 could not be looked up: DNS does not answer", True, True),
    ),
    "slow login": (
        TimeoutError(),
        Stage.AUTHENTICATING,
        ("the login of root@w1 did not finish within 10 s", True, False),
    ),
    "something new": (RuntimeError("odd"), Stage.DIALLING, ("ssh to w1 port 22 failed: odd", False, False)),
}


@pytest.mark.parametrize(("problem", "stage", "expected"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_problem_in_words(problem: Exception, stage: Stage, expected: tuple[str, bool, bool]) -> None:
    found = explain(problem, Attempt(LOGIN, OFFERED, stage, 10.0))
    assert (found.error.what, found.error.unreachable, found.again) == expected


@pytest.mark.parametrize(
    ("expected", "config"),
    [
        ("aes256-gcm@openssh.com", ""),
        ("aes192-ctr", "Host *\n  Ciphers aes192-ctr\n"),
    ],
    ids=["ours", "the configuration's"],
)
async def test_the_cipher(
    expected: str, config: str, machine: Sshd, transport: TransportMaker, operator_home: Path
) -> None:
    (operator_home / ".ssh/config").write_text(config)
    connection = await transport({"n": machine}).connect(N)
    assert connection.ssh.get_extra_info("send_cipher") == expected
