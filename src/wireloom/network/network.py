"""The encrypted network as one pure value: files, graphs and checks are projections of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wireloom.lock.footing import Stance
from wireloom.values import Address, Endpoint, Interface, NodeName, Prefix, PublicKey, SiteName


@dataclass(frozen=True, slots=True)
class Lead:
    """A route that leads packets over a stand-in; ``source``: the address that they have by themselves."""

    to: Prefix
    source: Address


@dataclass(frozen=True, slots=True)
class Member:
    """A node as the others see it. ``public_key`` is None until its machine has made a key.

    ``closed`` are TCP ports of its own that only the trusted interfaces of the network may reach. ``leads``
    are there while the network stands in for another one.
    """

    name: NodeName
    site: SiteName
    interfaces: tuple[Interface, ...]
    public_key: PublicKey | None
    nat: bool
    roles: tuple[str, ...] = ()
    closed: tuple[int, ...] = ()
    leads: tuple[Lead, ...] = ()


@dataclass(frozen=True, slots=True)
class Peer:
    """One member as a certain node has it in its configuration.

    ``allowed_ips`` are its own addresses, and behind them the ranges of its pods where they use the tunnel.
    ``endpoint`` is None where this node can't dial the peer and waits to be dialled. ``sources`` are the
    addresses that packets of a dialled peer may come from: those of the same network, public or private.
    ``keepalive`` is in seconds, 0 for none.
    """

    name: NodeName
    public_key: PublicKey | None
    endpoint: Endpoint | None
    allowed_ips: tuple[Prefix, ...]
    keepalive: int = 0
    sources: tuple[Address, ...] = ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Its own, without the ranges behind it."""
        return tuple(one.network_address for one in self.allowed_ips if one.prefixlen == one.max_prefixlen)

    def may_be_at(self, endpoint: Endpoint | None, also: int | None = None) -> bool:
        """Whether the peer may be found there: where it is dialled, or where else it answers from.

        WireGuard sends to where the last authentic packet came from (roaming), and a machine
        with several addresses chooses one. ``also``: another port that it may answer from. A peer that is not
        dialled may be anywhere.
        """
        if self.endpoint is None or endpoint == self.endpoint:
            return True
        if endpoint is None or endpoint.port not in {self.endpoint.port, also}:
            return False
        return endpoint.address in {self.endpoint.address, *self.sources}


@dataclass(frozen=True, slots=True)
class Network:
    """Everybody, and for each who is a peer by which endpoint.

    ``also`` is another port that nodes hear, while some may still, or already, dial it. ``fenced`` are the
    ranges that must be unreachable rather than in clear while the interface is down. ``trusted`` are the
    interfaces that may carry packets of these ranges, the underlay's own first; None: nobody looks. Nodes
    that see the others alike share one row of ``views``: a row holds the peers of a whole class of nodes,
    each node of the class among them if they are peers of each other. ``under``: it is an underlay; otherwise
    a network plugin makes it, and ``ranges`` are those of pods. While keys are rotated ``relief`` is the
    interface that stands in for this one, or ``relieves`` the one that this one stands in for.
    """

    fleet: str
    interface: str
    port: int
    mtu: int
    ranges: tuple[Prefix, ...]
    fenced: tuple[Prefix, ...]
    trusted: tuple[str, ...] | None
    members: Mapping[NodeName, Member]
    views: Mapping[NodeName, tuple[Peer, ...]]
    also: int | None = None
    under: bool = True
    relief: str | None = None
    relieves: str | None = None

    @property
    def two_ways(self) -> bool:
        """Whether packets may come by one interface while their answers leave by the other."""
        return self.relief is not None or self.relieves is not None

    @property
    def stance(self) -> Stance:
        """Where its nodes stand between each other."""
        return Stance(self.port, self.ranges, self.also)

    def peers(self, name: NodeName) -> Iterator[Peer]:
        """The peers of a node, in the order of ``members``."""
        return (peer for peer in self.views[name] if peer.name != name)
