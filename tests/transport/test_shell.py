"""Scripts one after another on a connection: the shell that is kept for them, what ends it, what then."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.transport.conftest import TransportMaker
from tests.transport.sshd import Sshd, is_alive, until
from wireloom.transport.port import Completed, Connection, TransportError
from wireloom.values import NodeName

N = NodeName("n")

WHERE = "echo $$"
"""Tells which shell it is."""


async def ask(connection: Connection, script: str = WHERE) -> str:
    """What a script of one line prints."""
    return (await connection.run(script, timeout=10)).stdout.strip()


LEFT = {
    "a variable, and what is unset": "set -u; left=1; unset HOME; readonly left",
    "a function and an alias": "left() { echo 1; }; alias left=left",
    "a mask, a directory, a path": "umask 077; cd /usr; PATH=/none",
    "options": "set -e; set -f; set -x; false",
    "a trap": "trap 'echo trapped' EXIT; trap '' TERM",
    "descriptors": "exec 9>/dev/null >/dev/null 2>&1",
    "its input": "exec <&-",
    "an end in its midst": "echo one; exit 5; echo two",
    "another program": "exec sh -c 'exit 5'",
    "a command that is not there": "no-such-command",
    "a special built-in that fails": ". /no/such/file",
    "a variable that is not there": "set -u; echo $none",
    "killed, and not its shell": "sh -c 'kill -9 $PPID'; true",
}
STATE = """left 2>/dev/null
echo ${left-none} $- $PWD $PATH $(umask)
trap
echo /proc/self/fd/* $(readlink /proc/self/fd/0)
"""


@pytest.mark.parametrize("script", LEFT.values(), ids=LEFT.keys())
async def test_the_next_script_has_the_same_shell_as_it_was(
    script: str, machine: Sshd, transport: TransportMaker
) -> None:
    connection = await transport({"n": machine}).connect(N)
    fresh, shell = await connection.run(STATE, timeout=10), await ask(connection)
    await connection.run(script, timeout=10)
    assert await connection.run(STATE, timeout=10) == fresh
    assert await ask(connection) == shell


ENDED = {
    "killed by a signal": ("kill -9 $$", Completed(-1, "", "")),
    "killed with its group, as what undoes a change does": (
        "echo before; read -r stat </proc/$$/stat; set -- ${stat##*) }; kill -KILL -$3; sleep 50",
        Completed(-1, "before\n", ""),
    ),
    "a syntax error": ("if then", "before the script began.*[Ss]yntax error"),
    "too long": ("sleep 50", "did not finish within 2 s"),
}


@pytest.mark.parametrize("kept", [False, True], ids=["new shell", "kept shell"])
@pytest.mark.parametrize(("script", "end"), ENDED.values(), ids=ENDED.keys())
async def test_a_script_that_ends_its_shell_leaves_the_connection(
    script: str, end: Completed | str, kept: bool, machine: Sshd, transport: TransportMaker
) -> None:
    connection = await transport({"n": machine}).connect(N)
    before = await ask(connection) if kept else ""
    if isinstance(end, Completed):
        assert await connection.run(script, timeout=10) == end
    else:
        with pytest.raises(TransportError, match=end) as caught:
            await connection.run(script, timeout=2)
        assert not caught.value.unreachable
    assert await ask(connection) != before


@pytest.mark.parametrize("heard", [True, False], ids=["heard of", "not heard of yet"])
async def test_a_shell_that_ended_between_two_scripts_is_replaced(
    heard: bool, machine: Sshd, transport: TransportMaker, tmp_path: Path
) -> None:
    connection = await transport({"n": machine}).connect(N)
    shell = int(await ask(connection))
    os.kill(shell, signal.SIGKILL)
    if heard:
        await until(lambda: not is_alive(shell))
        await asyncio.sleep(0.3)
    assert await connection.run(f"echo once >>{tmp_path}/ran", timeout=10) == Completed(0, "", "")
    assert (tmp_path / "ran").read_text() == "once\n"


async def test_scripts_side_by_side_have_a_shell_each_and_one_is_kept(
    machine: Sshd, transport: TransportMaker
) -> None:
    connection = await transport({"n": machine}).connect(N)
    first = await ask(connection)
    at_once = await asyncio.gather(*(ask(connection, f"{WHERE}; sleep 0.5") for _ in range(3)))
    assert (len({*at_once}), first in at_once) == (3, True)
    kept = int(await ask(connection))
    assert str(kept) in at_once
    await until(lambda: [shell for shell in map(int, at_once) if is_alive(shell)] == [kept])


async def test_a_shell_that_was_given_data_is_given_nothing_more(
    machine: Sshd, transport: TransportMaker
) -> None:
    connection = await transport({"n": machine}).connect(N)
    first = await ask(connection)
    fed = (await connection.run(WHERE, timeout=10, data=b"echo never\n" * 9)).stdout.strip()
    assert await ask(connection) == first != fed
    await until(lambda: not is_alive(int(fed)))


async def test_a_shell_ends_with_its_connection(machine: Sshd, transport: TransportMaker) -> None:
    connection = await transport({"n": machine}).connect(N)
    shell = int(await ask(connection))
    await connection.close()
    await until(lambda: not is_alive(shell))


async def test_a_script_cut_off_goes_on_to_its_end_and_so_does_its_shell(
    machine: Sshd, transport: TransportMaker, tmp_path: Path
) -> None:
    connection = await transport({"n": machine}).connect(N)
    shell = int(await ask(connection))
    running = asyncio.create_task(
        connection.run(f": >{tmp_path}/begun; sleep 1; : >{tmp_path}/end", timeout=20)
    )
    await until((tmp_path / "begun").exists)
    await connection.close()
    with pytest.raises(TransportError, match="broke while a script ran"):
        await running
    await until((tmp_path / "end").exists)
    await until(lambda: not is_alive(shell))
