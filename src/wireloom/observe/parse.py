"""What the probes printed → NodeState. Pure; every parser survives garbage by raising ValueError."""

import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, TypeVar

from wireloom.observe.state import (
    MAIN,
    Access,
    AddressSeen,
    ConfigKind,
    ConfigSeen,
    DiskSeen,
    GroundSeen,
    GuardKind,
    KeyKind,
    LinkSeen,
    NodeState,
    OtherFleet,
    PeerSeen,
    RiderSeen,
    RouteSeen,
    RuleSeen,
    Stamp,
    SystemSeen,
)
from wireloom.values import Endpoint, NodeName, Prefix, PublicKey

CAP_NET_ADMIN = 12
"""The number of the capability that interfaces and routes need (linux/capability.h)."""

DUMP = "dump "
"""How running.sh marks what it says of a peer beyond the running state."""

Routing = tuple[frozenset[RouteSeen], tuple[RuleSeen, ...]]

T = TypeVar("T")
_UNKNOWN_SYSTEM = SystemSeen("unknown", "", "", False, 0.0, frozenset(), False)


def parse_state(name: NodeName, sections: Mapping[str, str]) -> NodeState:
    """The answers of all probes → NodeState; a probe that printed garbage is named in ``garbled``."""
    garbled: list[str] = []

    def read(probe: str, parser: Callable[[str], T], fallback: T) -> T:
        try:
            return parser(sections.get(probe, ""))
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
            garbled.append(probe)
            return fallback

    broken: tuple[KeyKind, PublicKey | None, Access] = (KeyKind.BROKEN, None, Access())
    key_kind, public_key, key_access = read("key", parse_key, broken)
    lost: Routing = (frozenset(), ())
    routes4, rules4 = read("routes4", lambda text: parse_routing(text, ip_network("0.0.0.0/0")), lost)
    routes6, rules6 = read("routes6", lambda text: parse_routing(text, ip_network("::/0")), lost)
    routes = routes4 | routes6
    no_disks: tuple[DiskSeen, ...] = ()
    no_addresses: frozenset[AddressSeen] = frozenset()
    return NodeState(
        name=name,
        system=read("os", lambda text: parse_system(text, sections), _UNKNOWN_SYSTEM),
        key_kind=key_kind,
        public_key=public_key,
        key_access=key_access,
        config=read("config", parse_config, ConfigSeen(ConfigKind.FOREIGN)),
        stamp=read("stamp", parse_stamp, None),
        link=read("links", lambda text: parse_link(text, sections), None),
        routes=frozenset(one for one in routes if one.table == MAIN),
        guard=read("guard", parse_guard, GuardKind.OTHER),
        client=read("client", lambda text: ip_address(text.strip()) if text.strip() else None, None),
        others=parse_others(sections.get("others", "")),
        riders=read("links", parse_riders, ()),
        fingerprint=make_fingerprint(sections.get("running", ""), sections.get("stamp", "")),
        drop_in=parse_drop_in(sections.get("drop-in", "")),
        enabled=sections.get("enabled", "").strip() == "enabled",  # -runtime is gone after a reboot
        ground=GroundSeen(
            families=tuple(sections.get("families", "").split()),
            identity=sections.get("identity", "").partition(" ")[0].strip(),
            versions=read("versions", parse_versions, {}),
            net_admin=read("capabilities", parse_net_admin, True),
            tun=sections.get("tun", "").strip() == "yes",
            disks=read("disks", parse_disks, no_disks),
            addresses=read("links", parse_addresses, no_addresses),
            port_holder=parse_port_holder(sections.get("port", "")),
            rules=rules4 + rules6,
            elsewhere=frozenset(one for one in routes if one.table != MAIN),
        ),
        garbled=tuple(dict.fromkeys(garbled)),
    )


def parse_system(text: str, sections: Mapping[str, str]) -> SystemSeen:
    """Lines: name of the distribution, kernel and architecture, seconds since 1970."""
    distribution, machine, clock = text.splitlines()[:3]
    kernel, architecture = machine.split()
    return SystemSeen(
        distribution=distribution,
        kernel=kernel,
        architecture=architecture,
        systemd=sections.get("systemd", "").strip() == "yes",
        clock=float(clock),
        tools=frozenset(sections.get("tools", "").split()),
        kernel_wireguard=sections.get("module", "").strip() == "yes",
    )


def parse_key(text: str) -> tuple[KeyKind, PublicKey | None, Access]:
    """Lines: the mode and owner of the key file, the public key; nothing at all where there is no file."""
    lines = text.split()
    if not lines:
        return KeyKind.ABSENT, None, Access()
    access = _parse_access(lines[0])
    if len(lines) == 1:
        return KeyKind.BROKEN, None, access
    return KeyKind.GOOD, PublicKey(lines[1]), access


