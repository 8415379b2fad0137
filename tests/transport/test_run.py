"""Scripts on a real sshd: what comes back, in time and within bounds."""

import asyncio
from pathlib import Path

import pytest

from tests.transport.conftest import ServerMaker, TransportMaker
from tests.transport.sshd import Sshd, is_alive
from wireloom.transport import session
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

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
    "a plain path": ("echo $PATH", Completed(0, f"{'/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin'}:/sbin:/bin\n", "")),
    "unicode": ("echo 'grüße 🧶'", Completed(0, "grüße 🧶\n", "")),
    "bytes that are not UTF-8": (r"printf 'a\377b'", Completed(0, "a\N{REPLACEMENT CHARACTER}b", "")),
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
        with pytest.raises(TransportError, match="before the script began.*[Ss]yntax error"):
            await connection.run(script, timeout=10)
    else:
        assert await connection.run(script, timeout=10) == expected


async def test_output_and_script_may_be_big(machine: Sshd, transport: TransportMaker) -> None:
    connection = await transport({"n": machine}).connect(N)
    filler = "# " + "x" * 500_000
    done = await connection.run(f"{filler}\nhead -c 8000000 /dev/zero | tr '\\0' y", timeout=30)
    assert (done.status, len(done.stdout), set(done.stdout)) == (0, 8_000_000, {"y"})


async def test_too_much_output_is_an_error(
    machine: Sshd, transport: TransportMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MAX_OUTPUT", 1024 * 1024)
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
    for _ in range(100):
        if not is_alive(pid):
            break
        await asyncio.sleep(0.05)
    assert not is_alive(pid)
    assert not (tmp_path / "late").exists()


async def test_a_connection_survives_a_script_that_took_too_long(machine: Sshd, transport: TransportMaker) -> None:
    connection = await transport({"n": machine}).connect(N)
    with pytest.raises(TransportError):
        await connection.run("sleep 60", timeout=0.3)
    assert (await connection.run("echo again", timeout=10)).stdout == "again\n"


async def test_a_cancelled_script_is_ended(machine: Sshd, transport: TransportMaker, tmp_path: Path) -> None:
    connection = await transport({"n": machine}).connect(N)
    running = asyncio.create_task(connection.run(f"echo $$ > {tmp_path}/pid\nexec sleep 60", timeout=50))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not is_alive(pid):
            break
        await asyncio.sleep(0.05)
    assert not is_alive(pid)


async def test_a_server_that_dies_in_mid_run_is_unreachable(machine: Sshd, transport: TransportMaker) -> None:
    connection = await transport({"n": machine}).connect(N)
    with pytest.raises(TransportError, match="broke while a script ran") as caught:
        await connection.run("kill -9 $PPID\nsleep 5", timeout=20)
    assert caught.value.unreachable


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
