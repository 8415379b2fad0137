"""Where k3s comes from: files that are here, and a mirror on this machine's own loopback."""

import errno
import hashlib
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cluster.fleets import CP1, VERSION, W1, cluster
from tests.network.fleets import lock_of
from wireloom.apply.gated import Goods
from wireloom.cli.supply import FilePayload, Supply, gather_goods
from wireloom.cluster.fleet import make_cluster_plan
from wireloom.cluster.release import Release
from wireloom.cluster.seen import ClusterSeen, K3sSeen
from wireloom.errors import UserError
from wireloom.lock.lock import Lock
from wireloom.network.topology import weave
from wireloom.values import NodeName

MACHINES = {"x86_64": (1, 62), "aarch64": (1, 183), "s390x": (2, 22)}
DIGEST = "ab" * 32
RELEASE = f"{VERSION}/amd64"
LIST = f"{'00' * 32}  k3s-airgap-images-amd64.tar\n{DIGEST}  k3s\n"
Answer = tuple[int, bytes] | None
"""Status and body; None: the connection is closed without a word."""


def program(path: Path, architecture: str = "x86_64", *, then: bytes = b"") -> Path:
    """The head of an ELF file for that architecture (elf(5))."""
    order, machine = MACHINES[architecture]
    words = struct.pack("<H" if order == 1 else ">H", machine)
    path.write_bytes(b"\x7fELF\x02" + bytes([order]) + bytes(12) + words + then)
    return path


@contextmanager
def mirror(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A mirror that answers so to everything: its URL, and what it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if answer is None:
                return
            if answer[0] == 0:
                self.wfile.write(answer[1])
                return
            self.send_response(answer[0])
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/k3s", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def gather(
    *,
    at: str = "http://127.0.0.1:1",
    lock: Lock | None = None,
    settled: bool = False,
    binaries: tuple[Path, ...] = (),
    images: tuple[Path, ...] = (),
) -> tuple[Goods, Lock]:
    """What comes to a server of Intel's kind and an agent of ARM's, both blank."""
    fleet = cluster(CP1, W1, mirror=at)
    network = weave(fleet, lock_of(fleet))
    nodes = {
        NodeName("cp1"): K3sSeen(NodeName("cp1")),
        NodeName("w1"): K3sSeen(NodeName("w1"), architecture="aarch64", version=VERSION),
    }
    seen = ClusterSeen(nodes)
    plan = make_cluster_plan(fleet, network, seen, ())
    if settled:
        plan = replace(plan, nodes=tuple(replace(one, changes=(), install=False) for one in plan.nodes))
    assert fleet.k3s is not None
    return gather_goods(supply(binaries=binaries, images=images), fleet.k3s, plan, seen, lock or Lock("shop"))


def supply(
    *, binaries: tuple[Path, ...] = (), images: tuple[Path, ...] = (), database: Path | None = None
) -> Supply:
    """As a verb makes it of its options, before any machine is dialled."""
    return Supply.of(k3s_binary=binaries, k3s_images=images, ready_within=300, datastore_endpoint=database)


def told(call: Callable[[], object]) -> tuple[str, str, str]:
    """What is wrong, where, and what to do."""
    with pytest.raises(UserError) as caught:
        call()
    (one,) = caught.value.diagnostics
    return one.what, one.where, one.hint


# What is here


def test_a_binary_that_is_here_is_sent_with_its_digest_and_the_version_that_it_must_say(
    tmp_path: Path,
) -> None:
    path = program(tmp_path / "k3s", then=b"rest")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    goods, lock = gather(binaries=(path,))
    one = goods.binaries[NodeName("cp1")]
    assert (one.digest, one.payload, one.mode, one.version) == (
        digest,
        FilePayload(path, digest, path.stat().st_size),
        0o755,
        VERSION,
    )
    assert list(goods.binaries) == ["cp1"]
    assert lock.releases == {}


def test_each_machine_gets_the_binary_for_its_architecture(tmp_path: Path) -> None:
    arm = program(tmp_path / "k3s-arm64", "aarch64")
    with mirror((200, LIST.encode())) as (url, _):
        goods, _ = gather(at=url, binaries=(arm,))
    assert goods.binaries[NodeName("cp1")].url == f"{url}/v1.34.2%2Bk3s1/k3s"


NOT_K3S = {
    "a script": b"#!/bin/sh\n",
    "nothing": b"",
    "a short head": b"\x7fELF\x02\x01",
    "an architecture without a release": b"\x7fELF\x02\x01" + bytes(12) + struct.pack("<H", 243),
    "a wrong byte order": b"\x7fELF\x02\x07" + bytes(12) + struct.pack("<H", 62),
}