def parse_config(text: str) -> ConfigSeen:
    """Lines: mode and owner, how many key lines; if it is ours ``ours``, its public key, the keyless text."""
    if not text.strip():
        return ConfigSeen(ConfigKind.ABSENT)
    first, keys, *rest = text.split("\n", 4)
    access = _parse_access(first)
    if rest[:1] != ["ours"]:
        return ConfigSeen(ConfigKind.FOREIGN, access=access, has_key=int(keys) > 0)
    public_key = PublicKey(rest[1]) if rest[1] else None
    return ConfigSeen(ConfigKind.OURS, rest[2], access, int(keys) == 1, public_key)


def _parse_access(text: str) -> Access:
    """``MODE/OWNER``, in octal and by number; a link that leads nowhere has only a mode."""
    mode, _, owner = text.partition("/")
    return Access(int(mode, 8), int(owner or 0))


def parse_others(text: str) -> dict[str, OtherFleet]:
    """Lines of an interface, the fleet that has it there, and ``guard`` where its file loads one."""
    words = (line.split() for line in text.splitlines())
    return {line[0]: OtherFleet(line[1], guarded=len(line) > 2) for line in words if len(line) > 1}


def parse_guard(text: str) -> GuardKind:
    """One line; nothing at all where there is no table."""
    return GuardKind(text.strip() or GuardKind.ABSENT)


def parse_drop_in(text: str) -> str | None:
    """An empty line, then the file; nothing at all where there is none."""
    return text[1:] if text.startswith("\n") else None


def parse_stamp(text: str) -> Stamp | None:
    """Lines ``fleet=…``, ``generation=…``, ``network=…``, ``digest=…``; nothing where there is no file."""
    if not text.strip():
        return None
    values = dict(line.split("=", 1) for line in text.split())
    return Stamp(values["fleet"], int(values["generation"]), values["network"], values["digest"])


def make_fingerprint(running: str, stamp: str) -> str:
    """The digests of what runs and of the stamp, where there is one: `unchanged` in node.sh takes them."""
    still = "".join(line for line in running.splitlines(keepends=True) if not line.startswith(DUMP))
    texts = [still, stamp] if stamp else [still]
    return " ".join(sha256(text.encode()).hexdigest() for text in texts)


def parse_link(text: str, sections: Mapping[str, str]) -> LinkSeen | None:
    """``ip -j -d -s address show``, and what ``running whole`` and ``keeper`` say of our interface."""
    interface = sections.get("interface", "").strip()
    link = next((one for one in _links(text) if one.get("ifname") == interface), None)
    if link is None:
        return None
    running = sections.get("running", "").splitlines()
    own = next((line for line in running if line.startswith("interface ")), "interface (none) 0 off")
    _, key, port, fwmark = own.split(" ")
    peers = [parse_peer(line.removeprefix(DUMP)) for line in running if line.startswith(DUMP)]
    traffic = link.get("stats64", {})
    filters = [int(word) for word in sections.get("filter", "").split()]
    return LinkSeen(
        kind=str(link.get("linkinfo", {}).get("info_kind", "")),
        up="UP" in link["flags"],
        mtu=int(link["mtu"]),
        addresses=frozenset(
            ip_interface(f"{one['local']}/{one['prefixlen']}")
            for one in link.get("addr_info", [])
            if one.get("scope") != "link"
        ),
        public_key=None if key == "(none)" else PublicKey(key),
        port=int(port),
        fwmark=0 if fwmark == "off" else int(fwmark, 16),
        peers={peer.public_key: peer for peer in peers},
        keeper=int(sections.get("keeper", "").strip() or 0),
        filter=_pick(filters, 0, 1),
        usual_filter=_pick(filters, 0, 2),
        received=int(traffic["rx"]["bytes"]) if traffic else None,
        sent=int(traffic["tx"]["bytes"]) if traffic else None,
    )


def _pick(filters: list[int], *places: int) -> int:
    """The kernel takes the greater one of what all interfaces have and what one has (Linux, ip-sysctl)."""
    return max(filters[place] for place in places) if len(filters) > max(places) else 0


def parse_peer(line: str) -> PeerSeen:
    """A peer's line of ``wg show dump`` (wg(8)), fields parted by tabs; ``hidden`` for its preshared key."""
    key, preshared, endpoint, allowed, handshake, received, sent, keepalive = line.split("\t")
    return PeerSeen(
        public_key=PublicKey(key),
        endpoint=None if endpoint == "(none)" else Endpoint.parse(endpoint),
        allowed_ips=frozenset(ip_network(one) for one in allowed.split(",") if one != "(none)"),
        handshake=int(handshake),
        received=int(received),
        sent=int(sent),
        keepalive=0 if keepalive == "off" else int(keepalive),
        preshared=preshared != "(none)",
    )


def parse_routing(text: str, everywhere: Prefix) -> Routing:
    """Two lines: ``ip -j`` of the routes of all tables, for one family, and of its rules.

    Left out are the ``default`` of the main table, the whole local one, and rules that name no table.
    """
    documents = [json.loads(line) for line in text.splitlines() if line.strip()]
    routes, rules = [*documents, [], []][:2]
    found = (_parse_route(one, everywhere) for one in routes if one.get("table") != "local")
    return (
        frozenset(one for one in found if one.table != MAIN or one.to != everywhere),
        tuple(_parse_rule(one, everywhere) for one in rules if "table" in one),
    )


