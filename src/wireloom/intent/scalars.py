"""What a single text of the file may stand for: names, numbers, addresses, ranges, keys."""

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeVar

from wireloom.intent.fields import Scalar
from wireloom.intent.finding import Refused, show, suggest
from wireloom.values import Address, Prefix, PublicKey

T = TypeVar("T")
Word = TypeVar("Word")

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,8})")
_PREFIX_LENGTH = re.compile(r"[0-9]{1,3}")
_LEADING_ZERO = re.compile(r"0[0-9]")
_DOTTED = re.compile(r"[0-9]+(\.[0-9]+){3}")
_MAPPED = IPv6Network("::ffff:0:0/96")

# Where no machine of a network lives, or where each machine means itself.
# RFC 1122 3.2.1.3, RFC 3927, RFC 5771, RFC 919; RFC 4291 2.5 and 2.7.
_SPECIAL: dict[int, tuple[tuple[Prefix, str], ...]] = {
    4: (
        (IPv4Network("0.0.0.0/8"), "unspecified"),
        (IPv4Network("127.0.0.0/8"), "loopback"),
        (IPv4Network("169.254.0.0/16"), "link-local"),
        (IPv4Network("224.0.0.0/4"), "multicast"),
        (IPv4Network("255.255.255.255/32"), "broadcast"),
    ),
    6: (
        (IPv6Network("::/128"), "unspecified"),
        (IPv6Network("::1/128"), "loopback"),
        (IPv6Network("fe80::/10"), "link-local"),
        (IPv6Network("ff00::/8"), "multicast"),
        (_MAPPED, "IPv4-mapped IPv6"),
    ),
}


def word(wanted: str, pattern: str, longest: int, allowed: str) -> Scalar[str]:
    """A text of a fixed alphabet; ``allowed`` says in words what ``pattern`` takes."""
    matcher = re.compile(pattern)

    def read(text: str) -> str:
        if len(text) > longest:
            raise Refused(f"{show(text)} is {len(text)} characters long", f"at most {longest} are allowed")
        if not matcher.fullmatch(text):
            raise Refused(f"{show(text)} is not {wanted}", allowed)
        return text

    return Scalar(wanted, read, {"type": "string", "pattern": f"^{pattern}$", "maxLength": longest})


def name(wanted: str, longest: int = 63) -> Scalar[str]:
    """The name of a thing: a DNS label (RFC 1123) in lower case, as it goes into host and file names."""
    return word(
        wanted,
        "[a-z0-9]([a-z0-9-]*[a-z0-9])?",
        longest,
        "lower-case letters, digits and hyphens, no hyphen at either end",
    )


def number(wanted: str, lowest: int, highest: int) -> Scalar[int]:
    """A whole number between two bounds, both allowed."""

    def read(text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise Refused(
                f"expected {wanted}, got {show(text)}", f"a whole number from {lowest} to {highest}"
            )
        if not lowest <= int(text) <= highest:
            raise Refused(f"{text} is out of range", f"{wanted} is a number from {lowest} to {highest}")
        return int(text)

    return Scalar(wanted, read, {"type": "integer", "minimum": lowest, "maximum": highest}, bare=True)


def flag() -> Scalar[bool]:
    """``true`` or ``false``: what both YAML 1.1 and 1.2 take for one. ``yes`` and ``on`` are text in 1.2."""

    def read(text: str) -> bool:
        if text not in ("true", "false"):
            raise Refused(f"expected true or false, got {show(text)}", "YAML has only these two")
        return text == "true"

    return Scalar("true or false", read, {"type": "boolean"}, bare=True)


def choice(wanted: str, *options: str) -> Scalar[str]:
    """One of some words."""

    def read(text: str) -> str:
        if text not in options:
            known = suggest(text, list(options))
            raise Refused(f"{show(text)} is not {wanted}{known}", f"one of: {', '.join(options)}")
        return text

    return Scalar(wanted, read, {"type": "string", "enum": list(options)})


def base_url(wanted: str, example: str) -> Scalar[str]:
    """An http or https URL that paths are appended to, without the slash at its end.

    Nothing secret may be in it: it is shown, and asked for by machines. So a wrong one is not shown.
    """
    pattern = r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~%+-]+)*/?"
    matcher = re.compile(pattern)

    def read(text: str) -> str:
        if "@" in text:
            raise Refused(
                f"this is not {wanted}: there is a user in it", "it is shown in plans: no credentials"
            )
        if not matcher.fullmatch(text):
            raise Refused(f"this is not {wanted}", f"an http or https URL without `?` or `#`, like {example}")
        return text.rstrip("/")

    return Scalar(wanted, read, {"type": "string", "pattern": f"^{pattern}$"})


def either(literals: Mapping[str, Word], other: Scalar[T], wanted: str) -> Scalar[T | Word]:
    """A word with a meaning of its own, or what ``other`` takes."""

    def read(text: str) -> T | Word:
        return literals[text] if text in literals else other.read(text)

    shape: dict[str, object] = {"anyOf": [{"type": "string", "enum": list(literals)}, other.schema()]}
    return Scalar(wanted, read, shape, bare=other.bare)


