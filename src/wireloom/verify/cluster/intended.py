"""What the cluster of a fleet should be, as far as its claims go. Pure."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from wireloom.cluster.places import Role
from wireloom.intent.fleet import Fleet
from wireloom.network.network import Network
from wireloom.network.topology import OVERHEAD_IPV4, OVERHEAD_IPV6
from wireloom.values import Address, NodeName, SiteName
from wireloom.verify.sample import ALL_PAIRS_UP_TO, Pairs, choose_some

BRIDGE = "cni0"
"""Where the pods of a machine hang: k3s's own CNI configuration, and flannel's."""

VXLAN = ("flannel.1", "flannel-v6.1")
WIREGUARD = ("flannel-wg", "flannel-wg-v6")
"""What flannel calls its devices (flannel: pkg/backend/vxlan, pkg/backend/wireguard)."""

VXLAN_OVERHEAD = {4: 50, 6: 70}
WIREGUARD_OVERHEAD = {4: OVERHEAD_IPV4, 6: OVERHEAD_IPV6}
"""Bytes, by the IP version of the packet around it."""


@dataclass(frozen=True, slots=True)
class Intended:
    """The machines that should be in the cluster, and what should carry its packets.

    ``addresses`` are a machine's own in the cluster; empty where it does not talk over an underlay.
    ``servers`` have an API server. ``backend`` is flannel's, None for another network plugin; ``underlay`` is
    the interface, empty where there is none. ``managed``: it is wireloom that sets the cluster up.
    """

    sites: Mapping[NodeName, SiteName]
    addresses: Mapping[NodeName, tuple[Address, ...]]
    servers: Set[NodeName]
    backend: str | None
    underlay: str
    managed: bool

    @property
    def pod_devices(self) -> tuple[str, ...]:
        """The devices by which a machine should send to the pods of another; any where it is empty."""
        match self.backend:
            case "vxlan":
                return VXLAN
            case "host-gw":
                return (self.underlay,)
            case "wireguard-native":
                return WIREGUARD
            case _:
                return ()

    @property
    def tunnels(self) -> tuple[str, ...]:
        """The devices that encrypt."""
        own = WIREGUARD if self.backend == "wireguard-native" else ()
        return ((self.underlay,) if self.underlay else ()) + own


def intend(fleet: Fleet, network: Network) -> Intended | None:
    """Fleet + Network → what its cluster should be; None where the fleet file has none."""
    kubernetes = fleet.kubernetes
    roles = set(Role)
    members = [name for name, node in fleet.nodes.items() if roles & set(node.roles)]
    if kubernetes is None or not members:
        return None
    under = kubernetes.encrypt != "cni"
    return Intended(
        sites={name: fleet.nodes[name].site for name in members},
        addresses={
            name: tuple(one.ip for one in network.members[name].interfaces) if under else ()
            for name in members
        },
        servers=frozenset(name for name in members if Role.SERVER in fleet.nodes[name].roles),
        backend=kubernetes.flannel_backend,
        underlay=network.interface if under else "",
        managed=kubernetes.version is not None,
    )


def choose_probed(intended: Intended, usable: Set[NodeName], *, sample: bool) -> Pairs:
    """Which machines get a probe, and which others each of them tests.

    All of ``usable`` up to 50; of more the first of each site, and some from all over the list. With
    ``sample`` the pairs are fewer, every two sites among them.
    """
    names = [name for name in intended.sites if name in usable]
    if len(names) > ALL_PAIRS_UP_TO:
        first = {site: name for name in reversed(names) if (site := intended.sites[name])}
        room = max(1, ALL_PAIRS_UP_TO - len(first))
        some = set(names[:: -(-len(names) // room)]) | set(first.values())
        names, sample = [name for name in names if name in some], True
    pairs = {name: [other for other in names if other != name] for name in names}
    return choose_some(pairs, intended.sites) if sample else pairs
