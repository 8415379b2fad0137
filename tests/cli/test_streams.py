"""Output that can't be written, or not in these letters: a process of its own, as a shell starts it."""

import json
import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.command import WIRELOOM

FULL = "wireloom: could not write the output: No space left on device\n"
ASCII = {"PYTHONIOENCODING": "ascii"}
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
DATA = ["schema", "check", "graph", "check --json", "plan --nope --json", "--help", "--version"]


def shell(line: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A line of sh in which ``wireloom`` is the command."""
    return subprocess.run(
        ["/bin/sh", "-c", f'wireloom() {{ {WIRELOOM} "$@"; }}; {line}'],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(directory), **environment},
    )


@pytest.mark.parametrize("words", DATA)
def test_a_full_disk_is_one_line(words: str, fleet: Path) -> None:
    done = shell(f"wireloom {words} > /dev/full", fleet.parent)
    assert (done.returncode, done.stderr.decode().splitlines()[-1:]) == (1, [FULL.strip()])
    assert b"Traceback" not in done.stderr


def test_a_full_disk_is_told_where_the_output_is_flushed_long_before_the_end(fleet: Path) -> None:
    done = shell("wireloom status > /dev/full", fleet.parent)
    assert (done.returncode, done.stderr.decode()) == (1, f"looking at 1 machine …\n{FULL}")


def test_a_reader_gets_each_table_as_it_is_made_and_may_leave(fleet: Path) -> None:
    done = shell("{ wireloom status --watch; echo $? >code; } | head -n 1", fleet.parent)
    assert done.stdout.startswith(b"NODE ")
    assert ((fleet.parent / "code").read_text(), done.stderr.count(b"\n")) == ("1\n", 1)


@pytest.mark.parametrize("line", ["wireloom check 2> /dev/full", "wireloom check 2>&-"])
def test_talk_that_nobody_can_hear_stops_nothing(line: str, fleet: Path) -> None:
    fleet.write_text(fleet.read_text() + "ssh: { port: 22 }\n")
    done = shell(line, fleet.parent)
    assert (done.returncode, done.stdout[:17]) == (0, b"fleet.yaml: fine.")


@pytest.mark.parametrize("line", ["wireloom nope 2> /dev/full", "wireloom status 2> /dev/full"])
def test_an_error_that_nobody_can_hear_is_still_an_exit_code(line: str, fleet: Path) -> None:
    assert shell(line, fleet.parent).returncode == 1


def test_a_process_without_any_stream_works(fleet: Path) -> None:
    done = shell("wireloom export -o out <&- >&- 2>&-", fleet.parent)
    assert (done.returncode, (fleet.parent / "out/cp1.conf").exists()) == (0, True)


def test_stdin_that_is_closed_is_nobody_to_ask(fleet: Path) -> None:
    done = shell("wireloom status <&-", fleet.parent)
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)


@pytest.mark.parametrize("environment", [ASCII, C_LOCALE], ids=["PYTHONIOENCODING", "LC_ALL"])
def test_letters_that_the_encoding_lacks_have_stand_ins(environment: dict[str, str], fleet: Path) -> None:
    done = shell("wireloom verify", fleet.parent, **environment)
    assert done.returncode == 1
    assert done.stderr.decode("ascii") == "testing from 1 machine ...\n"
    assert "cp1 -> 2 nodes" in done.stdout.decode("ascii")


def test_other_letters_become_question_marks(fleet: Path) -> None:
    fleet.write_text(fleet.read_text().replace("clitest", "flöte"))
    done = shell("wireloom check", fleet.parent, **ASCII)
    assert (done.returncode, "fl?te" in done.stderr.decode("ascii")) == (1, True)


def test_the_name_of_a_file_keeps_its_bytes(fleet: Path) -> None:
    fleet.rename(fleet.with_name(os.fsdecode(b"fl\xffte.yaml")))
    done = shell("wireloom -f \"$(printf 'fl\\377te.yaml')\" check", fleet.parent, PYTHONUTF8="1")
    assert (done.returncode, done.stdout[:17]) == (0, b"fl\xffte.yaml: fine.")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_picture_is_utf_8_whatever_the_terminal_speaks(encoding: str, fleet: Path) -> None:
    environment = {"PYTHONIOENCODING": encoding}
    drawn = shell("wireloom graph", fleet.parent, **environment).stdout
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert "·" in shell("wireloom graph --format dot", fleet.parent, **environment).stdout.decode("utf-8")


def test_a_document_is_ascii(fleet: Path) -> None:
    assert json.loads(shell("wireloom graph --json", fleet.parent, **ASCII).stdout.decode("ascii"))
