"""Plain wg-quick files in a directory: for who deploys them another way."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wireloom.disk import put_file
from wireloom.errors import UserError
from wireloom.network.network import Member, Network
from wireloom.render.wg_quick import render_files
from wireloom.secret import PrivateKey
from wireloom.values import NodeName, PublicKey


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and whose key is missing: from the file itself, or from everybody's peers."""

    files: tuple[Path, ...]
    without_private_key: tuple[NodeName, ...]
    without_public_key: tuple[NodeName, ...]


def gather_keys(
    directory: Path, known: Mapping[NodeName, PublicKey | None]
) -> tuple[dict[NodeName, PrivateKey], list[NodeName]]:
    """Read ``NAME.key`` of each node, and make it where nobody knows a key of the node yet.

    ``known`` are the public keys of the lock: a node that has one there keeps its private key where it
    is. Gives the private keys that are here, and the names of those that were made. Raises UserError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError.one(f"can't be made: {error.strerror}", where=str(directory)) from None
    keys: dict[NodeName, PrivateKey] = {}
    made: list[NodeName] = []
    for name, public_key in known.items():
        path = directory / f"{name}.key"
        if path.exists():
            keys[name] = _read_key(path, public_key)
        elif public_key is None:
            keys[name] = PrivateKey.make()
            _write_key(path, keys[name])
            made.append(name)
    return keys, made


def _read_key(path: Path, public_key: PublicKey | None) -> PrivateKey:
    try:
        key = PrivateKey.read(path)
    except OSError as error:
        raise UserError.one(f"can't be read: {error.strerror}", where=str(path)) from None
    except ValueError as error:
        raise UserError.one(
            str(error), where=str(path), hint="restore it, or remove it for a new one"
        ) from None
    if public_key is not None and key.public_key != public_key:
        raise UserError.one(
            f"its public key is {key.public_key}, the lock has {public_key}",
            where=str(path),
            hint="one of them is old: remove the key file, or `public_key` in the lock",
        )
    return key


def _write_key(path: Path, key: PrivateKey) -> None:
    try:
        key.write(path)
    except OSError as error:
        raise UserError.one(f"can't be written: {error.strerror}", where=str(path)) from None


def export(network: Network, directory: Path, keys: Mapping[NodeName, PrivateKey]) -> Exported:
    """Write ``NAME.conf`` for every node: complete with a key of ``keys``, or with a line on how to add it.

    Complete files have mode 0600, the others 0644. Raises UserError.
    """
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, head, body in render_files(network):
            path = directory / f"{name}.conf"
            key_line = _key_line(network.members[name], keys.get(name))
            put_file(path, "".join([head, key_line, *body]).encode(), mode=0o600 if name in keys else 0o644)
            written.append(path)
    except OSError as error:
        where = str(error.filename or directory)
        raise UserError.one(f"can't be written: {error.strerror}", where=where) from None
    members = network.members.values()
    return Exported(
        files=tuple(written),
        without_private_key=tuple(member.name for member in members if member.name not in keys),
        without_public_key=tuple(member.name for member in members if member.public_key is None),
    )


def _key_line(member: Member, key: PrivateKey | None) -> str:
    if key is not None:
        return f"PrivateKey = {key.reveal()}\n"
    whose = f"the one of {member.public_key}" if member.public_key else "of `wg genkey`"
    return (
        f"# The private key is missing, {whose}. On the machine, make this file's mode 0600,\n"
        "# then put it in place of these two lines: PrivateKey = …\n"
    )
