"""What k3s gives its administrator, and the kubeconfig file that it is put in.

The file's format: kubernetes.io/docs/reference/config-api/kubeconfig.v1. It is taken for nodes of YAML, never
for values: what is not ours comes out as it went in, whatever YAML thinks that it means. Comments don't, as
with ``kubectl config``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from wireloom.errors import UserError
from wireloom.secret import Secret

MARK = "wireloom"
"""The name of the extension by which an entry is known as ours; kubectl passes over it."""

_LISTS = ("clusters", "contexts", "users")
_KEPT = ("proxy-url", "namespace")
"""What a user may have added to our entries, and keeps."""

_TEXT, _LIST, _MAP = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


class ClientKey(Secret):
    """The private key of an administrator of the cluster, as kubeconfig has it: PEM in base64."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        self._raw = text.encode()

    def reveal(self) -> str:
        """The base64 text, for the file that it belongs in and nowhere else."""
        return self._raw.decode()


@dataclass(frozen=True, slots=True)
class Access:
    """An administrator's way into a cluster. ``authority`` and ``certificate`` are PEM in base64."""

    authority: str
    certificate: str
    key: ClientKey


@dataclass(frozen=True, slots=True)
class Entry:
    """What a kubeconfig gets: a cluster, a user and a context, all of this name; ``server`` is a URL."""

    name: str
    server: str
    access: Access


@dataclass(frozen=True, slots=True)
class Merged:
    """A kubeconfig with an entry in it. ``current``: its context is the one that kubectl uses."""

    text: str
    current: bool

    def __repr__(self) -> str:
        """Masked: it holds keys."""
        return "Merged(…)"


def read_access(text: str) -> Access:
    """The access in what k3s wrote (its k3s.yaml). Raises ValueError, which repeats nothing of it."""
    root = _compose(text)
    cluster = _value(_first(root, "clusters"), "cluster")
    user = _value(_first(root, "users"), "user")
    return Access(
        authority=_scalar(cluster, "certificate-authority-data"),
        certificate=_scalar(user, "client-certificate-data"),
        key=ClientKey(_scalar(user, "client-key-data")),
    )


def merge(text: str, entry: Entry, *, where: str, use: bool = False, force: bool = False) -> Merged:
    """A kubeconfig (empty: a new one) with the entry in it; everything else as it was.

    An entry of that name is replaced if it is of the same fleet: marked so, or of the same cluster. Any other
    is a UserError, unless ``force``. ``use``: its context becomes the current one, as it does where there is
    none. Raises UserError also for what is no kubeconfig; ``where`` names it.
    """
    try:
        root = _compose(text)
        lists = [_list(root, name) for name in _LISTS]
        present = [_named(one, entry.name) for one in lists]
        same = _same_cluster(present[0], entry)
    except ValueError as error:
        hint = "it is left as it was: mend it, or name another file with -o"
        raise UserError.one(f"is not a kubeconfig: {error}", where=where, hint=hint) from None
    foreign = [kind[:-1] for kind, one in zip(_LISTS, present, strict=True) if one and not _ours(one, entry)]
    if foreign and not (force or same):
        hint = "--force replaces it; or name another file with -o"
        raise UserError.one(f"has another {foreign[0]} named `{entry.name}`", where=where, hint=hint)
    for entries, old, new in zip(lists, present, _made(entry), strict=True):
        _put(entries, old, new)
    before = _value(root, "current-context")
    current = use or not (isinstance(before, ScalarNode) and before.value)
    if current:
        _set(root, "current-context", _text(entry.name))
    return Merged(
        yaml.serialize(root, Dumper=yaml.SafeDumper, width=_ENDLESS, allow_unicode=True),
        current or (isinstance(before, ScalarNode) and before.value == entry.name),
    )


_ENDLESS = 1 << 30
"""No line is folded: a key is one word, and people look at diffs."""


