"""``fleet.lock`` on disk: JSON in a stable order, one node per line, written atomically."""

import json
import os
import tempfile
from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from wireloom.errors import Diagnostic, UserError
from wireloom.lock.lock import Lock, LockedNode
from wireloom.values import NodeName, PublicKey

VERSION = 1
CONFLICT_MARKERS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
NODE_KEYS = {"ipv4", "ipv6", "public_key", "ssh_host_key", "released"}


def lock_path(fleet_path: Path) -> Path:
    """``X.yaml`` → ``X.lock`` beside it."""
    return fleet_path.with_suffix(".lock")


def read_lock(path: Path, fleet: str) -> Lock:
    """The lock at ``path``, or an empty one where there is no file. Raises UserError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Lock(fleet)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError.one(f"can't be read: {error}", where=str(path)) from None
    lock = parse_lock(text, path)
    if lock.fleet != fleet:
        raise UserError.one(
            f"this lock belongs to the fleet `{lock.fleet}`, not to `{fleet}`",
            where=str(path),
            hint="a renamed fleet keeps its machines if the name in the lock is changed too",
        )
    return lock


def parse_lock(text: str, path: Path) -> Lock:
    """The text of a lock → Lock. Raises UserError with every mistake, bad merges among them."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(CONFLICT_MARKERS):
            raise UserError.one(
                "an unresolved merge conflict",
                where=f"{path}:{number}:1",
                hint="keep the line of each node from the side that applied last, then plan",
            )
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise UserError.one(f"not valid JSON: {error.msg}", where=where, hint=_RESTORE) from None
    except (ValueError, RecursionError) as error:
        raise UserError.one(str(error), where=str(path), hint=_RESTORE) from None
    try:
        lock = _lock_from(data)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError.one(f"not a lock of wireloom: {error}", where=str(path), hint=_RESTORE) from None
    clashes = list(_clashes(lock, path))
    if clashes:
        raise UserError(clashes)
    return lock


_RESTORE = "restore it from version control: it holds the addresses that are in use"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"`{twice[0]}` stands there twice (a merge that kept both sides?)")
    return dict(pairs)


def _lock_from(data: Any) -> Lock:
    if not isinstance(data, dict) or data.get("version") != VERSION:
        version = data.get("version") if isinstance(data, dict) else None
        raise ValueError(f"its version is {version!r}, this wireloom reads {VERSION}")
    generation = data["generation"]
    if not isinstance(generation, int) or isinstance(generation, bool) or generation < 0:
        raise ValueError("`generation` is a number from 0")
    nodes = {NodeName(name): _node_from(name, node) for name, node in data["nodes"].items()}
    return Lock(str(data["fleet"]), generation, str(data["network"]), nodes)


def _node_from(name: str, data: dict[str, Any]) -> LockedNode:
    unknown = sorted(set(data) - NODE_KEYS)
    if unknown:
        raise ValueError(f"`{unknown[0]}` of `{name}` is not known to this wireloom")
    host_key, released = data.get("ssh_host_key"), data.get("released")
    if not isinstance(host_key, str | None) or not isinstance(released, int | None):
        raise ValueError(f"`{name}`: a value has the wrong type")
    try:
        return LockedNode(
            ipv4=IPv4Address(data["ipv4"]) if "ipv4" in data else None,
            ipv6=IPv6Address(data["ipv6"]) if "ipv6" in data else None,
            public_key=PublicKey(data["public_key"]) if "public_key" in data else None,
            ssh_host_key=host_key,
            released=released,
        )
    except ValueError as error:
        raise ValueError(f"`{name}`: {error}") from None


def _clashes(lock: Lock, path: Path) -> list[Diagnostic]:
    """Two nodes with one address or one key: what a merge of two branches can leave behind."""
    holders: dict[str, list[str]] = {}
    for name, node in lock.nodes.items():
        key = [str(node.public_key)] if node.public_key and node.released is None else []
        for value in [*map(str, node.addresses), *key]:
            holders.setdefault(value, []).append(name)
    return [
        Diagnostic(
            f"{value} is given to {' and '.join(f'`{name}`' for name in names)}",
            where=str(path),
            hint="delete the line of the node that was not applied yet: it gets another address",
        )
        for value, names in holders.items()
        if len(names) > 1
    ]


def print_lock(lock: Lock) -> str:
    """Lock → text: nodes sorted by name, one a line, so that a diff or a merge is about nodes."""
    lines = [
        f"    {json.dumps(name)}: {json.dumps(_node_to(lock.nodes[name]))}" for name in sorted(lock.nodes)
    ]
    nodes = "{\n" + ",\n".join(lines) + "\n  }" if lines else "{}"
    head = {
        "version": VERSION,
        "fleet": lock.fleet,
        "generation": lock.generation,
        "network": lock.network,
    }
    values = [f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items()]
    return "".join(["{\n", *values, f'  "nodes": {nodes}\n}}\n'])


def _node_to(node: LockedNode) -> dict[str, object]:
    values = {
        "ipv4": node.ipv4,
        "ipv6": node.ipv6,
        "public_key": node.public_key,
        "ssh_host_key": node.ssh_host_key,
        "released": node.released,
    }
    return {
        key: value if isinstance(value, int) else str(value)
        for key, value in values.items()
        if value is not None
    }


def write_lock(path: Path, lock: Lock) -> bool:
    """Write the lock whole or not at all; False (and nothing touched) where it stands so already."""
    text = print_lock(lock)
    try:
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, text)
    except OSError as error:
        raise UserError.one(f"can't be written: {error.strerror}", where=str(path)) from None
    return True


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
