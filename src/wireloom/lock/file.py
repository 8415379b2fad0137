"""``fleet.lock`` on disk: JSON in a stable order, one node per line, written atomically."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Set
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar

from wireloom.disk import put_file
from wireloom.errors import Diagnostic, UserError
from wireloom.intent.finding import show
from wireloom.lock.footing import Footing
from wireloom.lock.lock import Lock, LockedNode, find_overlap
from wireloom.values import Address, NodeName, Prefix, PublicKey

A = TypeVar("A", bound=Address)
VERSION = 1
CONFLICT_MARKERS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
HEAD_KEYS = {"version", "fleet", "generation", "network", "nodes"}
LATER_KEYS = {"footing", "releases"}
FOOTING_KEYS = {"dialled", "heard", "ranges", "shared"}
NODE_KEYS = {"ipv4", "ipv6", "public_key", "ssh_host_key", "released", "former", "pods"}


def lock_path(fleet_path: Path) -> Path:
    """``X.yaml`` → ``X.lock`` beside it."""
    return fleet_path.with_suffix(".lock")


def read_lock(path: Path, fleet: str) -> Lock:
    """The lock at ``path``, or an empty one where there is no file. Raises UserError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Lock(fleet)
    except OSError as error:
        raise UserError.one(
            f"can't be read: {(error.strerror or str(error)).lower()}", where=str(path)
        ) from None
    except UnicodeDecodeError:
        raise UserError.one(
            "not a lock of wireloom: it is not UTF-8", where=str(path), hint=_RESTORE
        ) from None
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
    except ValueError as error:
        raise UserError.one(f"not a lock of wireloom: {error}", where=str(path), hint=_RESTORE) from None
    check_lock(lock, path)
    return lock


def check_lock(lock: Lock, path: Path) -> None:
    """Raise UserError where two nodes have one address, one key or one pod range."""
    clashes = _clashes(lock, path)
    if clashes:
        raise UserError(clashes)


_RESTORE = (
    "restore it from version control: it holds the addresses that are in use. Where it is lost, move it away"
    " and run `wireloom recover`"
)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{show(twice[0])} stands there twice (a merge that kept both sides?)")
    return dict(pairs)


def _lock_from(data: Any) -> Lock:
    version = data.get("version") if isinstance(data, dict) else None
    if type(version) is not int or version != VERSION:
        raise ValueError(f"its version is {show(str(version))}, this wireloom reads {VERSION}")
    _refuse_unknown(data, HEAD_KEYS | LATER_KEYS)
    missing = sorted(HEAD_KEYS - set(data))
    if missing:
        raise ValueError(f"`{missing[0]}` is missing")
    if not isinstance(data["nodes"], dict):
        raise ValueError("`nodes` is a mapping")
    return Lock(
        fleet=_words(data, "fleet") or "",
        generation=_count(data, "generation") or 0,
        network=_words(data, "network") or "",
        nodes={NodeName(name): _node_from(name, node) for name, node in data["nodes"].items()},
        footing=_footing_from(data["footing"]) if "footing" in data else None,
        releases=_releases_from(data.get("releases", {})),
    )


def _footing_from(data: Any) -> Footing:
    if not isinstance(data, dict) or set(data) != FOOTING_KEYS:
        raise ValueError(f"`footing` has {', '.join(sorted(FOOTING_KEYS))}")
    if not all(isinstance(one, list) for one in data.values()):
        raise ValueError("each part of `footing` is a list")
    for port in (*data["dialled"], *data["heard"]):
        if type(port) is not int or not 0 < port < 65536:
            raise ValueError(f"{show(str(port))} is no port")
    return Footing(
        dialled=tuple(data["dialled"]),
        heard=tuple(data["heard"]),
        ranges=tuple(map(_prefix, data["ranges"])),
        shared=tuple(map(_prefix, data["shared"])),
    )


def _releases_from(data: Any) -> dict[str, str]:
    if not isinstance(data, dict):
        raise ValueError("`releases` is a mapping")
    for name, digest in data.items():
        if not (isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) and name.isprintable()):
            raise ValueError(f"{show(name)} has no SHA-256 in `releases`")
    return data


def _prefix(word: object) -> Prefix:
    if not isinstance(word, str) or "%" in word:
        raise ValueError(f"{show(str(word))} is no range")
    return ip_network(word)


