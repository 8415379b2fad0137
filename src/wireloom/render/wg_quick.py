"""The text of wg-quick files (wg-quick(8), wg(8)), byte by byte, without the private key."""

from collections.abc import Iterator

from wireloom.network.network import Lead, Network, Peer
from wireloom.render.guard import render_guard
from wireloom.values import NodeName

MARK = "# Written by wireloom"
"""The first words of every file that wireloom may overwrite."""

GUARD_LINE = "PreUp = nft '"
"""How the line begins that loads the guard. A quote ends it."""

SECTION = "\n[Peer]\n"
"""How the section of a peer begins: with an empty line before it."""

KEEPER = "/proc/sys/net/ipv6/conf/{interface}/keep_addr_on_down"
"""IPv6 addresses are lost when a link goes down, unless this says 1 (Linux, ip-sysctl)."""

KEEPER_LINE = f"PostUp = echo 1 > {KEEPER.format(interface='%i')}"

LOOSE = "/proc/sys/net/ipv4/conf/{interface}/rp_filter"
"""2: packets are taken also where their answers would leave by another interface (Linux, ip-sysctl)."""

LOOSE_LINE = f"PostUp = echo 2 > {LOOSE.format(interface='%i')}"

FENCE_METRIC = 4000000
"""Worse than any route that a person or a daemon would add."""


def render_head(network: Network, name: NodeName) -> str:
    """The ``[Interface]`` section, all but its PrivateKey line, which follows it on the node.

    ``Table = off``: the address carries the range's prefix, so the kernel's one connected route leads
    to all peers, and comes back by itself after the link was down.
    """
    member = network.members[name]
    lines = [
        f"{MARK} for {name}, a node of the fleet {network.fleet}: change fleet.yaml, not this file.",
        "[Interface]",
        f"Address = {', '.join(map(str, member.interfaces))}",
        f"ListenPort = {network.port}",
        f"MTU = {network.mtu}",
        "Table = off",
        *_guard(network, name),
        *_fences(network),
        *_address_keepers(network),
        *([LOOSE_LINE] if network.two_ways else []),
        *(f"PostUp = {spell_lead(lead, '%i')}" for lead in member.leads),
    ]
    return "\n".join(lines) + "\n"


def _guard(network: Network, name: NodeName) -> Iterator[str]:
    """Before the interface is there, and for good: `wg-quick down` leaves the guard where it is."""
    table = render_guard(network, name)
    if table:
        yield f"{GUARD_LINE}{table}'"


def _fences(network: Network) -> Iterator[str]:
    """With the interface down, packets to the fleet find no route instead of the default route."""
    for prefix in network.fenced:
        family = "-6 " if prefix.version == 6 else ""
        yield f"PreUp = ip {family}route replace unreachable {prefix} metric {FENCE_METRIC}"


def _address_keepers(network: Network) -> Iterator[str]:
    if any(prefix.version == 6 for prefix in network.ranges):
        yield KEEPER_LINE


def spell_lead(lead: Lead, device: str) -> str:
    """The command that makes the route of a lead."""
    return f"ip -{lead.to.version} route replace {lead.to} dev {device} src {lead.source}"


def render_peer(peer: Peer) -> str:
    """One ``[Peer]`` section."""
    lines = [f"# {peer.name}", f"PublicKey = {peer.public_key}"]
    lines.append(f"AllowedIPs = {', '.join(map(str, peer.allowed_ips))}")
    if peer.endpoint is not None:
        lines.append(f"Endpoint = {peer.endpoint}")
    if peer.keepalive:
        lines.append(f"PersistentKeepalive = {peer.keepalive}")
    return SECTION + "\n".join(lines) + "\n"


def render_files(network: Network) -> Iterator[tuple[NodeName, str, list[str]]]:
    """For every node: its name, the head, and the body in pieces.

    The section of a peer is written once for all nodes that see it alike, so a full mesh costs
    one join per pair and no formatting.
    """
    sections: dict[int, tuple[list[str], dict[NodeName, int]]] = {}
    for name in network.members:
        view = network.views[name]
        if id(view) not in sections:
            texts = [render_peer(peer) if peer.public_key else "" for peer in view]
            sections[id(view)] = texts, {peer.name: place for place, peer in enumerate(view)}
        texts, places = sections[id(view)]
        own = places.get(name, len(texts))
        yield name, render_head(network, name), texts[:own] + texts[own + 1 :]
