"""The frame around scripts, with the shells of this machine and no SSH."""

import shutil
import subprocess
from pathlib import Path

import pytest

from wireloom.transport.frame import frame_script, opening, started_as, unframe
from wireloom.transport.port import Completed, TransportError
from wireloom.transport.raw import Raw, read_mark

NONCE = "wireloom-0123"
SHELLS = [path for name in ("sh", "bash", "busybox") if (path := shutil.which(name))]


def run(shell: str, framed: str) -> Raw:
    argv = [shell, "sh", "-s"] if shell.endswith("busybox") else [shell, "-s"]
    done = subprocess.run(argv, input=framed, capture_output=True, text=True, check=False)
    return Raw(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_cut_anywhere_runs_whole_or_not_at_all(shell: str, tmp_path: Path) -> None:
    ran, finished = tmp_path / "ran", tmp_path / "finished"
    script = f": > {ran}\nif true; then echo yes; fi\n: > {finished}"
    framed = opening(NONCE) + frame_script(script, NONCE)
    for length in range(len(framed)):
        run(shell, framed[:length])
        assert ran.exists() == finished.exists(), f"half of it ran when cut after {framed[:length]!r}"
        if length < len(framed.rstrip()):
            assert not ran.exists(), f"it ran when cut after {framed[:length]!r}"
    run(shell, framed)
    assert finished.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_that_is_not_root_runs_nothing(shell: str, tmp_path: Path) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    script = f"echo ran; : > {tmp_path}/ran"
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    argv += [shell, "sh", "-s"] if shell.endswith("busybox") else [shell, "-s"]
    framed = opening(NONCE) + frame_script(script, NONCE)
    done = subprocess.run(argv, input=framed, capture_output=True, text=True, check=False)
    with pytest.raises(TransportError, match="ann@w1 is not root") as caught:
        unframe(Raw(done.returncode, done.stdout, done.stderr), NONCE, who="ann@w1", sudo=None)
    assert "sudo: true" in caught.value.hint
    assert not (tmp_path / "ran").exists()


def test_noise_before_the_mark_is_dropped() -> None:
    raw = Raw(0, f"hi\nno newline{NONCE} begin 12\nout\n", f"stdin: is not a tty\n{NONCE} begin\nerr\n")
    assert Completed(0, "out\n", "err\n") == unframe(raw, NONCE, who="root@w1", sudo=None)


def test_what_comes_between_the_marks_is_the_scripts_and_the_last_one_has_its_status() -> None:
    raw = Raw(
        None,
        f"hi\n{NONCE} begin 12\nout{NONCE} end 7\nlate\n",
        f"hi\n{NONCE} begin\nerr\n{NONCE} end\nlate\n",
    )
    assert Completed(7, "out", "err\n") == unframe(raw, NONCE, who="root@w1", sudo=None)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (None, b""),
        (None, b"noise\n"),
        (None, b"noise\nmark"),
        (None, b"noise\nmark 12"),
        (b" 12", b"noise\nmark 12\nmore\n"),
        (b" 12", b"no newline before itmark 12\n"),
        (b"", b"mark\nmark 12\n"),
    ],
)
def test_a_mark_counts_once_its_line_is_whole(expected: bytes | None, said: bytes) -> None:
    assert read_mark(said, b"mark") == expected


def test_what_a_machine_says_in_place_of_its_number_is_no_beginning() -> None:
    assert started_as(f"{NONCE} begin nonsense\n".encode(), NONCE) is None
    assert started_as(f"{NONCE} begin 12\n".encode(), NONCE) == 12


def test_control_characters_of_a_machine_reach_no_terminal() -> None:
    with pytest.raises(TransportError) as caught:
        unframe(Raw(1, "", "\x1b]0;owned\x07go away"), NONCE, who="ann@w1", sudo=None)
    assert caught.value.what.isprintable()
    assert "go away" in caught.value.what
