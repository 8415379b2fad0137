"""The text of the steps: what is put into it stays data, and commands keep their order."""

import shlex
import subprocess
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.apply.hands import WHEN
from tests.apply.pair import OTHER_KEY, A, B, desired
from wireloom.apply.script import (
    PEERS_PER_COMMAND,
    Hand,
    Neighbour,
    Note,
    gather_peers,
)
from wireloom.plan.filed import read_guard
from wireloom.plan.plan import Action, Change, Command, NodePlan
from wireloom.render.desired import ConfigFile, text_digest
from wireloom.render.wg_quick import MARK

ANY_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
# Files are ASCII, as names are: dash spoils some other bytes in here-documents, and the digest would tell.
ASCII = st.text(st.characters(max_codepoint=127, exclude_characters="\0\n"), max_size=60)
LINES = st.lists(ASCII, max_size=5).map(lambda lines: "".join(f"{line}\n" for line in lines))

PRINT_ARGUMENTS = 'printf "<%s>" "$@"'
"""Instead of doing something, a function shows its arguments."""

FUNCTIONS = "alone hold keep unchanged still_staged arm date before committed take_back"
QUIET = "; ".join(f"{name}() {{ :; }}" for name in FUNCTIONS.split())

HAND = Hand("wg0", "f00d", "ada@desk", WHEN)
NOTE = Note("pair", 7, "feed", "ada@desk", WHEN, "create peer b")


def sh(script: str) -> str:
    done = subprocess.run(["dash", "-s"], input=script.encode(), capture_output=True, check=True, timeout=20)
    assert done.stderr == b""
    return done.stdout.decode()


def calls_of(script: str) -> str:
    """The calls at the end of a script, after wireloom's functions."""
    return script.rpartition("\n}\n")[2].lstrip("\n")


def undoing(script: str) -> str:
    """The text that a commit leaves on the machine to be undone by."""
    function = script.partition("\nwhat_undoes() {\n")[2].partition('\neval "$(hands)"')[0]
    return sh(f"what_undoes() {{\n{function}\nwhat_undoes")


def peer(number: int, *more: str) -> Command:
    return ("wg", "set", "wg0", "peer", f"key{number}", *more)


PORT: Command = ("wg", "set", "wg0", "listen-port", "1")
TWO = Neighbour(ip_address("10.99.0.2"))
ADDRESS: Command = ("ip", "address", "del", "10.99.0.7/16", "dev", "wg0")

GATHERED: dict[str, tuple[list[Command], list[Command]]] = {
    "nothing": ([], []),
    "one": ([peer(1, "remove")], [peer(1, "remove")]),
    "neighbours": (
        [("wg", "set", "wg0", "peer", "key1", "allowed-ips", "x", "peer", "key2", "remove")],
        [peer(1, "allowed-ips", "x"), peer(2, "remove")],
    ),
    "others keep their place": (
        [PORT, ("wg", "set", "wg0", "peer", "key1", "peer", "key2"), ADDRESS, peer(3), PORT],
        [PORT, peer(1), peer(2), ADDRESS, peer(3), PORT],
    ),
    "another interface": (
        [peer(1), ("wg", "set", "wg1", "peer", "key2")],
        [peer(1), ("wg", "set", "wg1", "peer", "key2")],
    ),
}


@pytest.mark.parametrize(("expected", "commands"), GATHERED.values(), ids=GATHERED)
def test_neighbouring_peers_share_a_process(expected: list[Command], commands: list[Command]) -> None:
    assert expected == list(gather_peers(commands))


def test_a_process_takes_no_more_peers_than_fit() -> None:
    gathered = list(gather_peers(peer(number) for number in range(2 * PEERS_PER_COMMAND + 1)))
    assert [command.count("peer") for command in gathered] == [PEERS_PER_COMMAND, PEERS_PER_COMMAND, 1]


@given(st.lists(st.sampled_from([PORT, ADDRESS, *map(peer, range(4))])))
def test_gathering_keeps_every_word_in_order(commands: list[Command]) -> None:
    def flat(some: list[Command]) -> list[str]:
        return [word for command in some for word in command if word not in {"wg", "set", "wg0"}]

    assert flat(commands) == flat(list(gather_peers(commands)))