def _parse_route(one: Mapping[str, Any], everywhere: Prefix) -> RouteSeen:
    return RouteSeen(
        str(one.get("type", "unicast")),
        everywhere if one["dst"] == "default" else ip_network(one["dst"]),
        str(one.get("dev", "")),
        int(one.get("metric", 0)),
        _printable(str(one.get("table", MAIN))),
    )


_NO_SELECTORS = {
    "not",
    "priority",
    "src",
    "srclen",
    "dst",
    "dstlen",
    "table",
    "suppress_prefixlen",
    "protocol",
}


def _parse_rule(one: Mapping[str, Any], everywhere: Prefix) -> RuleSeen:
    """What it asks for beside source and destination makes a rule narrow, but for two things.

    What the machine itself sends comes in by ``lo``; and packets without a certain mark are all but a few.
    """
    asks = {key: value for key, value in one.items() if key not in _NO_SELECTORS}
    source, to = _selected(one, "src", everywhere), _selected(one, "dst", everywhere)
    narrow = asks not in ({}, {"iif": "lo"})
    if "not" in one:
        narrow = not ({"fwmark"} <= asks.keys() <= {"fwmark", "fwmask"} and source == to == everywhere)
    table, suppress = _printable(str(one["table"])), int(one.get("suppress_prefixlen", -1))
    words = (
        *(["not"] if "not" in one else []),
        *("from", "all" if source == everywhere else str(source)),
        *([f"to {to}"] if to != everywhere else []),
        *(f"{key} {value}" for key, value in asks.items()),
        *("lookup", table),
        *([f"suppress_prefixlength {suppress}"] if suppress >= 0 else []),
    )
    if "not" in one:  # of what is left nothing more is known than that
        source = to = everywhere
    return RuleSeen(int(one["priority"]), source, to, table, narrow, _printable(" ".join(words)), suppress)


def _selected(one: Mapping[str, Any], side: str, everywhere: Prefix) -> Prefix:
    address = one.get(side, "all")
    length = int(one.get(f"{side}len", everywhere.max_prefixlen))
    return everywhere if address == "all" else ip_network(f"{address}/{length}")


def parse_versions(text: str) -> dict[str, str]:
    """Lines ``tool what it said``; a tool that said nothing is left out."""
    lines = (line.split(" ", 1) for line in text.splitlines() if line.strip())
    return {tool: _printable(said) for tool, said in lines if said.strip()}


def parse_net_admin(text: str) -> bool:
    """``CapEff: HEX`` of /proc/self/status; where that is not told, nothing is held against the machine."""
    return not text.strip() or bool(int(text.split()[1], 16) >> CAP_NET_ADMIN & 1)


def parse_disks(text: str) -> tuple[DiskSeen, ...]:
    """Lines ``directory ro|rw FREE_BLOCKS BLOCK_SIZE FILES FREE_FILES``; the numbers may be missing.

    A file system without a table of files (btrfs, say) has 0 of them.
    """
    return tuple(map(_parse_disk, text.splitlines()))


def _parse_disk(line: str) -> DiskSeen:
    directory, mode, *numbers = line.split()
    if not numbers:
        return DiskSeen(directory, mode == "ro", None, None)
    blocks, size, files, free_files = map(int, numbers)
    return DiskSeen(directory, mode == "ro", blocks * size, free_files if files else None)


def parse_addresses(text: str) -> frozenset[AddressSeen]:
    """``ip -j -d -s address show``: the addresses of all interfaces, but for link-local ones."""
    return frozenset(
        AddressSeen(link["ifname"], ip_interface(f"{one['local']}/{one['prefixlen']}"))
        for link in _links(text)
        for one in link.get("addr_info", [])
        if "local" in one and one.get("scope") != "link"
    )


def parse_riders(text: str) -> tuple[RiderSeen, ...]:
    """``ip -j -d -s address show``: the VXLAN devices that are bound to another one."""
    details = ((one, one.get("linkinfo", {})) for one in _links(text))
    found = ((one, info.get("info_data", {})) for one, info in details if info.get("info_kind") == "vxlan")
    return tuple(
        RiderSeen(one["ifname"], int(data["id"]), str(data["link"])) for one, data in found if "link" in data
    )


def _links(text: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(text) if one] if text.strip() else []


def parse_port_holder(text: str) -> str | None:
    """Nothing where the port is free; ``taken``, and lines of ``ss -Hanup`` where ss is there."""
    if not text.strip():
        return None
    holders = re.findall(r'\("([^"]*)",pid=(\d+)', text)
    return ", ".join(dict.fromkeys(f"{_printable(name)} (process {pid})" for name, pid in holders))


def _printable(text: str) -> str:
    """A machine's own words, short and safe for a terminal: any user of it may name a process."""
    return "".join(sign if sign.isprintable() else "?" for sign in text.strip())[:80]
