"""What a machine says of its devices and ways, nothing being sent: the script and its parser. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import pairwise

from wireloom.cluster.seen import Member
from wireloom.observe.probes import split_sections
from wireloom.values import Address, Endpoint, Prefix, PublicKey
from wireloom.verify.cluster.intended import BRIDGE, VXLAN, WIREGUARD


@dataclass(frozen=True, slots=True)
class Device:
    """A network device. ``lower`` is the one that a VXLAN device was made on, ``local`` its address there.

    ``bridge`` is the one that it is a port of.
    """

    mtu: int
    lower: str = ""
    local: Address | None = None
    bridge: str = ""


@dataclass(frozen=True, slots=True)
class Way:
    """How a machine would send to an address: by which device (none: ""), and by way of which gateway."""

    device: str = ""
    via: Address | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one machine said.

    ``ways`` to each address that was asked for. ``remotes``: where a VXLAN device sends what is for a gateway
    behind it; that address has a way of its own, whatever device the VXLAN device was made on. ``keys`` are
    those of flannel's own WireGuard interfaces, ``endpoints`` where these find their peers.
    """

    devices: Mapping[str, Device] = field(default_factory=dict)
    ways: Mapping[Address, Way] = field(default_factory=dict)
    remotes: Mapping[Address, Address] = field(default_factory=dict)
    keys: Mapping[str, PublicKey] = field(default_factory=dict)
    endpoints: Mapping[PublicKey, Endpoint | None] = field(default_factory=dict)


def pod_address(prefix: Prefix) -> Address:
    """An address that a pod of this range may have: the first is the bridge's."""
    return prefix.network_address + 2


def reading_script(nonce: str, own: Member, others: Sequence[Member]) -> str:
    """Shell that prints it all, parted by ``nonce``; changes nothing and sends nothing.

    Ways to nodes are asked for as a pod's packet would take them, where the bridge of the pods is there.
    """
    lines = [f"echo; echo {nonce} devices", "ip -j -d link show", f"echo; echo {nonce} ways"]
    lines.append(f"iif=; ! test -e /sys/class/net/{BRIDGE} || iif='iif {BRIDGE}'")
    lines.append('way() { echo "way $1 $(ip -o route get "$1" $2 2>&1)"; }')
    for address in (pod_address(prefix) for other in others for prefix in other.pods):
        lines.append(f"way {address}")
    mine = {prefix.version: pod_address(prefix) for prefix in own.pods}
    for address in (address for other in others for address in other.internal):
        source = mine.get(address.version)
        lines.append(f'way {address} "{f"${{iif:+from {source} $iif}}" if source else ""}"')
    lines.append(f"echo; echo {nonce} remotes")
    for device in VXLAN:
        lines.append(f"ip neigh show dev {device} 2>/dev/null | sed 's/^/neighbour /'")
        lines.append(f"bridge fdb show dev {device} 2>/dev/null | sed 's/^/forward /'")
    lines.append(
        "for remote in $(for device in "
        + " ".join(VXLAN)
        + "; do bridge fdb show dev $device 2>/dev/null; done"
        " | sed -n 's/.* dst \\([^ ]*\\).*/\\1/p' | sort -u); do way $remote; done"
    )
    lines.append(f"echo; echo {nonce} keys")
    for device in WIREGUARD:
        lines.append(f"wg show {device} public-key 2>/dev/null | sed 's/^/key {device} /'")
        lines.append(f"wg show {device} endpoints 2>/dev/null | sed 's/^/peer /'")
    return "\n".join([*lines, f"echo; echo {nonce} end", ""])


def read_reading(text: str, nonce: str) -> Reading:
    """Raises ValueError where the answer was cut short; what makes no sense in it is left out."""
    sections = split_sections(text, nonce)
    keys: dict[str, PublicKey] = {}
    endpoints: dict[PublicKey, Endpoint | None] = {}
    for line in sections.get("keys", "").splitlines():
        match line.split():
            case ["key", device, key]:
                keys[device] = PublicKey(key)
            case ["peer", key, endpoint]:
                endpoints[PublicKey(key)] = None if endpoint == "(none)" else Endpoint.parse(endpoint)
    return Reading(
        devices=dict(_read_devices(sections.get("devices", ""))),
        ways=dict(_read_ways(sections.get("ways", "") + sections.get("remotes", ""))),
        remotes=dict(_read_remotes(sections.get("remotes", ""))),
        keys=keys,
        endpoints=endpoints,
    )


def _read_devices(text: str) -> Iterator[tuple[str, Device]]:
    """ip-link(8) with -j -d."""
    for line in text.splitlines():
        if not line.startswith("["):
            continue
        for one in json.loads(line):
            if not isinstance(one, dict) or "ifname" not in one:
                continue
            info = one.get("linkinfo") or {}
            data = (info.get("info_data") or {}) if info.get("info_kind") == "vxlan" else {}
            local = data.get("local") or data.get("local6")
            device = Device(
                mtu=int(one["mtu"]),
                lower=str(data.get("link", "")),
                local=ip_address(local) if local else None,
                bridge=str(one.get("master", "")),
            )
            yield str(one["ifname"]), device


def _read_ways(text: str) -> Iterator[tuple[Address, Way]]:
    """``way ADDRESS`` and what ``ip route get`` said; no device where that was no route."""
    for line in text.splitlines():
        match line.split():
            case ["way", address, *said]:
                told = dict(pairwise(said))
                via = ip_address(told["via"]) if "dev" in told and "via" in told else None
                yield ip_address(address), Way(told.get("dev", ""), via)


def _read_remotes(text: str) -> Iterator[tuple[Address, Address]]:
    """From ip-neighbour(8), gateway → MAC, and bridge(8), MAC → remote address: gateway → remote address."""
    stations: dict[str, Address] = {}
    gateways: list[tuple[Address, str]] = []
    for line in text.splitlines():
        match line.split():
            case ["neighbour", gateway, "lladdr", mac, *_]:
                gateways.append((ip_address(gateway), mac))
            case ["forward", mac, "dst", remote, *_]:
                stations[mac] = ip_address(remote)
    return ((gateway, stations[mac]) for gateway, mac in gateways if mac in stations)
