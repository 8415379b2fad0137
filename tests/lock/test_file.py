# ruff: noqa: E501 - a row of a table stays a row
"""``fleet.lock`` on disk: what is written, what a diff of it shows, and what is refused."""

import difflib
import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.network.fleets import key, lock_of, named
from wireloom.errors import UserError
from wireloom.lock.allot import allot
from wireloom.lock.file import lock_path, parse_lock, print_lock, read_lock, write_lock
from wireloom.lock.footing import Footing
from wireloom.lock.lock import Lock, LockedNode
from wireloom.values import NodeName

PATH = Path("shop.lock")

WHOLE = """\
{
  "version": 1,
  "fleet": "shop",
  "generation": 8,
  "network": "feed",
  "nodes": {
    "cp1": {"ipv4": "10.99.0.1", "ipv6": "fd42:99::1", "public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=", "ssh_host_key": "ssh-ed25519 AAAAC3"},
    "db1": {"ipv4": "10.99.0.3", "released": 6},
    "w1": {"ipv4": "10.99.0.2", "ipv6": "fd42:99::2", "public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="}
  }
}
"""


def parse(text: str) -> Lock:
    return parse_lock(text, PATH)


def told(text: str) -> list[str]:
    """What a text is refused for; nothing where it is a lock."""
    try:
        parse(text)
    except UserError as error:
        return [one.what for one in error.diagnostics]
    return []


def whole(old: str, new: str) -> str:
    assert WHOLE.count(old) == 1, old
    return WHOLE.replace(old, new)


# ---- what is written


def test_the_bytes_of_a_lock() -> None:
    lock = lock_of(named("w1", "cp1", ipv6="fd42:99::/64"), generation=8, network="feed")
    lock = lock.with_host_keys({NodeName("cp1"): "ssh-ed25519 AAAAC3"})
    assert (
        print_lock(lock)
        == """\
{
  "version": 1,
  "fleet": "shop",
  "generation": 8,
  "network": "feed",
  "nodes": {
    "cp1": {"ipv4": "10.99.0.2", "ipv6": "fd42:99::2", "public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=", "ssh_host_key": "ssh-ed25519 AAAAC3"},
    "w1": {"ipv4": "10.99.0.1", "ipv6": "fd42:99::1", "public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="}
  }
}
"""
    )


MOVING = """\
{
  "version": 1,
  "fleet": "shop",
  "generation": 8,
  "network": "feed",
  "footing": {"dialled": [51820], "heard": [4500, 51820], "ranges": ["10.99.0.0/16", "10.77.0.0/16"], "shared": ["10.99.0.0/16"]},
  "nodes": {
    "w1": {"ipv4": "10.77.0.2", "former": ["10.99.0.2", "fd42:99::2"]}
  }
}
"""


def test_a_lock_on_the_way_to_another_port_and_range() -> None:
    lock = parse(MOVING)
    assert print_lock(lock) == MOVING
    assert lock.footing == Footing(
        (51820,),
        (4500, 51820),
        (ip_network("10.99.0.0/16"), ip_network("10.77.0.0/16")),
        (ip_network("10.99.0.0/16"),),
    )
    assert list(map(str, lock.nodes[NodeName("w1")].addresses)) == ["10.77.0.2", "10.99.0.2", "fd42:99::2"]


SPOILT = {
    "a port that is none": ("[51820]", "[0]"),
    "a port in words": ("[51820]", '["51820"]'),
    "a range that is none": ('"shared": ["10.99.0.0/16"]', '"shared": ["10.99.0.1/16"]'),
    "a range with a zone": ('"shared": ["10.99.0.0/16"]', '"shared": ["fd42::%x/64"]'),
    "something is missing": (', "shared": ["10.99.0.0/16"]', ""),
    "something more": ('"footing": {', '"footing": {"x": [], '),
    "no list": ("[51820]", "51820"),
    "a former address that is none": ("fd42:99::2", "fd42:99::2%x"),
    "former addresses in words": ('["10.99.0.2", "fd42:99::2"]', '"10.99.0.2"'),
}


@pytest.mark.parametrize(("old", "new"), SPOILT.values(), ids=SPOILT)
def test_what_is_no_footing_is_refused(old: str, new: str) -> None:
    assert MOVING.count(old) == 1
    assert told(MOVING.replace(old, new))[0].startswith("not a lock of wireloom: ")