@pytest.mark.parametrize("content", NOT_K3S.values(), ids=NOT_K3S)
def test_what_is_no_program_for_an_architecture_of_k3s_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k3s"
    path.write_bytes(content)
    what, where, hint = told(lambda: supply(binaries=(path,)))
    assert what == "not a Linux program for an architecture that k3s has"
    assert where == str(path)
    assert "not the installer" in hint


def test_two_binaries_for_one_architecture_are_refused(tmp_path: Path) -> None:
    paths = (program(tmp_path / "a"), program(tmp_path / "b"))
    assert told(lambda: supply(binaries=paths)) == (
        "two binaries for x86_64",
        str(paths[1]),
        "name one of them",
    )


def test_a_binary_that_no_machine_can_run_is_refused_before_another_is_fetched(tmp_path: Path) -> None:
    path = program(tmp_path / "k3s-s390x", "s390x")
    assert told(lambda: gather(binaries=(path,))) == (
        "is for s390x, and no machine of the cluster is: aarch64, x86_64",
        str(path),
        "of a release they need `k3s-arm64` and `k3s`",
    )


def test_a_file_that_is_replaced_after_the_question_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "images.tar"
    file.write_bytes(b"one")
    first = FilePayload.of(file)
    assert FilePayload.of(file) == first
    file.write_bytes(b"another")
    assert FilePayload.of(file).digest == hashlib.sha256(b"another").hexdigest() != first.digest


def test_a_binary_that_nobody_needs_is_no_mistake_where_nothing_is_fetched(tmp_path: Path) -> None:
    paths = (program(tmp_path / "k3s"), program(tmp_path / "k3s-s390x", "s390x"))
    assert list(gather(binaries=paths)[0].binaries) == ["cp1"]


def test_what_can_not_be_read_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone.tar"
    assert told(lambda: supply(images=(gone,)))[:2] == ("can't be read: No such file or directory", str(gone))


def test_what_is_no_ordinary_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.tar"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        assert told(lambda path=path: supply(binaries=(path,)))[:2] == ("not an ordinary file", str(path))
    assert told(lambda: supply(images=(pipe,)))[:2] == ("not an ordinary file", str(pipe))


def test_a_file_that_vanishes_while_it_is_sent_is_told(tmp_path: Path) -> None:
    payload = FilePayload.of(program(tmp_path / "k3s"))
    payload.path.unlink()
    what, where, hint = told(lambda: payload.read(0, 10))
    assert (what, where) == ("can't be read: No such file or directory", str(payload.path))
    assert "what was sent is not lost" in hint


def test_archives_of_a_directory_come_by_name_and_nothing_else_of_it(tmp_path: Path) -> None:
    for name in ("b.tar.zst", "a.tar", "README", "c.tar.gz.sha256"):
        (tmp_path / name).write_text(name)
    (tmp_path / "d.tar").mkdir()
    goods, _ = gather(images=(tmp_path,), binaries=(program(tmp_path / "k3s"),))
    assert [one.path for one in goods.images] == [
        "/var/lib/rancher/k3s/agent/images/a.tar",
        "/var/lib/rancher/k3s/agent/images/b.tar.zst",
    ]
    assert {one.version for one in goods.images} == {""}


def test_a_directory_without_archives_is_refused(tmp_path: Path) -> None:
    what, where, hint = told(lambda: supply(images=(tmp_path,)))
    assert (what, where) == ("no archive of images", str(tmp_path))
    assert ".tar.zst" in hint


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.tar"
    path.touch()
    assert told(lambda: supply(images=(tmp_path,))) == ("is empty", str(path), "is the download complete?")


def test_a_directory_that_can_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)  # root may read all
    assert told(lambda: supply(images=(tmp_path,)))[:2] == ("can't be read: Permission denied", str(tmp_path))


def test_two_archives_of_one_name_are_refused(tmp_path: Path) -> None:
    paths = []
    for directory in ("one", "two"):
        (tmp_path / directory).mkdir()
        paths.append(tmp_path / directory / "images.tar")
        paths[-1].write_text(directory)
    what, where, hint = told(lambda: supply(images=tuple(paths)))
    assert what == f"another archive has this name, too: {paths[0]}"
    assert where == str(paths[1])
    assert hint


