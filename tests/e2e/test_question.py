"""Apply asks before it changes anything, where there is somebody to ask."""

import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable

from tests.e2e.world import WIRELOOM, World


def answer(world: World, word: str, *, meanwhile: Callable[[], object] = lambda: None) -> tuple[int, str]:
    """``wireloom apply`` with a terminal as its stdin: the exit code and all that it said on stderr.

    No word: Ctrl-C.
    """
    keyboard, stdin = pty.openpty()
    try:
        asker = subprocess.Popen(
            [WIRELOOM, "apply"],
            cwd=world.directory,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert asker.stderr is not None
        said = ""
        while "[y/N]" not in said:
            letter = asker.stderr.read(1)
            assert letter, f"it ended without a question: {said}"
            said += letter
        meanwhile()
        if word:
            os.write(keyboard, f"{word}\n".encode())
        else:
            # Python hears a signal that comes just before it begins to read only after it has read.
            time.sleep(0.3)
            asker.send_signal(signal.SIGINT)
        said += asker.stderr.read()
        return asker.wait(timeout=60), said
    finally:
        os.close(keyboard)
        os.close(stdin)


def test_no_means_that_nothing_was_changed(mended: World) -> None:
    mended.without("db1")
    code, said = answer(mended, "n")
    assert (code, "Apply this to 4 nodes?" in said) == (1, True)
    assert "nothing was changed" in said
    assert mended.run("plan", expect=2)


def test_yes_means_apply(mended: World) -> None:
    mended.without("db1")
    code, said = answer(mended, "y")
    assert code == 0, said
    assert mended.json("plan")["changes"] == []


def test_what_was_not_shown_is_not_applied(mended: World) -> None:
    mended.without("db1")
    code, said = answer(mended, "y", meanwhile=lambda: mended.shell("w1", "ip link set wg0 mtu 1300"))
    assert code == 1
    assert "the machines have changed while you were asked" in said
    assert mended.shell("w1", "cat /sys/class/net/wg0/mtu").strip() == "1300"


def test_one_ctrl_c_is_an_answer(mended: World) -> None:
    mended.without("db1")
    code, said = answer(mended, "")
    assert (code, "Traceback" in said) == (130, False)
    assert mended.run("plan", expect=2)
