"""Where k3s comes from: files that are here, or its releases, known by their digests."""

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

import click

from wireloom.apply.delivery import Delivery
from wireloom.apply.gated import Goods
from wireloom.cli.settings import NamedPath
from wireloom.cli.terms import Seconds
from wireloom.cluster.elf import elf_architecture
from wireloom.cluster.places import BINARY, IMAGES
from wireloom.cluster.plan import ClusterPlan
from wireloom.cluster.release import ASSETS, Release
from wireloom.cluster.seen import ClusterSeen
from wireloom.errors import UserError
from wireloom.intent.fleet import Kubernetes
from wireloom.lock.lock import Lock
from wireloom.secret import DatastoreEndpoint
from wireloom.values import NodeName

F = TypeVar("F", bound=Callable[..., Any])
DATABASE_VARIABLE = "WIRELOOM_DATASTORE_ENDPOINT"
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.lz4", ".tar.bz2")
"""How the names of those end that k3s takes (docs.k3s.io/installation/airgap)."""


def _unreadable(path: Path, error: OSError, hint: str = "") -> UserError:
    return UserError.one(f"can't be read: {error.strerror}", where=str(path), hint=hint)


@functools.cache
def _digest(path: Path, _changed: int, _size: int) -> str:
    """The SHA-256 of a file, hundreds of MB maybe: for the question, and for what comes after it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class FilePayload:
    """A file on this machine, as it was when its digest was taken."""

    path: Path
    digest: str
    size: int

    @classmethod
    def of(cls, path: Path) -> "FilePayload":
        """Read it, unless it is as it was when it was last read. Raises UserError."""
        try:
            status = path.stat()
            return cls(path, _digest(path, status.st_mtime_ns, status.st_size), status.st_size)
        except OSError as error:
            raise _unreadable(path, error) from None

    def read(self, start: int, length: int) -> bytes:
        """A piece of it. Raises UserError."""
        with _reading(self.path, hint="apply again when it is there: what was sent is not lost") as file:
            file.seek(start)
            return file.read(length)


@contextlib.contextmanager
def _reading(path: Path, *, hint: str = "") -> Iterator[BufferedReader]:
    """A file to read from. A pipe would be waited for, and be empty at the second look. Raises UserError."""
    try:
        if path.exists() and not path.is_file():
            hint = "it is read more than once: name the file itself"
            raise UserError.one("not an ordinary file", where=str(path), hint=hint)
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise _unreadable(path, error, hint) from None


@dataclass(frozen=True, slots=True)
class Supply:
    """What the user has here: binaries, by the architecture (as `uname -m` names it); archives of images.

    ``ready_within``: seconds that a machine may take until it is ready. ``database``: where one is, if a file
    says it.
    """

    binaries: Mapping[str, Path] = field(default_factory=dict)
    images: tuple[Path, ...] = ()
    ready_within: int = 300
    database: DatastoreEndpoint | None = None

    @classmethod
    def of(
        cls,
        *,
        k3s_binary: tuple[Path, ...],
        k3s_images: tuple[Path, ...],
        ready_within: int,
        datastore_endpoint: Path | None,
    ) -> "Supply":
        """From the options that ``with_supply`` gives a verb. Raises UserError for files that won't do."""
        database = None if datastore_endpoint is None else _read_database(datastore_endpoint)
        return cls(_sort_binaries(k3s_binary), _list_images(k3s_images), ready_within, database)

    @property
    def empty(self) -> bool:
        """Whether nothing is here."""
        return not (self.binaries or self.images or self.database)


def with_supply(function: F) -> F:
    """The options that say where k3s comes from, and how long it may take; see ``Supply.of``."""
    there = NamedPath(path_type=Path, exists=True)
    function = click.option(
        "--datastore-endpoint",
        type=NamedPath(path_type=Path, exists=True, dir_okay=False),
        help=f"A file with the URL of the database of `datastore: external`; or {DATABASE_VARIABLE} has it.",
    )(function)
    function = click.option(
        "--ready-within",
        type=Seconds(),
        default="5m",
        show_default=True,
        help="How long a machine may take until k3s is ready there; 5s to 60m.",
    )(function)
    function = click.option(
        "--k3s-images",
        type=there,
        multiple=True,
        help="Images for machines that can't pull any: an archive, or a directory of them.",
    )(function)
    return click.option(
        "--k3s-binary",
        type=there,
        multiple=True,
        help="The k3s to bring, where machines shall not fetch it; one for each architecture.",
    )(function)