def test_where_nothing_changes_nothing_is_brought_and_nobody_asked(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_text("images")
    goods, lock = gather(settled=True, images=(tmp_path,))
    assert (goods, lock) == (Goods({}, ()), Lock("shop"))


# A database


def test_where_the_database_is_is_read_once_also_from_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "url"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("postgres://k3s:hunter2@db:5432/k3s\n",))
    writer.start()
    found = supply(database=pipe)
    writer.join()
    assert found.database is not None
    assert found.database.reveal() == "postgres://k3s:hunter2@db:5432/k3s"


def test_what_is_no_url_of_a_database_is_told_and_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("hunter2")
    what, where, _ = told(lambda: supply(database=path))
    assert where == str(path)
    assert "hunter2" not in what


# A mirror


def test_the_digest_is_taken_from_the_list_and_pinned(tmp_path: Path) -> None:
    with mirror((200, LIST.encode())) as (url, asked):
        goods, lock = gather(at=url)
    one = goods.binaries[NodeName("cp1")]
    assert (one.digest, one.url, one.version) == (DIGEST, f"{url}/v1.34.2%2Bk3s1/k3s", VERSION)
    assert lock.releases == {RELEASE: DIGEST}
    assert asked == ["/k3s/v1.34.2%2Bk3s1/sha256sum-amd64.txt"]


def test_a_pinned_digest_is_used_without_asking() -> None:
    pinned = Lock("shop", releases={RELEASE: "cd" * 32})
    with mirror((200, LIST.encode())) as (url, asked):
        goods, lock = gather(at=url, lock=pinned)
    assert goods.binaries[NodeName("cp1")].digest == "cd" * 32
    assert lock == pinned
    assert asked == []


MIRRORS: dict[str, tuple[Answer, str]] = {
    "404": ((404, b"no"), f"there is no k3s {VERSION} for amd64: URL is not there"),
    "500": ((500, b"no"), "URL: HTTP Error 500: Internal Server Error"),
    "a page": ((200, b"<html>log in</html>"), "URL is not a list of digests: it does not name k3s"),
    "garbage": ((200, bytes(range(256)) * 9), "URL is not a list of digests: it does not name k3s"),
    "an empty list": ((200, b""), "URL is not a list of digests: it does not name k3s"),
    "a list without the binary": (
        (200, f"{DIGEST}  k3s-arm64\n".encode()),
        "URL is not a list of digests: it does not name k3s",
    ),
    "a short digest": ((200, b"abcd  k3s\n"), "URL is not a list of digests: it does not name k3s"),
    "no HTTP": ((0, b"SSH-2.0-hello"), "URL can't be fetched: SSH-2.0-hello"),
    "nothing": (None, "URL can't be fetched: Remote end closed connection without response"),
}


@pytest.mark.parametrize(("answer", "wanted"), MIRRORS.values(), ids=MIRRORS)
def test_a_mirror_that_does_not_give_the_list_is_named(answer: Answer, wanted: str) -> None:
    with mirror(answer) as (url, _):
        what, _, hint = told(lambda: gather(at=url))
    assert what == wanted.replace("URL", f"{url}/v1.34.2%2Bk3s1/sha256sum-amd64.txt")
    assert "k3s" in hint


def test_a_mirror_where_nobody_listens_is_named() -> None:
    what, _, hint = told(gather)
    assert what.startswith("http://127.0.0.1:1/v1.34.2%2Bk3s1/sha256sum-amd64.txt can't be fetched: ")
    assert "Connection refused" in what
    assert (
        hint
        == "without a way there: --k3s-binary FILE, from any copy of http://127.0.0.1:1/v1.34.2%2Bk3s1/k3s"
    )


ASSETS = {
    "x86_64": ("v1/amd64", "m/v1/k3s", "m/v1/sha256sum-amd64.txt"),
    "aarch64": ("v1/arm64", "m/v1/k3s-arm64", "m/v1/sha256sum-arm64.txt"),
    "armv7l": ("v1/arm", "m/v1/k3s-armhf", "m/v1/sha256sum-arm.txt"),
    "s390x": ("v1/s390x", "m/v1/k3s-s390x", "m/v1/sha256sum-s390x.txt"),
}


@pytest.mark.parametrize(("architecture", "wanted"), ASSETS.items(), ids=ASSETS)
def test_files_are_named_as_k3s_publishes_them(architecture: str, wanted: tuple[str, str, str]) -> None:
    one = Release("v1", architecture, "m/")
    assert (one.name, one.url, one.checksums_url) == wanted
