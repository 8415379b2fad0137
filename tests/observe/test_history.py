"""The generations that a node keeps, read: what nodes print, nothing at all, and garbage."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wireloom.apply.script import Note
from wireloom.observe import history
from wireloom.observe.history import parse_history, read_histories, read_stored
from wireloom.observe.state import Generation, Stored
from wireloom.render.desired import ConfigFile
from wireloom.transport.crew import Crew
from wireloom.transport.fake import FakeTransport
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

A, B = NodeName("a"), NodeName("b")
CONFIG = ConfigFile("/etc/wireguard/wg0.conf", "# Written by wireloom\n[Interface]\n", "\n[Peer]\n# b\n")
NOTE = Note("shop", 2, "network", "ada@laptop", "2026-05-01T12:00:00+00:00", "create peer b")


def test_a_line_is_a_generation_and_they_are_in_order() -> None:
    text = "10\tpresent\tada@laptop\t2026-05-02\tupdate mtu of wg0\n9\tpast\teve\t2026-05-01\tcreate peer b\n"
    assert parse_history(text) == [
        Generation(9, "eve", "2026-05-01", "create peer b"),
        Generation(10, "ada@laptop", "2026-05-02", "update mtu of wg0", present=True),
    ]


SENSELESS = {
    "nothing": "",
    "fewer fields": "1\tpast\twho\twhen\n",
    "more fields": "1\tpast\twho\twhen\twhat\tmore\n",
    "no number": "next\tpast\twho\twhen\twhat\n",
    "a number that is too long": "9" * 5000 + "\tpast\twho\twhen\twhat\n",
    "digits of another script": "٣\tpast\twho\twhen\twhat\n",
    "less than nothing": "-1\tpast\twho\twhen\twhat\n",
}


@pytest.mark.parametrize("text", SENSELESS.values(), ids=SENSELESS)
def test_a_line_that_makes_no_sense_is_passed_over(text: str) -> None:
    good = "7\tpast\twho\twhen\twhat\n"
    assert [one.number for one in parse_history(text + good + text)] == [7]


def test_nothing_that_a_file_says_reaches_the_terminal_as_an_order() -> None:
    [one] = parse_history("1\tpast\t\x1b[2Jeve\t2026\u2028\x85\twhat\x07\n")
    assert (one.who, one.when, one.what) == ("?[2Jeve", "2026", "what?")


@given(st.text() | st.lists(st.text(max_size=9), max_size=12).map("\t".join))
def test_garbage_is_no_traceback(text: str) -> None:
    found = parse_history(text)
    assert found == sorted(found, key=lambda one: one.number)
    assert all((one.who + one.when + one.what).isprintable() for one in found)


async def test_whoever_can_not_be_asked_is_told_and_so_is_a_script_that_failed() -> None:
    broken = TransportError("no answer", unreachable=True)
    fake = FakeTransport({A: broken, B: lambda _: Completed(2, "", "sh: \x1b[0m no memory\n")})
    async with Crew(fake) as crew:
        answers = await read_histories(crew, [A, B], "wg0")
    assert answers[A] is broken
    assert isinstance(answers[B], TransportError)
    assert (answers[B].what, answers[B].hint) == ("its history can't be read", "sh: ?[0m no memory")


async def test_a_generation_that_is_gone_meanwhile_is_told() -> None:
    fake = FakeTransport({A: lambda _: Completed(1, "", "tail: cannot open\n")})
    async with Crew(fake) as crew:
        answers = await read_stored(crew, {A: 3}, "wg0")
    assert isinstance(answers[A], TransportError)
    assert (answers[A].what, answers[A].hint) == ("generation 3 can't be read there", "tail: cannot open")


async def on_disk(state: Path, monkeypatch: pytest.MonkeyPatch) -> Crew:
    """A node whose state is in a directory here, and whose shell is this machine's."""
    monkeypatch.setattr(history, "STATE_DIRECTORY", str(state))

    def run(script: str) -> Completed:
        done = subprocess.run(
            ["dash", "-s"], input=script, capture_output=True, text=True, check=False, timeout=20
        )
        return Completed(done.returncode, done.stdout, done.stderr)

    return Crew(FakeTransport({A: run}))


async def test_what_an_apply_notes_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "history" / "wg0"
    kept.mkdir(parents=True)
    (tmp_path / "wg0.state").write_text(NOTE.stamp(CONFIG))
    (kept / "2").write_text(NOTE.record(CONFIG) + CONFIG.keyless)
    (kept / "11").write_text(NOTE.record(CONFIG) + "something else\n")
    (kept / "next").write_text(NOTE.record(CONFIG) + CONFIG.keyless)
    (kept / "12").write_text("")
    async with await on_disk(tmp_path, monkeypatch) as crew:
        assert await read_histories(crew, [A], "wg0") == {
            A: [
                Generation(2, NOTE.who, NOTE.when, NOTE.what, present=True),
                Generation(11, NOTE.who, NOTE.when, NOTE.what),
            ]
        }
        assert await read_stored(crew, {A: 2}, "wg0") == {A: Stored(2, CONFIG.digest, CONFIG.keyless)}


async def test_a_machine_that_keeps_nothing_has_no_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await on_disk(tmp_path, monkeypatch) as crew:
        assert await read_histories(crew, [A], "wg0") == {A: []}


async def test_the_name_of_an_interface_stays_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await on_disk(tmp_path, monkeypatch) as crew:
        assert await read_histories(crew, [A], f"$(touch {tmp_path}/spoilt)") == {A: []}
        await read_stored(crew, {A: 1}, f"$(touch {tmp_path}/spoilt)")
    assert not (tmp_path / "spoilt").exists()
