"""A lock that is lost comes back from the machines, through the command line."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.world import World

CUT = "nft 'add table ip cut; add chain ip cut in { type filter hook input priority 0; }; add rule ip cut in"


@pytest.fixture
def lost(mended: World) -> Iterator[World]:
    """The mesh is up, and its lock has been moved away."""
    kept = mended.lock_file.with_suffix(".kept")
    mended.lock_file.rename(kept)
    yield mended
    kept.replace(mended.lock_file)


def read(world: World) -> Any:
    return json.loads(world.lock_file.read_text())


def kept(world: World) -> Any:
    return json.loads(world.lock_file.with_suffix(".kept").read_text())


def test_without_it_nothing_is_done_and_the_way_back_is_told(lost: World) -> None:
    refused = lost.run("apply", "--yes", expect=1).stderr
    assert "it is at generation" in refused
    assert "`wireloom recover` makes it anew" in refused


def test_without_it_verify_says_why_all_are_strangers(lost: World) -> None:
    told = lost.run("verify", "--quick", expect=2).stderr
    assert f"{lost.name}.lock: warning: no node's public key is in it" in told
    assert "`wireloom recover` makes it anew" in told


def test_it_is_the_one_that_was_lost(lost: World) -> None:
    lost.run("recover", "--yes")
    assert read(lost) == kept(lost)
    assert lost.json("plan")["changes"] == []


def test_of_a_node_that_does_not_answer_the_others_tell(lost: World) -> None:
    lost.shell("db1", f"{CUT} tcp dport 22 drop'")
    try:
        told = lost.json("recover", "--yes")
    finally:
        lost.shell("db1", "nft delete table ip cut")
    assert (told["unseen"], told["unknown"]) == (["db1"], [])
    expected = kept(lost)
    del expected["nodes"]["db1"]["ssh_host_key"]
    assert read(lost) == expected
    assert lost.json("plan", "--yes")["changes"] == []


def test_one_that_is_there_is_not_written_over(mended: World) -> None:
    before = mended.lock_file.read_text()
    refused = mended.run("recover", expect=1).stderr
    assert "move it away first" in refused
    assert mended.lock_file.read_text() == before
