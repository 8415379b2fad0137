"""Plain wg-quick files in a directory, and the keys that go with them."""

import os
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.graph_fleets import fleet, net, node, site, small
from wireloom.errors import UserError
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.network.topology import weave
from wireloom.render.wg_quick import MARK
from wireloom.report.export import export, gather_keys
from wireloom.secret import PrivateKey
from wireloom.values import NodeName, PublicKey

FLEET = small()
NAMES = list(FLEET.nodes)
CP1, W1 = NAMES[:2]


def nobody() -> dict[NodeName, PublicKey | None]:
    return dict.fromkeys(NAMES, None)


def keyed(keys: dict[NodeName, PrivateKey]) -> Network:
    lock = allot(FLEET, Lock("shop")).with_keys({name: key.public_key for name, key in keys.items()})
    return weave(FLEET, lock)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def keys(tmp_path: Path) -> dict[NodeName, PrivateKey]:
    return gather_keys(tmp_path / "keys", nobody())[0]


# Keys


def test_every_missing_key_is_made(tmp_path: Path) -> None:
    keys, made = gather_keys(tmp_path / "keys", nobody())
    assert made == NAMES
    assert {path.name for path in (tmp_path / "keys").iterdir()} == {f"{name}.key" for name in NAMES}
    assert len({key.public_key for key in keys.values()}) == len(NAMES)


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        gather_keys(tmp_path / "keys", nobody())
    finally:
        os.umask(before)
    assert mode(tmp_path / "keys") == 0o700
    assert {mode(path) for path in (tmp_path / "keys").iterdir()} == {0o600}


def test_a_key_that_is_there_is_used_as_it_is(tmp_path: Path, keys: dict[NodeName, PrivateKey]) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "keys").iterdir()}
    again, made = gather_keys(tmp_path / "keys", nobody())
    assert made == []
    assert {name: key.public_key for name, key in again.items()} == {
        name: key.public_key for name, key in keys.items()
    }
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before}


def test_no_key_is_made_for_a_machine_that_has_its_own(tmp_path: Path) -> None:
    theirs = PrivateKey.make().public_key
    keys, made = gather_keys(tmp_path / "keys", nobody() | {CP1: theirs})
    assert CP1 not in keys
    assert CP1 not in made
    assert not (tmp_path / "keys" / "cp1.key").exists()


@pytest.mark.skipif(shutil.which("wg") is None, reason="needs wg")
def test_a_key_made_by_wg_is_read(tmp_path: Path) -> None:
    text = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "cp1.key").write_text(text)
    public = subprocess.run(["wg", "pubkey"], input=text, capture_output=True, text=True, check=True).stdout
    assert str(gather_keys(tmp_path, {CP1: None})[0][CP1].public_key) == public.strip()


def refusal(directory: Path, known: dict[NodeName, PublicKey | None]) -> str:
    with pytest.raises(UserError) as raised:
        gather_keys(directory, known)
    return str(raised.value)


def test_a_key_that_is_not_the_locks_is_refused(tmp_path: Path, keys: dict[NodeName, PrivateKey]) -> None:
    theirs = PrivateKey.make().public_key
    said = refusal(tmp_path / "keys", {CP1: theirs})
    assert f"its public key is {keys[CP1].public_key}, the lock has {theirs}" in said
    assert keys[CP1].reveal() not in said