def parse_address(text: str) -> Address:
    """An IPv4 or IPv6 address of an ordinary machine. Raises Refused."""
    if "%" in text:
        raise Refused(
            f"{show(text)} is bound to an interface", "write an address that means the same everywhere"
        )
    if "/" in text:
        raise Refused(f"{show(text)} is a range", "write the address alone, without `/` and what follows")
    try:
        address: Address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        raise Refused(f"{show(text)} is not an IP address", _address_hint(text)) from None
    _refuse_special(address, show(text))
    return address


def _address_hint(text: str) -> str:
    if _DOTTED.fullmatch(text) and any(_LEADING_ZERO.match(part) for part in text.split(".")):
        return "leading zeros mean octal to some programs: write the numbers without them"
    if re.fullmatch(r"[0-9.]+:[0-9]+|\[.*\](:[0-9]+)?", text):
        return "write the address alone: the port is `underlay.port`"
    if re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", text) and not re.fullmatch(r"[0-9.]+", text):
        return "write an address: names are not looked up, a name that fails to resolve would stop WireGuard"
    return "like 203.0.113.10 or 2001:db8::10"


def _refuse_special(address: Address, shown: str) -> None:
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        raise Refused(f"{shown} is an IPv4 address in IPv6 spelling", f"write {address.ipv4_mapped}")
    for special, called in _SPECIAL[address.version]:
        if address in special:
            raise Refused(
                f"{shown} is {_article(called)} address", "write an address that other machines can reach"
            )


def parse_range(text: str) -> Prefix:
    """A range of addresses where ordinary machines may live, without host bits. Raises Refused."""
    base, slash, length = text.partition("/")
    if not slash or not _PREFIX_LENGTH.fullmatch(length):
        raise Refused(f"{show(text)} is not a range", "write ADDRESS/LENGTH, like 10.0.0.0/16 or fd42::/64")
    try:
        address: Address = IPv6Address(base) if ":" in base else IPv4Address(base)
    except ValueError:
        raise Refused(f"{show(text)} is not a range", _address_hint(base)) from None
    if int(length) > address.max_prefixlen or "%" in base:
        hint = f"the length of an IPv{address.version} range is at most {address.max_prefixlen}"
        raise Refused(f"{show(text)} is not a range", hint)
    kind = IPv6Network if address.version == 6 else IPv4Network
    network: Prefix = kind((int(address), int(length)), strict=False)
    if network.network_address != address:
        raise Refused(f"{show(text)} is an address in a range, not a range", f"did you mean {network}?")
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped and network.prefixlen >= _MAPPED.prefixlen:
        hint = f"write {mapped}/{network.prefixlen - _MAPPED.prefixlen}"
        raise Refused(f"{show(text)} is an IPv4 range in IPv6 spelling", hint)
    for special, called in _SPECIAL[network.version]:
        if network.overlaps(special):
            what = f"{show(text)} holds {called} addresses ({special})"
            raise Refused(what, "write a range of ordinary addresses")
    return network


def underlay_range(version: int, longest: int) -> Scalar[Prefix]:
    """A range for the underlay, of one family, with room for at least two machines."""

    def read(text: str) -> Prefix:
        network = parse_range(text)
        if network.version != version:
            hint = f"it belongs under `ipv{network.version}`"
            raise Refused(f"{show(text)} is not an IPv{version} range", hint)
        if network.prefixlen > longest:
            hint = f"at least /{longest}: network and broadcast addresses are not given out"
            raise Refused(f"{show(text)} is too small", hint)
        return network

    return Scalar(f"an IPv{version} range", read, _RANGE_SHAPE)


def parse_public_key(text: str) -> PublicKey:
    """A WireGuard public key. Raises Refused."""
    try:
        return PublicKey(text)
    except ValueError as error:
        # The text is not shown: who pastes the wrong thing here may have pasted a private key.
        raise Refused("this is not a WireGuard public key", str(error)) from None


def _article(called: str) -> str:
    return f"an {called}" if called[0] in "aeiouAEIOU" else f"a {called}"


def _scalar(wanted: str, read: Callable[[str], T], shape: dict[str, object]) -> Scalar[T]:
    return Scalar(wanted, read, shape)


_RANGE_SHAPE: dict[str, object] = {"type": "string", "pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$"}

ADDRESS: Scalar[Address] = _scalar(
    "an IP address", parse_address, {"type": "string", "pattern": "^[0-9A-Fa-f.:]+$"}
)
RANGE: Scalar[Prefix] = _scalar("a range of addresses", parse_range, _RANGE_SHAPE)
PUBLIC_KEY: Scalar[PublicKey] = _scalar(
    "a WireGuard public key", parse_public_key, {"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$"}
)
