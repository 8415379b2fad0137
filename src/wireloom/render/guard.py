"""The nftables table of a node: a guard that drops packets of the fleet beside the tunnel.

While the port changes it also has the chains that hear the other one (see ``hearing``).

Routes alone don't keep packets in: a mark or a rule leads past the routes, a VXLAN device takes packets on
every address, and an underlay address answers on the physical side, too (Linux has weak hosts, RFC 1122
3.3.4.2). The table is wireloom's alone, and touches no other.
"""

from collections.abc import Iterator

from wireloom.network.network import Network
from wireloom.render.hearing import render_hearing
from wireloom.values import VXLAN_PORT, NodeName

TABLE = "inet wireloom"
"""Family and name, as `nft list table` takes them."""

REMOVE = f"add table {TABLE}; delete table {TABLE}"
"""Take the table away, be it there or not: nft has no `delete if exists` before 1.0.6."""


def render_guard(network: Network, name: NodeName) -> str:
    """A node's table as one line for ``nft``, which loads it whole or not at all; empty: nothing is in it.

    No quote in it: it stands between single quotes in a wg-quick file.
    """
    closed = network.members[name].closed
    parts = [*_guard(network, network.trusted, closed), *render_hearing(network)]
    return f"{REMOVE}; table {TABLE} {{{''.join(f' {part};' for part in parts)} }}" if parts else ""


def _guard(network: Network, trusted: tuple[str, ...] | None, closed: tuple[int, ...]) -> Iterator[str]:
    """Two chains, and a third one where ports are closed; none where there is no guard.

    Arriving packets are judged before connection tracking and destination NAT (priority -300, raw), so that
    an address means what is on the wire; leaving ones after routing, whatever mark or rule chose the way.
    Entering are those for the machine itself: what it forwards, to pods and others, may use these ports.
    """
    if trusted is None:
        return
    arriving = [*_let_pass("iifname", trusted), *_drop(network, "saddr", "daddr")]
    leaving = [*_let_pass("oifname", trusted), *_drop(network, "daddr")]
    yield f"chain arriving {{ type filter hook prerouting priority -300; {'; '.join(arriving)}; }}"
    yield f"chain leaving {{ type filter hook postrouting priority 0; {'; '.join(leaving)}; }}"
    if closed:
        ports = ", ".join(map(str, closed))
        entering = [*_let_pass("iifname", trusted), f"tcp dport {{ {ports} }} counter drop"]
        yield f"chain entering {{ type filter hook input priority 0; {'; '.join(entering)}; }}"


def _let_pass(where: str, devices: tuple[str, ...]) -> Iterator[str]:
    """A rule each: older versions of nft take no wildcard in a set."""
    return (f'{where} "{device}" accept' for device in devices)


def _drop(network: Network, *sides: str) -> Iterator[str]:
    for prefix in network.fenced:
        for side in sides:
            yield f"{'ip6' if prefix.version == 6 else 'ip'} {side} {prefix} counter drop"
    yield f"udp dport {VXLAN_PORT} counter drop"
