"""A wg-quick file of ours, without its key, read back: what the interface was set up from."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_interface, ip_network
from typing import TypeVar

from wireloom.lock.footing import Stance
from wireloom.network.network import Lead, Peer
from wireloom.observe.state import ConfigKind, LinkSeen, NodeState, PeerSeen, RouteSeen
from wireloom.render.desired import text_digest
from wireloom.render.hearing import find_other_port
from wireloom.render.wg_quick import GUARD_LINE, KEEPER_LINE, LOOSE_LINE, SECTION, render_peer
from wireloom.values import Endpoint, NodeName, PublicKey

T = TypeVar("T")


def as_applied(state: NodeState) -> str | None:
    """The text of a node's file, without its key, where it is as the last apply has left it."""
    if state.stamp is None or state.config.kind is not ConfigKind.OURS:
        return None
    text = state.config.keyless
    return text if text_digest(text) == state.stamp.digest else None


def read_filed(text: str, public_key: PublicKey | None) -> LinkSeen:
    """What ``wg-quick up`` would make of the file. Lines that make no sense are passed over.

    The key is not in the text: ``public_key`` says which one the node would put in.
    """
    interface, *peers = [dict(_options(section)) for section in f"\n{text}".split("\n[Peer]")]
    addresses = frozenset(
        one for word in interface.get("Address", "").split(",") if (one := _try(ip_interface, word.strip()))
    )
    return LinkSeen(
        kind="",
        up=True,
        mtu=_try(int, interface.get("MTU", "")) or 0,
        addresses=addresses,
        public_key=public_key,
        port=_try(int, interface.get("ListenPort", "")) or 0,
        fwmark=0,
        peers={peer.public_key: peer for options in peers if (peer := _peer_seen(options))},
        keeper=int(KEEPER_LINE in text.splitlines()),
        filter=2 if LOOSE_LINE in text.splitlines() else 0,
    )


def read_fences(text: str) -> frozenset[RouteSeen]:
    """The unreachable routes that ``wg-quick up`` would make of the file."""
    words = [line.split() for line in text.splitlines() if line.startswith("PreUp = ip ")]
    found = [
        (_try(ip_network, line[-3]), _try(int, line[-1])) for line in words if "unreachable" in line[:-3]
    ]
    return frozenset(RouteSeen("unreachable", to, "", metric) for to, metric in found if to and metric)


def read_leads(text: str) -> tuple[Lead, ...]:
    """The routes over a stand-in that ``wg-quick up`` would make of the file."""
    lines = re.findall(r"^PostUp = ip -[46] route replace (\S+) dev %i src (\S+)$", text, re.MULTILINE)
    found = [(_try(ip_network, to), _try(ip_address, source)) for to, source in lines]
    return tuple(Lead(to, source) for to, source in found if to and source)


def read_guard(text: str) -> str:
    """The guard that ``wg-quick up`` would load, as one line for ``nft``; empty where there is none."""
    lines = [line for line in text.splitlines() if line.startswith(GUARD_LINE) and line.endswith("'")]
    return lines[0][len(GUARD_LINE) : -1] if len(lines) == 1 else ""


def read_stance(text: str) -> Stance | None:
    """The port and the ranges of a file of ours, and the other port that it has heard; None: no sense."""
    head = dict(_options(text.partition("\n[Peer]")[0]))
    addresses = [_try(ip_interface, word.strip()) for word in head.get("Address", "").split(",")]
    port = _try(int, head.get("ListenPort", ""))
    ranges = tuple(one.network for one in addresses if one)
    return Stance(port, ranges, find_other_port(read_guard(text))) if port and ranges else None


def split_file(text: str) -> tuple[str, list[str]]:
    """The ``[Interface]`` section, and those of the peers."""
    head, *rest = text.split(SECTION)
    return head, [f"{SECTION}{one}" for one in rest]


def read_peer(section: str) -> Peer | None:
    """The peer of a section. None where writing it again would not give the same text."""
    name = NodeName(section.removeprefix(SECTION).partition("\n")[0].removeprefix("# "))
    peers = [_peer(name, filed, section) for filed in read_filed(section, None).peers.values()]
    return peers[0] if [section] == [render_peer(peer) for peer in peers] else None


def _peer(name: NodeName, filed: PeerSeen, section: str) -> Peer:
    words = re.split("[ ,\n]+", section)
    allowed = sorted(filed.allowed_ips, key=lambda one: words.index(str(one)) if str(one) in words else 0)
    return Peer(name, filed.public_key, filed.endpoint, tuple(allowed), filed.keepalive)


def _options(section: str) -> Iterator[tuple[str, str]]:
    for line in section.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            yield key.strip(), value.strip()


def _try(parse: Callable[[str], T], text: str) -> T | None:
    with suppress(ValueError):
        return parse(text)
    return None


def _peer_seen(options: Mapping[str, str]) -> PeerSeen | None:
    with suppress(KeyError, ValueError):
        endpoint = options.get("Endpoint")
        return PeerSeen(
            public_key=PublicKey(options["PublicKey"]),
            endpoint=Endpoint.parse(endpoint) if endpoint else None,
            allowed_ips=frozenset(ip_network(one.strip()) for one in options["AllowedIPs"].split(",")),
            handshake=0,
            received=0,
            sent=0,
            keepalive=int(options.get("PersistentKeepalive", "0")),
        )
    return None