BROKEN = {
    "empty": b"",
    "text": b"hunter2-hunter2",
    "cut": b"YAnz5TF+lXXJte14tji3zlMNftbMfxtwIUGQ",
    "all zeros": b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    "not ASCII": b"\xff\xfe" * 22,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_key_is_refused_and_not_repeated(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cp1.key"
    path.write_bytes(content)
    said = refusal(tmp_path, {CP1: None})
    assert said.startswith(f"{path}: not a WireGuard private key")
    assert not content.strip() or content.strip().decode(errors="replace") not in said
    assert path.read_bytes() == content


def test_a_key_file_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cp1.key").mkdir()
    assert refusal(tmp_path, {CP1: None}) == f"{tmp_path}/cp1.key: can't be read: Is a directory"


def test_a_directory_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = refusal(tmp_path / "file" / "keys", {CP1: None})
    assert said == f"{tmp_path}/file/keys: can't be made: Not a directory"


# Files


def test_complete_files_have_the_key_and_are_their_owners_only(
    tmp_path: Path, keys: dict[NodeName, PrivateKey]
) -> None:
    written = export(keyed(keys), tmp_path / "out", keys)
    assert [path.name for path in written.files] == [f"{name}.conf" for name in NAMES]
    for name, path in zip(NAMES, written.files, strict=True):
        assert mode(path) == 0o600
        assert path.read_text().count(f"PrivateKey = {keys[name].reveal()}\n") == 1
    assert (written.without_private_key, written.without_public_key) == ((), ())


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("wg") is None, reason="needs root and wg")
def test_complete_files_are_read_by_wg(tmp_path: Path, keys: dict[NodeName, PrivateKey]) -> None:
    """`wg` reads the whole file before it looks for the interface, whose name is too long to exist."""
    for path in export(keyed(keys), tmp_path, keys).files:
        stripped = subprocess.run(
            ["wg-quick", "strip", path], capture_output=True, text=True, check=True
        ).stdout
        said = subprocess.run(
            ["wg", "setconf", "wireloom-no-such", "/dev/stdin"],
            input=stripped,
            capture_output=True,
            text=True,
            check=False,
        ).stderr
        assert "Unable to modify interface" in said
        assert stripped.count("[Peer]") == len(NAMES) - 1


def test_files_without_a_key_say_how_to_add_it(tmp_path: Path, keys: dict[NodeName, PrivateKey]) -> None:
    written = export(keyed(keys), tmp_path / "out", {})
    text = written.files[0].read_text()
    assert text.startswith(MARK)
    assert "\nPrivateKey" not in text
    assert (
        f"# The private key is missing, the one of {keys[CP1].public_key}. On the machine, make this file's"
        " mode 0600,\n# then put it in place of these two lines: PrivateKey = …\n"
    ) in text
    assert mode(written.files[0]) == 0o644
    assert written.without_private_key == tuple(NAMES)


def test_a_node_whose_key_nobody_knows_is_nobodys_peer_and_named(
    tmp_path: Path, keys: dict[NodeName, PrivateKey]
) -> None:
    known = {name: key for name, key in keys.items() if name != W1}
    written = export(keyed(known), tmp_path / "out", {})
    assert written.without_public_key == (W1,)
    assert "# w1\n" not in written.files[0].read_text()
    assert "of `wg genkey`" in written.files[1].read_text()


def test_what_stands_already_is_not_touched(tmp_path: Path, keys: dict[NodeName, PrivateKey]) -> None:
    network = keyed(keys)
    before = {path: path.stat().st_mtime_ns for path in export(network, tmp_path / "out", keys).files}
    assert before == {path: path.stat().st_mtime_ns for path in export(network, tmp_path / "out", keys).files}


def test_a_file_that_others_may_read_is_closed_when_the_key_goes_in(
    tmp_path: Path, keys: dict[NodeName, PrivateKey]
) -> None:
    network = keyed(keys)
    export(network, tmp_path / "out", {})
    assert {mode(path) for path in export(network, tmp_path / "out", keys).files} == {0o600}


def test_a_changed_mode_alone_is_mended(tmp_path: Path, keys: dict[NodeName, PrivateKey]) -> None:
    network = keyed(keys)
    path = export(network, tmp_path / "out", keys).files[0]
    path.chmod(0o644)
    export(network, tmp_path / "out", keys)
    assert mode(path) == 0o600


def test_no_half_of_a_file_is_left_where_the_disk_is_full(
    tmp_path: Path, keys: dict[NodeName, PrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = keyed(keys)
    path = export(network, tmp_path / "out", {}).files[0]
    before = path.read_bytes()
    monkeypatch.setattr(os, "write", _full)
    with pytest.raises(UserError) as raised:
        export(network, tmp_path / "out", keys)
    monkeypatch.undo()
    assert str(raised.value) == f"{tmp_path}/out: can't be written: No space left on device"
    assert path.read_bytes() == before
    assert {one.suffix for one in (tmp_path / "out").iterdir()} == {".conf"}


def _full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(UserError) as raised:
        export(net(FLEET), tmp_path / "out", {})
    assert str(raised.value) == f"{tmp_path}/out: can't be written: File exists"


def test_a_lone_node_has_no_peers(tmp_path: Path) -> None:
    alone = fleet("one", [site("x")], [node("a", "x", public="192.0.2.1")])
    key = PrivateKey.make()
    lock = allot(alone, Lock("one")).with_keys({NodeName("a"): key.public_key})
    (path,) = export(weave(alone, lock), tmp_path, {NodeName("a"): key}).files
    assert "[Peer]" not in path.read_text()


def test_ipv6_is_written_too(tmp_path: Path) -> None:
    dual = small(dual=True)
    key = PrivateKey.make().public_key
    lock = allot(dual, Lock("shop")).with_keys({W1: key})
    (path, *_) = export(weave(replace(dual), lock), tmp_path, {}).files
    assert "AllowedIPs = 10.99.0.2/32, fd42:99::2/128\n" in path.read_text()
