"""Scripts on a real sshd: what comes back, in time and within bounds."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncssh
import pytest

from tests.transport.conftest import ServerMaker, TransportMaker
from tests.transport.sshd import Sshd, is_alive, make_key, public, until
from wireloom.transport import shell
from wireloom.transport import ssh as ssh_module
from wireloom.transport.frame import REMOTE_PATH
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName, SshTarget

N = NodeName("n")

CASES = {
    "nothing": ("", Completed(0, "", "")),
    "stdout": ("echo hello", Completed(0, "hello\n", "")),
    "stderr": ("echo hello >&2", Completed(0, "", "hello\n")),
    "exit status": ("exit 7", Completed(7, "", "")),
    "status of the last command": ("false", Completed(1, "", "")),
    "killed by a signal": ("kill -9 $$", Completed(-1, "", "")),
    "as root": ("id -u", Completed(0, "0\n", "")),
    "no locale": ("echo $LC_ALL", Completed(0, "C\n", "")),
    "a plain path": (
        "echo $PATH",
        Completed(0, f"{REMOTE_PATH}\n", ""),
    ),
    "unicode": ("echo 'grüße 🧶'", Completed(0, "grüße 🧶\n", "")),
    "bytes that are not UTF-8": (r"printf 'a\377b'", Completed(0, "a\N{REPLACEMENT CHARACTER}b", "")),
    "stdin is empty": ("readlink /proc/self/fd/0", Completed(0, "/dev/null\n", "")),
    "a command that reads stdin": ("cat\necho after", Completed(0, "after\n", "")),
    "a here-document": ("cat <<'END'\n}\n$x\nEND", Completed(0, "}\n$x\n", "")),
    "a function and its local": ("f() { local a=1; echo $a; }\nf", Completed(0, "1\n", "")),
    "a comment at the end": ("echo fine # }", Completed(0, "fine\n", "")),
    "a syntax error": ("echo one\nif then", None),
}


@pytest.mark.parametrize(("script", "expected"), CASES.values(), ids=CASES.keys())
async def test_a_script_comes_back_as_completed(
    script: str, expected: Completed | None, machine: Sshd, transport: TransportMaker
) -> None:
    connection = await transport({"n": machine}).connect(N)
    if expected is None:
        with pytest.raises(TransportError, match=r"before the script began.*[Ss]yntax error"):
            await connection.run(script, timeout=10)
    else:
        assert await connection.run(script, timeout=10) == expected


async def test_output_and_script_may_be_big(machine: Sshd, transport: TransportMaker) -> None:
    connection = await transport({"n": machine}).connect(N)
    filler = "# " + "x" * 500_000
    done = await connection.run(f"{filler}\nhead -c 8000000 /dev/zero | tr '\\0' y", timeout=30)
    assert (done.status, len(done.stdout), set(done.stdout)) == (0, 8_000_000, {"y"})


FED = {
    "is copied": ("cat <&3", Completed(0, "{\nexit 3\n}\n" * 300_000, "")),
    "not on stdin": ("cat; head -c 2 <&3", Completed(0, "{\n", "")),
    "left unread": ("exit 7", Completed(7, "", "")),
    "left unread by a script that goes on": ("exec 3<&-; sleep 1; echo on", Completed(0, "on\n", "")),
}


@pytest.mark.parametrize(("script", "expected"), FED.values(), ids=FED.keys())
async def test_data_is_on_descriptor_3_and_never_run(
    script: str, expected: Completed, machine: Sshd, transport: TransportMaker
) -> None:
    connection = await transport({"n": machine}).connect(N)
    assert await connection.run(script, timeout=20, data=b"{\nexit 3\n}\n" * 300_000) == expected
    assert await connection.run("echo still there", timeout=10) == Completed(0, "still there\n", "")


async def test_data_that_a_script_leaves_is_no_script(
    machine: Sshd, transport: TransportMaker, tmp_path: Path
) -> None:
    connection = await transport({"n": machine}).connect(N)
    data = f": >{tmp_path}/ran\n".encode()
    assert await connection.run("sleep 1; exit 7", timeout=20, data=data) == Completed(7, "", "")
    await asyncio.sleep(0.5)
    assert not (tmp_path / "ran").exists()


async def test_too_much_output_is_an_error(
    machine: Sshd, transport: TransportMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "MAX_OUTPUT", 1024 * 1024)
    connection = await transport({"n": machine}).connect(N)
    with pytest.raises(TransportError, match="printed more than 1 MiB"):
        await connection.run("exec yes", timeout=30)
    assert await connection.run("echo still there", timeout=10) == Completed(0, "still there\n", "")


async def test_a_script_that_takes_too_long_is_ended(
    machine: Sshd, transport: TransportMaker, tmp_path: Path
) -> None:
    connection = await transport({"n": machine}).connect(N)
    with pytest.raises(TransportError, match=r"did not finish within 1 s") as caught:
        await connection.run(f"echo $$ > {tmp_path}/pid\nsleep 60\ntouch {tmp_path}/late", timeout=1)
    assert not caught.value.unreachable
    pid = int((tmp_path / "pid").read_text())
    await until(lambda: not is_alive(pid))
    assert not (tmp_path / "late").exists()


async def test_a_connection_survives_a_script_that_took_too_long(
    machine: Sshd, transport: TransportMaker
) -> None:
    connection = await transport({"n": machine}).connect(N)
    with pytest.raises(TransportError):
        await connection.run("sleep 60", timeout=0.3)
    assert (await connection.run("echo again", timeout=10)).stdout == "again\n"


async def test_a_cancelled_script_is_ended(machine: Sshd, transport: TransportMaker, tmp_path: Path) -> None:
    connection = await transport({"n": machine}).connect(N)
    running = asyncio.create_task(connection.run(f"echo $$ > {tmp_path}/pid\nexec sleep 60", timeout=50))
    pid_file = tmp_path / "pid"
    await until(lambda: pid_file.exists() and pid_file.read_text() != "")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    pid = int((tmp_path / "pid").read_text())
    await until(lambda: not is_alive(pid))


async def test_a_server_that_dies_in_mid_run_is_unreachable(machine: Sshd, transport: TransportMaker) -> None:
    connection = await transport({"n": machine}).connect(N)
    with pytest.raises(TransportError, match="broke while a script ran") as caught:
        await connection.run("kill -9 $PPID\nsleep 5", timeout=20)
    assert caught.value.unreachable


async def test_an_end_without_a_status_is_no_success(
    transport: TransportMaker, tmp_path: Path, user_key: Path
) -> None:
    def hang_up(process: "asyncssh.SSHServerProcess[bytes]") -> None:
        process.stdout.write(b"half of it")
        process.close()

    key = make_key(tmp_path / "host")
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[str(key)],
        authorized_client_keys=f"{user_key}.pub",
        process_factory=hang_up,
        encoding=None,
    )
    target = SshTarget("127.0.0.1", server.get_port())
    connection = await transport({"n": target}, pinned={N: public(key)}).connect(N)
    with pytest.raises(TransportError, match="ended without an exit status"):
        await connection.run("true", timeout=10)
    await connection.close()
    server.close()
    await server.wait_closed()


async def test_a_daemon_that_holds_the_output_open_holds_up_nobody(
    machine: Sshd, transport: TransportMaker, tmp_path: Path
) -> None:
    connection = await transport({"n": machine}).connect(N)
    script = f"setsid sleep 60 &\necho $! >{tmp_path}/pid; echo done; exit 3"
    for _ in range(2):
        assert await connection.run(script, timeout=30) == Completed(3, "done\n", "")
        daemon = int((tmp_path / "pid").read_text())
        assert is_alive(daemon)
        os.kill(daemon, signal.SIGKILL)


async def test_what_comes_after_the_end_of_a_script_is_nobodys(
    machine: Sshd, transport: TransportMaker, tmp_path: Path
) -> None:
    connection = await transport({"n": machine}).connect(N)
    late = (
        f"(until test -e {tmp_path}/go; do sleep 0.1; done; echo late; echo late >&2; : >{tmp_path}/gone) &"
    )
    assert await connection.run(f"{late}\necho in time", timeout=30) == Completed(0, "in time\n", "")
    (tmp_path / "go").touch()
    await until((tmp_path / "gone").exists)
    assert await connection.run("echo next", timeout=30) == Completed(0, "next\n", "")


async def test_a_script_whose_time_was_up_before_it_began_never_begins(
    start: ServerMaker, transport: TransportMaker, tmp_path: Path
) -> None:
    server = start()
    (server.home / ".bashrc").write_text(f"sleep 0.8; : > {tmp_path}/slept\n")
    connection = await transport({"n": server}).connect(N)
    with pytest.raises(TransportError, match="did not finish"):
        await connection.run(f": > {tmp_path}/ran", timeout=0.4)
    await until((tmp_path / "slept").exists)
    await asyncio.sleep(0.3)
    assert not (tmp_path / "ran").exists()


async def test_a_closed_connection_runs_nothing(machine: Sshd, transport: TransportMaker) -> None:
    connection = await transport({"n": machine}).connect(N)
    await connection.close()
    await connection.close()
    with pytest.raises(TransportError):
        await connection.run("true", timeout=5)


async def test_scripts_run_side_by_side(machine: Sshd, transport: TransportMaker) -> None:
    connection = await transport({"n": machine}).connect(N)
    results = await asyncio.gather(*(connection.run(f"echo {number}", timeout=10) for number in range(8)))
    assert [one.stdout for one in results] == [f"{number}\n" for number in range(8)]


async def test_no_room_for_another_session(start: ServerMaker, transport: TransportMaker) -> None:
    connection = await transport({"n": start(extra=("MaxSessions 0",))}).connect(N)
    with pytest.raises(TransportError, match="gives no session"):
        await connection.run("true", timeout=10)


async def test_noise_of_start_up_files_and_banner_is_left_out(
    start: ServerMaker, transport: TransportMaker, tmp_path: Path
) -> None:
    (tmp_path / "banner").write_text("AUTHORISED USE ONLY\n")
    server = start(extra=(f"Banner {tmp_path}/banner",))
    (server.home / ".bashrc").write_text("echo welcome; printf 'no newline'; echo mind the gap >&2\n")
    connection = await transport({"n": server}).connect(N)
    assert await connection.run("echo out; echo err >&2", timeout=10) == Completed(0, "out\n", "err\n")
    assert "welcome" in (await connection.run(f". {server.home}/.bashrc", timeout=10)).stdout


START_UP_FILES = {
    "exits": ("echo maintenance; exit 3", 'exit status 3.*"maintenance"'),
    "eats the script": ("cat >/dev/null", "exit status 0"),
}


@pytest.mark.parametrize(("bashrc", "message"), START_UP_FILES.values(), ids=START_UP_FILES.keys())
async def test_start_up_files_that_keep_the_script_from_running(
    bashrc: str, message: str, start: ServerMaker, transport: TransportMaker
) -> None:
    server = start()
    (server.home / ".bashrc").write_text(f"{bashrc}\n")
    connection = await transport({"n": server}).connect(N)
    with pytest.raises(TransportError, match=f"ended before the script began.*{message}"):
        await connection.run("echo fine", timeout=10)


async def test_a_forced_command_is_named(start: ServerMaker, transport: TransportMaker) -> None:
    connection = await transport({"n": start(extra=("ForceCommand echo only backups here",))}).connect(N)
    with pytest.raises(TransportError, match="only backups here") as caught:
        await connection.run("true", timeout=10)
    assert "forced command" in caught.value.hint


async def test_a_network_that_goes_silent_is_noticed(
    machine: Sshd, transport: TransportMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_module, "KEEPALIVE_SECONDS", 0.2)
    flows = asyncio.Event()
    flows.set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            await flows.wait()
            writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", machine.port)
        await asyncio.gather(pipe(reader, forth), pipe(back, writer), return_exceptions=True)

    network = await asyncio.start_server(relay, "127.0.0.1", 0)
    one = transport({"n": SshTarget("127.0.0.1", network.sockets[0].getsockname()[1])})
    connection = await one.connect(N)
    running = asyncio.create_task(connection.run("sleep 5", timeout=50))  # nobody can end it
    await asyncio.sleep(0.1)
    flows.clear()
    with pytest.raises(TransportError, match="not responding to keepalive") as caught:
        await running
    assert caught.value.unreachable
    flows.set()
    await one.aclose()
    network.close()


def test_the_port_costs_no_import_of_asyncssh() -> None:
    modules = "wireloom.transport.port, wireloom.transport.each, wireloom.transport.fake"
    code = f"import sys, {modules}; sys.exit('asyncssh' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
