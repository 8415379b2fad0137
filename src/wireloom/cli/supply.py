"""Where k3s comes from: files that are here, or its releases, known by their digests."""

import functools
import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
from wireloom.cluster.release import Release
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
            raise UserError.one(f"can't be read: {error.strerror}", where=str(path)) from None

    def read(self, start: int, length: int) -> bytes:
        """A piece of it. Raises UserError."""
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(length)
        except OSError as error:
            hint = "apply again when it is there: what was sent is not lost"
            raise UserError.one(f"can't be read: {error.strerror}", where=str(self.path), hint=hint) from None


@dataclass(frozen=True, slots=True)
class Supply:
    """What the user has here: binaries, one for each architecture; images, as files or directories of them.

    ``ready_within``: seconds that a machine may take until it is ready. ``database``: the file that holds the
    URL of one.
    """

    binaries: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    ready_within: int = 300
    database: Path | None = None

    @classmethod
    def of(
        cls,
        *,
        k3s_binary: tuple[Path, ...],
        k3s_images: tuple[Path, ...],
        ready_within: int,
        datastore_endpoint: Path | None,
    ) -> "Supply":
        """From the options that ``with_supply`` gives a verb."""
        return cls(k3s_binary, k3s_images, ready_within, datastore_endpoint)


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
    here = _read_binaries(supply.binaries)
    away = sorted(set(missing.values()) - set(here))
    version = cluster.version or ""
    releases = {one: Release(version, one, cluster.mirror) for one in away}
    unknown = [one for one in releases.values() if one.name not in lock.releases]
    if unknown:
        from wireloom.cli.checksums import fetch_digest  # what it imports takes its time, and few need it

        lock = lock.with_releases({one.name: fetch_digest(one) for one in unknown})
    programs = {
        one: Delivery(BINARY, 0o755, file.digest, payload=file, version=version) for one, file in here.items()
    }
    programs |= {
        one: Delivery(BINARY, 0o755, lock.releases[release.name], url=release.url, version=version)
        for one, release in releases.items()
    }
    binaries = {name: programs[one] for name, one in missing.items()}
    images = [
        Delivery(f"{IMAGES}/{one.path.name}", 0o600, one.digest, payload=one)
        for one in map(FilePayload.of, _list_images(supply.images))
    ]
    database = _read_database(supply.database) if any(one.database for one in plan.nodes) else None
    return Goods(binaries, images if any(one.changes for one in plan.nodes) else (), database), lock


def _read_database(path: Path | None) -> DatastoreEndpoint:
    """Where the database is, from a file or the environment. Raises UserError, which does not repeat it."""
    if path is not None:
        where = str(path)
        try:
            text = path.read_text(encoding="ascii", errors="replace").strip()
        except OSError as error:
            raise UserError.one(f"can't be read: {error.strerror}", where=where) from None
    else:
        where, text = DATABASE_VARIABLE, os.environ.get(DATABASE_VARIABLE, "")
    if not text:
        hint = (
            f"--datastore-endpoint FILE, or {DATABASE_VARIABLE}, has the URL: it is in no file of the fleet"
        )
        raise UserError.one("servers have to be told where the database is", hint=hint)
    try:
        return DatastoreEndpoint(text)
    except ValueError as error:
        raise UserError.one(str(error), where=where) from None


def _architecture(seen: ClusterSeen, name: NodeName) -> str:
    state = seen.machine(name)
    return state.architecture if state else ""


def _read_binaries(paths: Iterable[Path]) -> dict[str, FilePayload]:
    """Each binary by the architecture that it is for (as `uname -m` names it)."""
    found: dict[str, FilePayload] = {}
    for path in paths:
        try:
            with path.open("rb") as file:
                architecture = elf_architecture(file.read(64))
        except OSError as error:
            raise UserError.one(f"can't be read: {error.strerror}", where=str(path)) from None
        if architecture is None:
            what = "not a Linux program for an architecture that k3s has"
            hint = "the file `k3s` of a release, or `k3s-arm64`; not the installer, nor an archive"
            raise UserError.one(what, where=str(path), hint=hint)
        if architecture in found:
            raise UserError.one(f"two binaries for {architecture}", where=str(path), hint="name one of them")
        found[architecture] = FilePayload.of(path)
    return found


def _list_images(paths: Iterable[Path]) -> list[Path]:
    """The archives of directories, by name. They come to lie in one directory."""
    found: dict[str, Path] = {}
    for path in paths:
        files = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
        good = [one for one in files if one.name.endswith(ARCHIVES)]
        if not good:
            hint = f"archives of images end in {', '.join(ARCHIVES)}"
            raise UserError.one("no archive of images", where=str(path), hint=hint)
        for one in good:
            if found.setdefault(one.name, one) != one:
                what = f"another archive has this name, too: {found[one.name]}"
                raise UserError.one(what, where=str(one), hint="name one of them, or rename it")
    return list(found.values())
