"""Ctrl-C, SIGTERM and SIGHUP: the end of a command, with one exit code for all of them."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from wireloom.cli.interruption import ENDING, interruptible
from wireloom.cli.world import run_async

HANGING = """\
import sys, time
from wireloom.cli import check, main
def hang(_):
    print("hanging", flush=True)
    time.sleep(60)
check.open_world = hang
main.main(["check"])
"""


def hang(*, nohup: bool = False) -> "subprocess.Popen[str]":
    """wireloom in the middle of something that is no event loop."""

    process = subprocess.Popen(
        [*(["nohup"] if nohup else []), sys.executable, "-c", HANGING],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "hanging\n"
    return process


@pytest.mark.parametrize("number", ENDING)
def test_each_ends_the_program_with_130(number: signal.Signals) -> None:
    process = hang()
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert (process.returncode, told) == (130, "\nwireloom: interrupted\n")


EARLY = """\
import os, signal, sys
from wireloom.cli import start
class Interrupted:
    def find_spec(self, name, *_):
        if name == "wireloom.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupted())
start.main()
"""


def test_ctrl_c_is_no_traceback_while_modules_are_imported() -> None:
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "\nwireloom: interrupted\n")


def test_nohup_is_meant() -> None:
    process = hang(nohup=True)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130


@pytest.mark.parametrize("number", ENDING)
def test_each_cancels_what_goes_on_and_waits_for_its_farewell(number: signal.Signals) -> None:
    said: list[str] = []

    async def work() -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            said.append("goodbye")

    before = [signal.getsignal(one) for one in ENDING]
    with pytest.raises(KeyboardInterrupt):
        run_async(work())
    assert said == ["goodbye"]
    assert [signal.getsignal(one) for one in ENDING] == before


def test_a_terminal_that_goes_away_does_not_stop_what_nohup_has_started() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def work() -> str:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.01)
        return "done"

    try:
        assert run_async(work()) == "done"
    except KeyboardInterrupt:
        pytest.fail("it was heeded")
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", ENDING)
def test_a_question_can_be_left(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), number)