def _node_from(name: str, data: object) -> LockedNode:
    try:
        if not name.isprintable():
            raise ValueError("no node has such a name")
        if not isinstance(data, dict):
            raise ValueError("a mapping is expected")
        _refuse_unknown(data, NODE_KEYS)
        key = _words(data, "public_key")
        return LockedNode(
            ipv4=_address(data, "ipv4", IPv4Address),
            ipv6=_address(data, "ipv6", IPv6Address),
            public_key=None if key is None else PublicKey(key),
            ssh_host_key=_words(data, "ssh_host_key"),
            released=_count(data, "released"),
            former=_addresses(data, "former"),
            pods=tuple(map(_prefix, _list(data, "pods"))),
        )
    except ValueError as error:
        raise ValueError(f"{show(name)}: {error}") from None


def _refuse_unknown(data: Mapping[str, Any], known: Set[str]) -> None:
    unknown = sorted(set(data) - known)
    if unknown:
        raise ValueError(f"{show(unknown[0])} is not known to this wireloom")


def _words(data: Mapping[str, Any], key: str) -> str | None:
    """A string of one line, or None where the key is missing."""
    value = data.get(key)
    if key in data and not (isinstance(value, str) and value.isprintable()):
        raise ValueError(f"`{key}` is a text of one line, not {show(str(value))}")
    return value


def _count(data: Mapping[str, Any], key: str) -> int | None:
    """A number from 0, or None where the key is missing."""
    value = data.get(key)
    if key in data and (type(value) is not int or value < 0):
        raise ValueError(f"`{key}` is a number from 0, not {show(str(value))}")
    return value


def _address(data: Mapping[str, Any], key: str, kind: Callable[[str], A]) -> A | None:
    """An address, or None where the key is missing.

    ``ipaddress`` takes whatever follows a ``%`` for a zone: it would end up in files that root runs.
    """
    value = _words(data, key)
    if value is not None and "%" in value:
        raise ValueError(f"{show(value)} is bound to an interface")
    return None if value is None else kind(value)


def _addresses(data: Mapping[str, Any], key: str) -> tuple[Address, ...]:
    """Addresses of either family; none where the key is missing."""
    found = (_address({key: word}, key, ip_address) for word in _list(data, key))
    return tuple(one for one in found if one is not None)


def _list(data: Mapping[str, Any], key: str) -> list[object]:
    """A list; empty where the key is missing."""
    words = data.get(key, [])
    if not isinstance(words, list):
        raise ValueError(f"`{key}` is a list")
    return words


def _clashes(lock: Lock, path: Path) -> list[Diagnostic]:
    """Two nodes with one address or one key: what a merge of two branches can leave behind."""
    holders: dict[str, list[str]] = {}
    for name, node in lock.nodes.items():
        key = [str(node.public_key)] if node.public_key and node.released is None else []
        for value in [*map(str, node.addresses), *key]:
            holders.setdefault(value, []).append(name)
    overlap = find_overlap(lock.nodes)
    if overlap is not None:
        holders[f"the pod range {overlap.prefix}"] = [overlap.one, overlap.other]
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
        **({"footing": _footing_to(lock.footing)} if lock.footing else {}),
        **({"releases": dict(sorted(lock.releases.items()))} if lock.releases else {}),
    }
    values = [f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items()]
    return "".join(["{\n", *values, f'  "nodes": {nodes}\n}}\n'])


def _footing_to(footing: Footing) -> dict[str, object]:
    return {
        "dialled": sorted(footing.dialled),
        "heard": sorted(footing.heard),
        "ranges": list(map(str, footing.ranges)),
        "shared": list(map(str, footing.shared)),
    }


def _node_to(node: LockedNode) -> dict[str, object]:
    values = {
        "ipv4": node.ipv4,
        "ipv6": node.ipv6,
        "public_key": node.public_key,
        "ssh_host_key": node.ssh_host_key,
        "released": node.released,
    }
    known = {
        key: value if isinstance(value, int) else str(value)
        for key, value in values.items()
        if value is not None
    }
    lists = {"former": node.former, "pods": node.pods}
    return known | {key: list(map(str, values)) for key, values in lists.items() if values}


def write_lock(path: Path, lock: Lock) -> bool:
    """Write the lock whole or not at all; False (and nothing touched) where it stands so already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        # Durable: after a power cut machines may be at the new generation already.
        return put_file(path, print_lock(lock).encode(), mode=mode, durable=True)
    except OSError as error:
        raise UserError.one(f"can't be written: {error.strerror}", where=str(path)) from None
