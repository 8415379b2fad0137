"""How a node stands: what ``status`` shows of it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from wireloom.network.network import Network
from wireloom.observe.state import LinkSeen, NodeState, Seen, Unreachable
from wireloom.values import Address, NodeName

FRESH = 180
"""Seconds after which a WireGuard session is dead (REJECT_AFTER_TIME)."""


@dataclass(frozen=True, slots=True)
class NodeStanding:
    """One line of ``status``. ``state``: up, down, absent, unreachable, or not asked (it has no ``ssh``).

    ``fresh_peers`` of ``peers`` planned ones had a handshake in the last 180 s; ``oldest_handshake`` is
    the age of the oldest of these in seconds; bytes are since the interface was made.
    """

    name: NodeName
    site: str
    addresses: tuple[Address, ...]
    state: str
    peers: int
    implementation: str = ""
    generation: int | None = None
    fresh_peers: int = 0
    oldest_handshake: int | None = None
    received: int = 0
    sent: int = 0
    detail: str = ""

    @property
    def healthy(self) -> bool:
        """Up, with a live session to every peer."""
        return self.state == "up" and self.fresh_peers == self.peers

    @property
    def went_wrong(self) -> bool:
        """Something is to be said of it even to who wants to hear of troubles only."""
        return not self.healthy and self.state != "not asked"


def take_standing(network: Network, seen: Seen) -> Iterator[NodeStanding]:
    """Every node of the network, in its order."""
    for name, member in network.members.items():
        addresses = tuple(one.ip for one in member.interfaces)
        state = seen.get(name)
        peers = sum(1 for _ in network.peers(name))
        if state is None:
            yield NodeStanding(name, member.site, addresses, "not asked", peers, detail="no `ssh`")
        elif isinstance(state, Unreachable):
            yield NodeStanding(name, member.site, addresses, "unreachable", peers, detail=state.what)
        else:
            yield _stand(name, member.site, addresses, peers, state)


def _stand(
    name: NodeName, site: str, addresses: tuple[Address, ...], peers: int, state: NodeState
) -> NodeStanding:
    generation = state.stamp.generation if state.stamp else None
    detail = f"no sense in: {', '.join(state.garbled)}" if state.garbled else ""
    link = state.link
    if link is None:
        return NodeStanding(name, site, addresses, "absent", peers, generation=generation, detail=detail)
    ages = [age for age in _handshake_ages(link, state.system.clock) if age <= FRESH]
    return NodeStanding(
        name=name,
        site=site,
        addresses=addresses,
        state="up" if link.up else "down",
        peers=peers,
        implementation="kernel" if link.kind == "wireguard" else "userspace",
        generation=generation,
        fresh_peers=len(ages),
        oldest_handshake=max(ages, default=None),
        received=sum(peer.received for peer in link.peers.values()),
        sent=sum(peer.sent for peer in link.peers.values()),
        detail=detail,
    )


def _handshake_ages(link: LinkSeen, clock: float) -> Iterator[int]:
    for peer in link.peers.values():
        if peer.handshake:
            yield max(0, int(clock) - peer.handshake)
