"""A second port that a node hears, for a while: chains of wireloom's nftables table.

What comes to the other port is handed to the one that WireGuard listens on, before connection tracking: no
entry from before a change of the port can hold it up, and none is left behind (a redirect is not made for
packets of a flow that is known already). WireGuard answers from its own port, and a peer takes that for the
node's new place. But a NAT or a firewall before the peer lets nobody in whom the peer has not dialled. So who
called the other port is answered from there, as long as a session lives without a word (180 s). Who calls
from the very port that this node listens on has changed as this node has, and is answered from it: nobody
goes on with the other port without need.
"""

import re
from collections.abc import Iterator

from wireloom.network.network import Network

HEARS = re.compile(r"udp dport (\d+) udp dport set \d+")
"""The rule that hands packets over; its port is the other one."""

FAMILIES = (("callers4", "ipv4_addr", "ip"), ("callers6", "ipv6_addr", "ip6"))
"""For each family a set of those who called the other port, by address and port."""


def render_hearing(network: Network) -> Iterator[str]:
    """The sets and chains, each on one line; none where no other port is heard."""
    if network.also is None:
        return
    port, also = network.port, network.also
    remember, answer = [], []
    for callers, kind, family in FAMILIES:
        fields = f"type {kind} . inet_service; size 65535; flags dynamic,timeout; timeout 3m"
        yield f"set {callers} {{ {fields}; }}"
        remember.append(
            f"fib daddr type local udp dport {also} udp sport != {port}"
            f" update @{callers} {{ {family} saddr . udp sport }}"
        )
        answer.append(f"udp sport {port} {family} daddr . udp dport @{callers} udp sport set {also}")
    hand_over = f"fib daddr type local udp dport {also} udp dport set {port}"
    yield _chain("hearing", "prerouting priority -310", *remember, hand_over)
    yield _chain("answering", "output priority 300", *answer)


def _chain(name: str, hook: str, *rules: str) -> str:
    return f"chain {name} {{ type filter hook {hook}; {'; '.join(rules)}; }}"


def find_other_port(table: str) -> int | None:
    """The other port that a table of ours hears; None where it hears none."""
    found = HEARS.search(table)
    return int(found[1]) if found else None