def gather_goods(
    supply: Supply, cluster: Kubernetes, plan: ClusterPlan, seen: ClusterSeen, lock: Lock
) -> tuple[Goods, Lock]:
    """What is to be brought to whom, and the lock with the digests that it goes by. Raises UserError."""
    missing = {one.name: _architecture(seen, one.name) for one in plan.nodes if one.install}
    here = {one: path for one, path in supply.binaries.items() if one in missing.values()}
    away = sorted(set(missing.values()) - set(here))
    if away:
        _refuse_strangers(supply.binaries, {_architecture(seen, name) for name in seen.nodes})
    version = cluster.version or ""
    releases = {one: Release(version, one, cluster.mirror) for one in away}
    unknown = [one for one in releases.values() if one.name not in lock.releases]
    if unknown:
        from wireloom.cli.checksums import fetch_digest  # what it imports takes its time, and few need it

        lock = lock.with_releases({one.name: fetch_digest(one) for one in unknown})
    programs = {
        one: Delivery(BINARY, 0o755, file.digest, payload=file, version=version)
        for one, file in ((one, FilePayload.of(path)) for one, path in here.items())
    }
    programs |= {
        one: Delivery(BINARY, 0o755, lock.releases[release.name], url=release.url, version=version)
        for one, release in releases.items()
    }
    binaries = {name: programs[one] for name, one in missing.items()}
    brought = supply.images if any(one.changes for one in plan.nodes) else ()
    images = tuple(
        Delivery(f"{IMAGES}/{one.path.name}", 0o600, one.digest, payload=one)
        for one in map(FilePayload.of, brought)
    )
    wanted = any(one.database for one in plan.nodes)
    database = (supply.database or _find_database()) if wanted else None
    return Goods(binaries, images, database), lock


def _refuse_strangers(binaries: Mapping[str, Path], machines: Collection[str]) -> None:
    """Raise UserError for a binary that no machine can run, where another would have to be fetched.

    ``machines``: what each is, as `uname -m` names it; empty for one that did not answer.
    """
    for architecture, path in binaries.items():
        if architecture not in machines and "" not in machines:
            needed = ", ".join(sorted(machines))
            files = " and ".join(f"`{ASSETS[one][1]}`" for one in sorted(machines) if one in ASSETS)
            what = f"is for {architecture}, and no machine of the cluster is: {needed}"
            raise UserError.one(what, where=str(path), hint=f"of a release they need {files}")


def _find_database() -> DatastoreEndpoint:
    """Where the database is, from the environment. Raises UserError, which does not repeat it."""
    text = os.environ.get(DATABASE_VARIABLE, "")
    if not text:
        hint = (
            f"--datastore-endpoint FILE, or {DATABASE_VARIABLE}, has the URL: it is in no file of the fleet"
        )
        raise UserError.one("servers have to be told where the database is", hint=hint)
    return _parse_database(text, DATABASE_VARIABLE)


def _read_database(path: Path) -> DatastoreEndpoint:
    """Where the database is, from a file, which may be a pipe: it is read once. Raises UserError."""
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise _unreadable(path, error) from None
    return _parse_database(text, str(path))


def _parse_database(text: str, where: str) -> DatastoreEndpoint:
    try:
        return DatastoreEndpoint(text)
    except ValueError as error:
        raise UserError.one(str(error), where=where) from None


def _architecture(seen: ClusterSeen, name: NodeName) -> str:
    state = seen.machine(name)
    return state.architecture if state else ""


def _sort_binaries(paths: Iterable[Path]) -> dict[str, Path]:
    """Each binary by the architecture that it is for (as `uname -m` names it). Raises UserError."""
    found: dict[str, Path] = {}
    for path in paths:
        with _reading(path) as file:
            architecture = elf_architecture(file.read(64))
        if architecture is None:
            what = "not a Linux program for an architecture that k3s has"
            hint = "the file `k3s` of a release, or `k3s-arm64`; not the installer, nor an archive"
            raise UserError.one(what, where=str(path), hint=hint)
        if architecture in found:
            raise UserError.one(f"two binaries for {architecture}", where=str(path), hint="name one of them")
        found[architecture] = path
    return found


def _list_images(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The archives of directories, by name. They come to lie in one directory. Raises UserError."""
    found: dict[str, Path] = {}
    for path in paths:
        try:
            files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
        except OSError as error:
            raise _unreadable(path, error) from None
        good = [one for one in files if one.name.endswith(ARCHIVES)]
        if not good:
            hint = f"archives of images end in {', '.join(ARCHIVES)}"
            raise UserError.one("no archive of images", where=str(path), hint=hint)
        for one in good:
            if found.setdefault(one.name, one) != one:
                what = f"another archive has this name, too: {found[one.name]}"
                raise UserError.one(what, where=str(one), hint="name one of them, or rename it")
            with _reading(one) as file:
                if not file.read(1):
                    raise UserError.one("is empty", where=str(one), hint="is the download complete?")
    return tuple(found.values())