def _made(entry: Entry) -> Iterator[MappingNode]:
    """The cluster, the context and the user, each with our mark."""
    access = entry.access
    cluster = {"certificate-authority-data": _text(access.authority), "server": _text(entry.server)}
    user = {
        "client-certificate-data": _text(access.certificate),
        "client-key-data": _text(access.key.reveal()),
    }
    context = {"cluster": _text(entry.name), "user": _text(entry.name)}
    for kind, fields in (("cluster", cluster), ("context", context), ("user", user)):
        mark = _map(name=_text(MARK), extension=_map(fleet=_text(entry.name)))
        yield _map(name=_text(entry.name), **{kind: _map(**fields, extensions=_list_of(mark))})


def _put(entries: SequenceNode, old: MappingNode | None, new: MappingNode) -> None:
    """The new one in the place of the old, or at the end; what the user added to ours stays."""
    if old is None:
        entries.value.append(new)
        return
    _, (kind, fields) = new.value
    added = _value(old, kind.value)
    if isinstance(added, MappingNode):
        fields.value += [pair for pair in added.value if pair[0].value in _KEPT]
    entries.value[entries.value.index(old)] = new


def _ours(one: MappingNode, entry: Entry) -> bool:
    """Whether an entry has our mark, with this fleet's name."""
    for _, content in one.value:
        extensions = _value(content, "extensions")
        for mark in extensions.value if isinstance(extensions, SequenceNode) else ():
            fleet = _value(_value(mark, "extension"), "fleet")
            name = _value(mark, "name")
            if isinstance(name, ScalarNode) and name.value == MARK and isinstance(fleet, ScalarNode):
                return bool(fleet.value == entry.name)
    return False


def _same_cluster(cluster: MappingNode | None, entry: Entry) -> bool:
    """Whether it trusts the same authority: k3s makes one of its own for each cluster."""
    authority = _value(_value(cluster, "cluster"), "certificate-authority-data")
    return isinstance(authority, ScalarNode) and authority.value == entry.access.authority


# Nodes of YAML


def _compose(text: str) -> MappingNode:
    """The whole file; a new one for an empty text. Raises ValueError for what is not a kubeconfig."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"it is not YAML{line}") from None  # no more: the line may be a key's
    except yaml.YAMLError:
        raise ValueError("it is not YAML") from None
    if root is None:
        return _map(apiVersion=_text("v1"), kind=_text("Config"))
    if not isinstance(root, MappingNode):
        raise ValueError("it is no mapping")
    kind = _value(root, "kind")
    if kind is not None and kind.value != "Config":
        raise ValueError("its `kind` is not `Config`")
    return root


def _list(root: MappingNode, name: str) -> SequenceNode:
    """One of the lists of entries, made where there is none. Raises ValueError for something else."""
    found = _value(root, name)
    if found is None or (isinstance(found, ScalarNode) and found.value in {"", "null", "~"}):
        found = _list_of()
        _set(root, name, found)
    if not isinstance(found, SequenceNode):
        raise ValueError(f"its `{name}` is no list")
    for one in found.value:
        if not isinstance(_value(one, "name"), ScalarNode):
            raise ValueError(f"its `{name}` has an entry without a `name`")
    return found


def _named(entries: SequenceNode, name: str) -> MappingNode | None:
    found = [one for one in entries.value if _scalar(one, "name") == name]
    if len(found) > 1:
        raise ValueError(f"it has `{name}` twice")
    return found[0] if found else None


def _first(root: MappingNode, name: str) -> Node:
    entries = _list(root, name).value
    if not entries:
        raise ValueError(f"its `{name}` is empty")
    first: Node = entries[0]
    return first


def _scalar(node: Node | None, key: str) -> str:
    """A text that has to be there, and not be empty. Raises ValueError."""
    found = _value(node, key)
    if not (isinstance(found, ScalarNode) and found.value):
        raise ValueError(f"it has no `{key}`")
    return str(found.value)


def _value(node: Node | None, key: str) -> Node | None:
    if not isinstance(node, MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _set(node: MappingNode, key: str, value: Node) -> None:
    node.value = [pair for pair in node.value if pair[0].value != key] + [(_text(key), value)]


def _text(value: str) -> ScalarNode:
    return ScalarNode(_TEXT, value)


def _list_of(*nodes: Node) -> SequenceNode:
    return SequenceNode(_LIST, list(nodes), flow_style=False)


def _map(**fields: Node) -> MappingNode:
    return MappingNode(_MAP, [(_text(key), value) for key, value in fields.items()], flow_style=False)