@settings(max_examples=40)
@given(st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_no_word_of_a_command_gets_out_of_its_quotes(words: list[str]) -> None:
    change = Change(Action.UPDATE, "", "", do=(tuple(words),), undo=(tuple(words),))
    plan = NodePlan(A, (change,))
    script = HAND.commit(plan, seconds=9)
    calls = calls_of(script).removeprefix('eval "$(hands)"\n')
    committed = sh(f"{QUIET}\nrun() {{ {PRINT_ARGUMENTS}; }}\n{calls}")
    assert "".join(f"<{word}>" for word in words) == committed
    undone = sh(f"{QUIET}\nundo() {{ {PRINT_ARGUMENTS}; }}\n{undoing(script)}\nundo_running")
    assert "".join(f"<{word}>" for word in words) == undone


@settings(max_examples=40)
@given(ANY_TEXT)
def test_no_name_gets_out_of_its_quotes(who: str) -> None:
    script = Hand("wg0", "f00d", who, WHEN).hold()
    told = sh(f"alone() {{ :; }}\nhold() {{ {PRINT_ARGUMENTS}; }}\n{calls_of(script)}")
    assert f"<f00d><{who}><{WHEN}>" == told


@settings(max_examples=40)
@given(LINES, LINES)
def test_the_text_of_a_file_arrives_as_it_is(head: str, body: str) -> None:
    config = ConfigFile("/etc/wireguard/wg0.conf", head, body)
    note = Note(head, 7, "feed", "ada", "now", body)
    script = HAND.stage(desired(A), NodePlan(A, config=config), OTHER_KEY, note=note, heard=[])
    functions = script.partition("\nconfig_head() {")[1] + script.partition("\nconfig_head() {")[2]
    shows = "; printf '|'; ".join(["config_head", "config_body", "note", "record"])
    stage = f"stage() {{ {shows}; {PRINT_ARGUMENTS}; }}"
    told = "|".join([head, body, f"{note.stamp(config)}apply=f00d\n", note.record(config)])
    digest = text_digest(note.record(config) + config.keyless)
    assert f"{told}<{digest}><{OTHER_KEY}>" == sh(f"{QUIET}\n{stage}\n{functions}")


def test_an_interface_name_is_quoted_too() -> None:
    assert "interface='$(reboot)'\n" in Hand("$(reboot)", "f00d", "ada", WHEN).commit(NodePlan(A), seconds=9)


def test_a_node_without_a_file_is_given_one_without_peers_first() -> None:
    want = desired(A, b=OTHER_KEY)
    plan = NodePlan(A, first_config=want.bare_config, fingerprint="feed")
    assert [
        "alone",
        f"hold f00d ada@desk {WHEN}",
        "unchanged feed",
        f"stage {text_digest(NOTE.record(want.config) + want.config.keyless)} {OTHER_KEY}",
        f"bare {len(want.config.head.splitlines()) + 1} '{MARK}'",
        "heard 10.99.0.2,",
    ] == calls_of(HAND.stage(want, plan, OTHER_KEY, note=NOTE, heard=[TWO])).splitlines()


BEFORE: dict[str, tuple[str, dict[str, object], list[Command]]] = {
    "it runs": ("seen", {}, [PORT]),
    "its own file starts it": ("started", {"start": True}, [peer(1)]),
    "it starts without peers": ("bare", {"start": True, "first_config": desired(A).bare_config}, [peer(1)]),
    "it starts without peers, and gets more than those": (
        "started",
        {"start": True, "first_config": desired(A).bare_config},
        [peer(1), ADDRESS],
    ),
}


@pytest.mark.parametrize(("expected", "fields", "commands"), BEFORE.values(), ids=BEFORE)
def test_what_an_undone_change_is_compared_with(
    expected: str, fields: dict[str, Any], commands: list[Command]
) -> None:
    changes = tuple(Change(Action.UPDATE, "", "", do=(command,)) for command in commands)
    lines = calls_of(HAND.commit(NodePlan(A, changes, **fields), seconds=9)).splitlines()
    assert [line for line in lines if line.startswith("before")] == [f"before {expected}"]


def test_a_commit_is_armed_before_anything_is_done() -> None:
    change = Change(Action.UPDATE, "", "", do=(("true",),))
    plan = NodePlan(A, (change,), start=True, enable=True, config=desired(A).config)
    assert read_guard(desired(A).config.head)
    assert calls_of(HAND.commit(plan, seconds=60)).splitlines() == [
        'eval "$(hands)"',
        "alone",
        "keep f00d",
        "still_staged",
        "arm f00d 60",
        "echo since=1",
        "start enable",
        "before started",
        "run true",
        f"committed {shlex.quote(read_guard(desired(A).config.head))}",
    ]


@pytest.mark.parametrize(
    ("expected", "neighbour"),
    [
        ("10.99.0.2,", TWO),
        (f"fd42::2,{OTHER_KEY}", Neighbour(ip_address("fd42::2"), OTHER_KEY)),
    ],
)
def test_a_neighbour_is_told_as_address_and_key(expected: str, neighbour: Neighbour) -> None:
    assert expected == str(neighbour)


def test_nobody_is_changed_but_the_node_itself() -> None:
    """The two nodes of the tests have other texts: a mistake here would hide others."""
    assert desired(A).config != desired(B).config
