"""`wireloom history` and `wireloom rollback`: back, told what for, and forth again."""

import json
import os
import pty
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import WIRELOOM, World, make_world

UNDERLAY = "underlay: { ipv4: 10.99.0.0/16 }"
NODES = ("cp1", "w1", "cp2", "db1", "build1")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three generations: as the file is, with another MTU, and without cp2."""
    made = make_world(tmp_path_factory.mktemp("rollback"))
    try:
        made.run("lab", "up")
        made.run("apply", "--yes")
        made.edit(UNDERLAY, "underlay: { ipv4: 10.99.0.0/16, mtu: 1300 }")
        made.run("apply", "--yes")
        made.without("cp2")
        made.run("apply", "--yes")
        yield made
    finally:
        made.run("lab", "down", expect=None)


@pytest.fixture
def world(lab: World) -> Iterator[World]:
    """As the fleet file wants it, before and after a test that goes elsewhere."""
    text = lab.fleet_file.read_text()
    yield lab
    lab.fleet_file.write_text(text)
    lab.run("apply", "--yes")
    lab.run("plan")


def history(world: World) -> dict[str, list[dict[str, Any]]]:
    return {one["node"]: one["generations"] for one in world.json("history")["nodes"]}


def present(world: World, node: str) -> dict[str, Any]:
    """The generation that a node is at."""
    [one] = [one for one in history(world)[node] if one["present"]]
    return one


def mtu(world: World, node: str) -> str:
    return world.on(node, "cat", "/sys/class/net/wg0/mtu").strip()


def peers(world: World, node: str) -> int:
    return len(world.on(node, "wg", "show", "wg0", "peers").split())


# The first three generations are looked at before any test makes another.


def test_history_tells_who_when_and_what(lab: World) -> None:
    kept = history(lab)
    assert [one["generation"] for one in kept["w1"]] == [1, 2, 3]
    assert [one["present"] for one in kept["w1"]] == [False, False, True]
    assert kept["w1"][1]["what"] == "update mtu of wg0"
    assert kept["w1"][2]["what"] == "delete peer cp2"
    assert "create peer cp2" in kept["w1"][0]["what"]
    assert all("@" in one["who"] and datetime.fromisoformat(one["when"]).tzinfo for one in kept["w1"])
    assert "cp2" not in kept


def test_history_is_a_line_a_generation_newest_first(lab: World) -> None:
    lines = lab.run("history").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]
    assert [line.split("  ", 3)[3] for line in (line.strip() for line in lines)] == [
        "4 nodes  in use  delete peer cp2",
        "4 nodes  update mtu of wg0",
        "4 nodes",  # cp2 has left, and is not asked
    ]
    assert "       w1  update mtu of wg0" in lab.run("history", "-v").stdout.splitlines()
    quiet = lab.run("history", "-q")
    assert (quiet.stdout, quiet.stderr) == ("", "")


def test_a_generation_that_nobody_keeps_is_told(world: World) -> None:
    told = world.run("rollback", "--yes", "99", expect=1).stderr
    assert "error: no node keeps generation 99\n    the nodes keep 1, 2, 3; see: wireloom history" in told
    assert world.json("rollback", "99", expect=1)["errors"][0]["what"] == "no node keeps generation 99"


def test_nothing_to_change_is_told_and_makes_no_generation(world: World) -> None:
    number = present(world, "w1")["generation"]
    done = world.run("rollback", "--yes", str(number))
    assert f"Nothing to change: 4 nodes are as generation {number} says." in done.stdout
    assert present(world, "w1")["generation"] == number
    document = world.json("rollback", str(number))
    assert {one["ending"] for one in document["nodes"]} == {"unchanged"}


def test_nobody_to_ask_is_an_error_and_nothing_happens(world: World) -> None:
    lock = world.lock_file.read_bytes()
    told = world.run("rollback", "1", expect=1)
    assert "Go back to generation 1 on 4 nodes? Nobody can be asked here" in told.stderr
    assert "~ mtu of wg0  1300 → 1440" in told.stdout
    assert mtu(world, "w1") == "1300"
    assert world.lock_file.read_bytes() == lock


def test_without_a_number_it_goes_to_the_one_before_and_plan_shows_the_way_forth(world: World) -> None:
    # cp2 has left the fleet: back at the generation that had it there is nothing to do.
    before, lock = present(world, "w1")["generation"], json.loads(world.lock_file.read_text())
    document = world.json("rollback", "--yes", "1")
    assert document["generation"] > before
    assert {one["node"]: one["ending"] for one in document["nodes"]} == dict.fromkeys(
        ("cp1", "w1", "db1", "build1"), "changed"
    )
    assert mtu(world, "w1") == "1440"
    assert peers(world, "w1") == 3
    now = json.loads(world.lock_file.read_text())
    assert (now["generation"], now["network"] != lock["network"]) == (document["generation"], True)
    assert f"network={now['network']}\n" in world.on("w1", "cat", "/var/lib/wireloom/wg0.state")
    assert present(world, "w1")["what"] == "back to generation 1: update mtu of wg0"

    plan = world.json("plan", expect=2)
    assert {change["target"] for change in plan["changes"]} == {"mtu of wg0", "file /etc/wireguard/wg0.conf"}
    assert world.json("verify")["verdict"] == "holds"

    there = world.run("rollback", "--yes")
    assert "The fleet file is as it was: the next apply brings the machines to what it says." in there.stderr
    assert mtu(world, "w1") == "1300"
    world.run("plan")


def test_quietly_it_says_nothing_when_all_went_well(world: World) -> None:
    done = world.run("rollback", "--yes", "-q", "1")
    assert (done.stdout, done.stderr) == ("", "")
    world.run("apply", "--yes")


def test_a_person_is_asked(world: World) -> None:
    def answer(word: bytes) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [WIRELOOM, "rollback", "1"],
            cwd=world.directory,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.close(theirs)
            assert process.stderr is not None
            said = ""
            while "[y/N]" not in said:
                letter = process.stderr.read(1)
                assert letter, said
                said += letter
            os.write(ours, word)
            process.communicate(timeout=60)
            os.close(ours)
            return process.returncode, said

    code, said = answer(b"n\n")
    assert (code, "Go back to generation 1 on 4 nodes? [y/N]" in said) == (1, True)
    assert mtu(world, "w1") == "1300"
    assert answer(b"y\n")[0] == 0
    assert mtu(world, "w1") == "1440"


def test_a_node_that_does_not_answer_is_pending_and_comes_back_later(world: World) -> None:
    world.shell("db1", "kill $(cat /run/sshd/pid)")
    try:
        done = world.run("rollback", "--yes", "1", expect=2)
        seen = world.run("history", expect=1)
    finally:
        world.shell("db1", "/usr/sbin/sshd -f /run/sshd/config")
    assert "db1 pending" in done.stdout
    assert [mtu(world, node) for node in ("w1", "db1")] == ["1440", "1300"]
    assert "db1: warning: " in seen.stderr
    assert "3 nodes  in use" in seen.stdout.splitlines()[0]
    again = world.json("rollback", "--yes", "1")
    assert {one["node"] for one in again["nodes"] if one["ending"] == "changed"} == {"db1"}
    assert mtu(world, "db1") == "1440"


def test_a_node_that_joined_later_is_told_of_and_the_next_apply_brings_it_back(world: World) -> None:
    slim = world.fleet_file.read_text()
    number = present(world, "w1")["generation"]
    world.fleet_file.write_text(slim + "  cp2: { site: ams, public: [198.51.100.20] }\n")
    world.run("apply", "--yes")
    assert peers(world, "w1") == 4

    done = world.run("rollback", "--yes", str(number))

    assert "cp2: warning: it was not in the network then: the others forget it" in done.stderr
    assert peers(world, "w1") == 3
    world.run("apply", "--yes")
    assert peers(world, "w1") == 4
    assert world.settles("holds")


def test_keys_that_were_made_since_are_kept(world: World) -> None:
    world.shell("w1", "wg-quick down wg0; rm /etc/wireguard/wg0.key /etc/wireguard/wg0.conf")
    refused = world.run("rollback", "--yes", "1", expect=1)
    assert "w1: error: it has lost its key\n    apply first: it makes a new one" in refused.stderr
    world.run("apply", "--yes")
    key = world.on("w1", "wg", "show", "wg0", "public-key").strip()

    world.run("rollback", "--yes", "1")

    assert world.on("w1", "wg", "show", "wg0", "public-key").strip() == key
    assert key in world.on("cp1", "wg", "show", "wg0", "peers")
    assert world.json("verify")["verdict"] == "holds"


def test_what_is_not_whole_is_refused_by_node_and_generation(world: World) -> None:
    kept = "/var/lib/wireloom/history/wg0/1"
    world.shell("w1", f"cp {kept} /root/kept; head -c 700 /root/kept >{kept}; echo >>{kept}")
    refused = world.run("rollback", "--yes", "1", expect=1)
    world.shell("w1", f"mv /root/kept {kept}")
    assert "w1: error: what it keeps of generation 1 is not what was stored" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert mtu(world, "cp1") == "1300"


def test_a_node_that_keeps_nothing_from_then_stops_it(world: World) -> None:
    world.shell("w1", "mv /var/lib/wireloom/history /root/history")
    try:
        refused = world.run("rollback", "--yes", "1", expect=1)
    finally:
        world.shell("w1", "rm -rf /var/lib/wireloom/history; mv /root/history /var/lib/wireloom/history")
    assert "w1: error: it has changed since generation 1, and keeps nothing from then" in refused.stderr
    assert mtu(world, "cp1") == "1300"


def test_another_checkout_is_refused_after_a_rollback(world: World, tmp_path: Path) -> None:
    other = World(tmp_path, world.name)
    shutil.copytree(world.directory, tmp_path, dirs_exist_ok=True)
    known = present(world, "w1")["generation"]
    world.run("rollback", "--yes", "1")

    # The lab knows its fleet by the path of its file: the other checkout's lock comes here instead.
    ours = world.lock_file.read_bytes()
    world.lock_file.write_bytes(other.lock_file.read_bytes())
    refused = [world.run(*words, expect=1) for words in (["apply", "--yes"], ["rollback", "--yes"])]
    world.lock_file.write_bytes(ours)

    for one in refused:
        assert re.search(
            rf"\bw1\b.*: error: it is at generation {known + 1}, the lock knows {known}", one.stderr
        )
        assert "get their fleet.yaml and fleet.lock first" in one.stderr
    assert mtu(world, "w1") == "1440"


def test_with_one_generation_there_is_none_to_go_back_to(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    try:
        world.run("lab", "up")
        assert world.run("history").stdout == "No generation yet: nothing was applied.\n"
        nothing = world.run("rollback", "--yes", expect=1)
        world.run("apply", "--yes")
        only_one = world.run("rollback", "--yes", expect=1)
        lock = world.lock_file.read_text()
        world.lock_file.write_text(lock.replace('"generation": 1', '"generation": 0'))
        refused = world.run("rollback", "--yes", expect=1)
    finally:
        world.run("lab", "down", expect=None)
    for one in (nothing, only_one):
        assert "error: there is no generation to go back to\n    see: wireloom history" in one.stderr
    assert re.search(r"\bw1\b.*: error: it is at generation 1, and the lock knows of none", refused.stderr)