RELEASES = """\
  "releases": {"v1.33.1+k3s1/arm64": "DIGEST", "v1.34.2+k3s1/amd64": "DIGEST"},
""".replace("DIGEST", "ab" * 32)


def test_digests_of_releases_are_one_line_in_a_stable_order() -> None:
    text = whole('  "nodes": {', RELEASES + '  "nodes": {')
    lock = parse(text)
    assert list(lock.releases) == ["v1.33.1+k3s1/arm64", "v1.34.2+k3s1/amd64"]
    backwards = dict(reversed(lock.releases.items()))
    assert print_lock(replace(lock, releases=backwards)) == text


def test_a_digest_that_is_known_never_changes() -> None:
    lock = Lock("shop").with_releases({"a": "ab" * 32})
    assert lock.with_releases({"a": "cd" * 32, "b": "ef" * 32}).releases == {"a": "ab" * 32, "b": "ef" * 32}


NO_RELEASES = {
    "a list": ('"releases": []', "`releases` is a mapping"),
    "null": ('"releases": null', "`releases` is a mapping"),
    "a short digest": ('"releases": {"v1/amd64": "abcd"}', "`v1/amd64` has no SHA-256 in `releases`"),
    "a number": ('"releases": {"v1/amd64": 1}', "`v1/amd64` has no SHA-256 in `releases`"),
    "upper case": (
        '"releases": {"v1/amd64": "' + "AB" * 32 + '"}',
        "`v1/amd64` has no SHA-256 in `releases`",
    ),
    "a line more": (
        '"releases": {"v1/amd64": "' + "ab" * 32 + '\\n"}',
        "`v1/amd64` has no SHA-256 in `releases`",
    ),
    "a name that is none": (
        '"releases": {"v1\\n": "' + "ab" * 32 + '"}',
        "`v1\\n` has no SHA-256 in `releases`",
    ),
}


@pytest.mark.parametrize(("line", "wanted"), NO_RELEASES.values(), ids=NO_RELEASES)
def test_what_are_no_releases_is_refused(line: str, wanted: str) -> None:
    assert told(whole('  "nodes": {', f'  {line},\n  "nodes": {{')) == [f"not a lock of wireloom: {wanted}"]


def test_a_former_address_that_another_has_is_a_clash() -> None:
    text = MOVING.replace('"nodes": {\n', '"nodes": {\n    "b": {"ipv4": "10.99.0.2"},\n')
    assert told(text) == ["10.99.0.2 is given to `b` and `w1`"]


def test_the_bytes_of_an_empty_lock_are_json() -> None:
    assert json.loads(print_lock(Lock("shop"))) == {
        "version": 1,
        "fleet": "shop",
        "generation": 0,
        "network": "",
        "nodes": {},
    }


def test_a_lock_that_is_read_is_the_one_that_was_written() -> None:
    assert print_lock(parse(WHOLE)) == WHOLE


def test_the_order_of_the_file_does_not_matter() -> None:
    assert print_lock(lock_of(named("a", "b"))) == print_lock(
        replace(lock_of(named("a", "b")), nodes=dict(reversed(lock_of(named("a", "b")).nodes.items())))
    )


def diff(before: Lock, after: Lock) -> list[str]:
    lines = difflib.ndiff(print_lock(before).splitlines(), print_lock(after).splitlines())
    return [line for line in lines if line[0] in "+-"]


def test_a_new_node_is_one_line_of_a_diff() -> None:
    before = lock_of(named("a", "c"))
    assert diff(before, allot(named("a", "c", "b"), before)) == ['+     "b": {"ipv4": "10.99.0.3"},']


def test_a_new_node_at_the_end_also_adds_the_comma_of_json() -> None:
    before = lock_of(named("a"), keyless=["a"])
    assert diff(
        before, allot(named("a", "b"), before)
    ) == ['-     "a": {"ipv4": "10.99.0.1"}', '+     "a": {"ipv4": "10.99.0.1"},', '+     "b": {"ipv4": "10.99.0.2"}']  # fmt: skip


def test_a_node_that_leaves_is_one_line_of_a_diff() -> None:
    before = lock_of(named("a", "b", "c"), keyless="abc", generation=3)
    assert diff(before, allot(named("a", "c"), before)) == [
        '-     "b": {"ipv4": "10.99.0.2"},',
        '+     "b": {"ipv4": "10.99.0.2", "released": 3},',
    ]


