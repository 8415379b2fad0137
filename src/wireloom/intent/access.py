"""How the operator reaches a machine over SSH, as the file says it: ``[user@]host[:port]`` or a mapping."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from wireloom.intent.document import MappingNode, ScalarNode, YamlNode, describe
from wireloom.intent.fields import Field, JsonSchema, Record, Scalar, Values
from wireloom.intent.finding import Finding, Position, Refused, show
from wireloom.intent.scalars import flag, number, word
from wireloom.values import SshTarget

T = TypeVar("T")

# What getaddrinfo would read as an IPv4 address in a spelling of old: 1.2.3, 2130706433, 0x7f.1.
_NUMERIC_HOST = re.compile(r"(0[xX][0-9A-Fa-f]*|[0-9]+)(\.(0[xX][0-9A-Fa-f]*|[0-9]+)){0,3}\.?")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\.?")
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(.*))?", re.DOTALL)


def parse_host(text: str) -> str:
    """A host name, an alias of ssh's configuration, or an address. Raises Refused.

    Nothing gets through that ssh, a shell or a resolver could take for something else.
    """
    if ":" in text or _NUMERIC_HOST.fullmatch(text):
        try:
            return str(IPv6Address(text) if ":" in text and "%" not in text else IPv4Address(text))
        except ValueError:
            raise Refused(f"{show(text)} is not a host", "neither a name nor a whole IP address") from None
    if not _NAME.fullmatch(text) or len(text) > 253:
        allowed = (
            "letters, digits, `.`, `_` and `-`, at most 253 of them, no hyphen first, no two dots together;"
            " or an IP address"
        )
        raise Refused(f"{show(text)} is not a host", allowed)
    return text


def fold_host(host: str) -> str:
    """One spelling for all that lead to the same machine: in lower case, no dot at the end, IPv4 as such."""
    if ":" in host:
        mapped = IPv6Address(host).ipv4_mapped
        return str(mapped) if mapped else host
    return host.lower().removesuffix(".")


def parse_identity(text: str) -> str:
    """The path of a private key on the operator's machine. Raises Refused."""
    if not text or not text.isprintable() or text.startswith("-"):
        raise Refused(f"{show(text)} is not a path", "the file of a private key, like ~/.ssh/id_ed25519")
    return text


_HOST_SHAPE: JsonSchema = {"type": "string", "pattern": "^[A-Za-z0-9_:][A-Za-z0-9._:-]*$", "maxLength": 253}

HOST: Field[str] = Field(
    "host",
    Scalar("a host", parse_host, _HOST_SHAPE),
    "The host name, the address, or an alias of ssh's own configuration.",
    required=True,
)
PORT: Field[int] = Field(
    "port", number("a port", 1, 65535), "The SSH port; left out, ssh's own configuration decides."
)
USER: Field[str] = Field(
    "user",
    word("a user", "[A-Za-z0-9._][A-Za-z0-9._-]*", 64, "letters, digits, `.`, `_` and `-`, no hyphen first"),
    "The user to log in as; left out, ssh's own configuration decides.",
)
JUMP: Field[str] = Field(
    "jump",
    Scalar("a node or a host", parse_host, _HOST_SHAPE),
    "The machine to go through: a node's name, or a host. `null`: none, whatever the default is.",
)
SUDO: Field[bool] = Field("sudo", flag(), "Whether the user becomes root by sudo.")
IDENTITY: Field[str] = Field(
    "identity",
    Scalar("a path", parse_identity, {"type": "string", "minLength": 1}),
    "The private key to log in with, a path on this machine; left out, ssh's own configuration decides.",
)

DEFAULTS = Record("`ssh`", USER, PORT, JUMP, SUDO, IDENTITY)
TARGET = Record("`ssh`", HOST, USER, PORT, JUMP, SUDO, IDENTITY)


@dataclass(frozen=True, slots=True)
class Access:
    """The kind of a node's ``ssh``: a text or a mapping, both read into the same fields."""

    wanted: str = "[user@]host[:port] or a mapping"

    def parse(self, node: YamlNode, findings: list[Finding]) -> Values | None:
        """The fields given."""
        if isinstance(node, MappingNode):
            return TARGET.parse(node, findings)
        if not isinstance(node, ScalarNode) or node.null:
            findings.append(Finding(node.at, f"expected {self.wanted}, got {describe(node)}"))
            return None
        try:
            parts = split_target(node.text)
        except Refused as refused:
            findings.append(Finding(node.at, refused.what, refused.hint))
            return None
        # Read by the same table as the mapping: what is refused there is refused here.
        # The parts are as if in quotes (a host `null` is a host), but for the port: a number has none.
        entries = tuple(
            (ScalarNode(node.at, key), ScalarNode(node.at, text, quoted=key != PORT.key))
            for key, text in parts.items()
        )
        return TARGET.parse(MappingNode(node.at, entries), findings)

    def schema(self) -> JsonSchema:
        """A string or an object."""
        text = "^([A-Za-z0-9._][A-Za-z0-9._-]*@)?[A-Za-z0-9_:\\[][A-Za-z0-9._:-]*(\\](:[0-9]+)?)?$"
        return {"anyOf": [{"type": "string", "pattern": text}, TARGET.schema()]}


def split_target(text: str) -> dict[str, str]:
    """The parts of ``[user@]host[:port]`` by the key each belongs to. Raises Refused.

    An IPv6 address stands alone or, with a port, in brackets.
    """
    if "://" in text:
        raise Refused(f"{show(text)} is a URL", "write [user@]host[:port], without `ssh://`")
    user, at, rest = text.rpartition("@")
    parts = {"user": user} if at else {}
    if rest.startswith("["):
        match = _BRACKETED.fullmatch(rest)
        if match is None:
            raise Refused(f"{show(text)} has a bracket that does not close", "write [2001:db8::10]:22")
        host, port = match.groups()
        if ":" not in host:
            raise Refused(f"{show(text)} has no IPv6 address in its brackets", "write [2001:db8::10]:22")
    elif rest.count(":") == 1:
        host, port = rest.split(":")
    else:
        host, port = rest, None
    parts["host"] = host
    if port is not None:
        parts["port"] = port
    empty = [part for part, value in parts.items() if not value or value.isspace()]
    if empty:
        raise Refused(f"{show(text)} has no {empty[0]}", "write [user@]host[:port]")
    return parts


def resolve_target(own: Values, defaults: Values | None, name: str) -> SshTarget | None:
    """A node's SSH target, with the fleet's defaults where the node says nothing; None without a host.

    The default jump is not for the node that it names: the others go through that one.
    """
    host = own.get(HOST)
    if host is None:
        return None
    fallback = defaults if defaults is not None else Values(own.at)

    def get(key: Field[T]) -> T | None:
        return (own if own.gave(key) else fallback).get(key)

    jump = get(JUMP)
    if jump == name and not own.gave(JUMP):
        jump = None
    return SshTarget(
        host=host,
        port=get(PORT),
        user=get(USER),
        jump=jump,
        sudo=get(SUDO) or False,
        identity=get(IDENTITY),
    )


def jump_place(own: Values, defaults: Values | None) -> Position:
    """Where the jump that a node uses is written."""
    source = own if own.gave(JUMP) or defaults is None else defaults
    return source.place(JUMP)