# ---- what is refused

REFUSED = {
    "empty": ("", "not valid JSON: Expecting value"),
    "cut short": (WHOLE[: len(WHOLE) // 2], "not valid JSON: Unterminated string starting at"),
    "cut at a line": (WHOLE[: WHOLE.index('    "w1"')], "not valid JSON: "),
    "a list": ("[]", "not a lock of wireloom: its version is `None`, this wireloom reads 1"),
    "version 2": (whole('"version": 1', '"version": 2'), "not a lock of wireloom: its version is `2`, this wireloom reads 1"),
    "version true": (whole('"version": 1', '"version": true'), "not a lock of wireloom: its version is `True`"),
    "an unknown key": (whole('"released": 6', '"relaesed": 6'), "not a lock of wireloom: `db1`: `relaesed` is not known to this wireloom"),
    "an unknown key at the top": (whole('"network"', '"netwrok"'), "not a lock of wireloom: `netwrok` is not known to this wireloom"),
    "a missing key": (whole('  "generation": 8,\n', ""), "not a lock of wireloom: `generation` is missing"),
    "a generation below 0": (whole(": 8", ": -1"), "not a lock of wireloom: `generation` is a number from 0, not `-1`"),
    "a generation that is true": (whole(": 8", ": true"), "not a lock of wireloom: `generation` is a number from 0, not `True`"),
    "a fleet that is no text": (whole('"shop"', "null"), "not a lock of wireloom: `fleet` is a text of one line, not `None`"),
    "a network that is no text": (whole('"feed"', "{}"), "not a lock of wireloom: `network` is a text of one line"),
    "nodes that are a list": (WHOLE[: WHOLE.index('{\n    "cp1"')] + "[]}", "not a lock of wireloom: `nodes` is a mapping"),
    "a node that is a list": (whole('{"ipv4": "10.99.0.3", "released": 6}', "[]"), "not a lock of wireloom: `db1`: a mapping is expected"),
    "an address that is a number": (whole('"10.99.0.3"', "3"), "not a lock of wireloom: `db1`: `ipv4` is a text of one line, not `3`"),
    "an address of the other family": (whole('"10.99.0.3"', '"fd42::3"'), "not a lock of wireloom: `db1`: "),
    "an address with a mask": (whole("10.99.0.3", "10.99.0.3/16"), "not a lock of wireloom: `db1`: "),
    "an address with a zone": (whole("fd42:99::2", "fd42:99::2%eth0"), "not a lock of wireloom: `w1`: `fd42:99::2%eth0` is bound to an interface"),
    "a command behind an address": (whole("fd42:99::2", r"fd42:99::2%a\nPreUp = reboot #"), "not a lock of wireloom: `w1`: `ipv6` is a text of one line"),
    "a command behind a host key": (whole("AAAAC3", r"AAAAC3\n* ssh-rsa"), "not a lock of wireloom: `cp1`: `ssh_host_key` is a text of one line"),
    "a released that is true": (whole('"released": 6', '"released": true'), "not a lock of wireloom: `db1`: `released` is a number from 0, not `True`"),
    "a key of the wrong length": (whole("AAI=", "AI="), "not a lock of wireloom: `w1`: a WireGuard key is 44 characters"),
    "a name that steers a terminal": (whole('"db1"', r'"\u001b[2J"'), r"not a lock of wireloom: `\x1b[2J`: no node has such a name"),
    "a merge that kept both sides": (whole('"db1"', '"cp1"'), "`cp1` stands there twice (a merge that kept both sides?)"),
    "an address that two have": (whole("10.99.0.2", "10.99.0.1"), "10.99.0.1 is given to `cp1` and `w1`"),
    "an address that a released one has": (whole("10.99.0.2", "10.99.0.3"), "10.99.0.3 is given to `db1` and `w1`"),
    "an IPv6 address that two write in two ways": (whole("fd42:99::2", "fd42:99:0::1"), "fd42:99::1 is given to `cp1` and `w1`"),
    "a key that two have": (whole("AAI=", "AAE="), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE= is given to `cp1` and `w1`"),
    "very deep": ("[" * 100_000, ""),
    "a very long number": (whole(": 8", ": " + "8" * 5000), ""),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_lock_is_refused(text: str, expected: str) -> None:
    [what] = told(text)
    assert what.startswith(expected)


def test_a_key_of_a_released_node_may_have_gone_to_another_name() -> None:
    lock = parse(
        whole('"released": 6', '"released": 6, "public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="')
    )
    assert key(1) == lock.nodes[NodeName("db1")].public_key == lock.nodes[NodeName("cp1")].public_key


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "||||||| base", "=======", ">>>>>>> theirs"])
def test_a_conflict_marker_is_named_with_its_line(marker: str) -> None:
    text = whole('  "generation": 8,\n', f"{marker}\n")
    with pytest.raises(UserError, match=r"^shop\.lock:4:1: an unresolved merge conflict\n"):
        parse(text)


def test_broken_json_is_named_with_its_place() -> None:
    with pytest.raises(UserError, match=r"^shop\.lock:3:19: not valid JSON"):
        parse(whole('"fleet": "shop",', '"fleet": "shop" x,'))


def test_every_refusal_says_what_to_do() -> None:
    for text, _ in REFUSED.values():
        with pytest.raises(UserError) as caught:
            parse(text)
        assert all(one.hint and one.where.startswith("shop.lock") for one in caught.value.diagnostics)


def test_the_lock_of_another_fleet_is_refused(tmp_path: Path) -> None:
    write_lock(tmp_path / "shop.lock", Lock("other"))
    with pytest.raises(UserError, match="belongs to the fleet `other`, not to `shop`"):
        read_lock(tmp_path / "shop.lock", "shop")


# ---- the file


def test_no_file_is_an_empty_lock(tmp_path: Path) -> None:
    assert Lock("shop") == read_lock(tmp_path / "shop.lock", "shop")


PLACES = {"fleet.yaml": "fleet.lock", "fleets/shop.prod.yml": "fleets/shop.prod.lock", "fleet": "fleet.lock"}


@pytest.mark.parametrize(("fleet", "expected"), PLACES.items())
def test_the_lock_lies_beside_its_fleet(fleet: str, expected: str) -> None:
    assert Path(expected) == lock_path(Path(fleet))


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a directory": (Path.mkdir, "can't be read: is a directory"),
    "not UTF-8": (
        lambda path: path.write_bytes(b"\xff{}"),
        "not a lock of wireloom: it is not UTF-8\n    restore it",
    ),
}


@pytest.mark.parametrize(("make", "told"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cant_be_read_is_named(make: Callable[[Path], object], told: str, tmp_path: Path) -> None:
    make(tmp_path / "shop.lock")
    with pytest.raises(UserError, match=rf"shop\.lock: {told}"):
        read_lock(tmp_path / "shop.lock", "shop")


def test_a_lock_is_written_where_there_was_no_directory(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "shop.lock"
    assert write_lock(path, parse(WHOLE))
    assert path.read_text() == WHOLE


def test_a_new_lock_can_be_read_by_all(tmp_path: Path) -> None:
    write_lock(tmp_path / "shop.lock", Lock("shop"))
    assert (tmp_path / "shop.lock").stat().st_mode & 0o777 == 0o644


def test_a_lock_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "shop.lock"
    write_lock(path, Lock("shop"))
    path.chmod(0o664)
    write_lock(path, Lock("shop", 1))
    assert path.stat().st_mode & 0o777 == 0o664


def test_an_unchanged_lock_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "shop.lock"
    write_lock(path, parse(WHOLE))
    os.utime(path, ns=(1, 1))
    before = path.stat()
    assert not write_lock(path, parse(WHOLE))
    assert (before.st_ino, 1) == (path.stat().st_ino, path.stat().st_mtime_ns)


def test_a_directory_that_cant_be_made_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written: "):
        write_lock(tmp_path / "file" / "shop.lock", Lock("shop"))


STEPS = ["open", "write", "fchmod", "fsync", "replace"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()],
    ids=["full", "interrupted"],
)
def test_a_write_that_fails_leaves_the_old_lock_and_nothing_else(
    step: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.lock"
    write_lock(path, parse(WHOLE))

    def fail(*_: object) -> None:
        raise error

    expected: type[BaseException] = UserError if isinstance(error, OSError) else KeyboardInterrupt
    with monkeypatch.context() as patched:
        patched.setattr(os, step, fail)
        with pytest.raises(expected) as caught:
            write_lock(path, Lock("shop", 9))
    assert [path] == list(tmp_path.iterdir())
    assert path.read_text() == WHOLE
    if isinstance(error, OSError):
        assert str(caught.value) == f"{path}: can't be written: No space left on device"


# ---- fuzz

fast = settings(max_examples=200)
words = st.sampled_from(
    ["cp1", "10.99.0.1", "fd42::1", "fd42::1%x\n", "", "\ud800", "ssh-ed25519 A", str(key(1)), "\x1b[2J"]
)
scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | words
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
locked = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("ipv4", "ipv6", "public_key", "ssh_host_key", "released"), json_values),
        "x": scalars,
    },
)


def read_whatever(text: str) -> None:
    """Either a lock that is written as it was read, or an error that can be shown."""
    what = told_whole(text)
    if what is None:
        lock = parse(text)
        assert print_lock(lock) == print_lock(parse(print_lock(lock)))
    else:
        assert all(line.isprintable() for line in what.splitlines())


def told_whole(text: str) -> str | None:
    try:
        parse(text)
    except UserError as refused:
        return str(refused)
    return None


@given(json_values)
@fast
def test_any_json(value: object) -> None:
    read_whatever(json.dumps(value))


@given(
    st.fixed_dictionaries(
        {"version": st.just(1)},
        optional={
            "fleet": json_values,
            "generation": json_values,
            "network": json_values,
            "nodes": st.dictionaries(words, locked | json_values, max_size=3) | json_values,
        },
    )
)
@fast
def test_nearly_a_lock(value: object) -> None:
    read_whatever(json.dumps(value))


@given(st.integers(0, len(WHOLE)), st.integers(0, 20), st.text(max_size=5))
@example(len(WHOLE) - 2, 1, "")
@fast
def test_a_lock_with_something_wrong(start: int, length: int, new: str) -> None:
    read_whatever(WHOLE[:start] + new + WHOLE[start + length :])


@given(
    st.dictionaries(
        st.text("abc-1", min_size=1),
        st.builds(
            LockedNode,
            ipv4=st.none(),
            ipv6=st.none(),
            public_key=st.none(),
            ssh_host_key=st.none() | st.text("ssh- AZ09+/=", min_size=1),
            released=st.none() | st.integers(0, 99),
        ),
    ),
    st.integers(0, 10**9),
)
@fast
def test_any_lock_comes_back(nodes: dict[NodeName, LockedNode], generation: int) -> None:
    lock = Lock("shop", generation, "feed", nodes)
    assert lock == parse(print_lock(lock))


PODS = """\
{
  "version": 1,
  "fleet": "shop",
  "generation": 8,
  "network": "feed",
  "nodes": {
    "cp1": {"ipv4": "10.99.0.1"},
    "w1": {"ipv4": "10.99.0.2", "pods": ["10.42.1.0/24", "fd00:42:0:1::/64"]},
    "w2": {"ipv4": "10.99.0.3", "pods": ["10.42.2.0/24"]}
  }
}
"""


def test_pod_ranges_are_read_and_written() -> None:
    lock = parse(PODS)
    assert print_lock(lock) == PODS
    assert lock.nodes[NodeName("w1")].pods == (ip_network("10.42.1.0/24"), ip_network("fd00:42:0:1::/64"))


SPOILT_PODS = {
    "host bits": ("10.42.2.0/24", "10.42.2.1/24", "not a lock of wireloom: "),
    "words": ('["10.42.2.0/24"]', '"10.42.2.0/24"', "not a lock of wireloom: "),
    "a number": ('["10.42.2.0/24"]', "[24]", "not a lock of wireloom: "),
    "the range of another": ("10.42.2.0/24", "10.42.1.0/24", "the pod range 10.42.1.0/24 is given to `w1` and `w2`"),
    "around the range of another": ("10.42.2.0/24", "10.42.0.0/16", "the pod range 10.42.1.0/24 is given to `w2` and `w1`"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), SPOILT_PODS.values(), ids=SPOILT_PODS)
def test_what_are_no_pod_ranges_is_refused(old: str, new: str, expected: str) -> None:
    assert told(PODS.replace(old, new))[0].startswith(expected)
