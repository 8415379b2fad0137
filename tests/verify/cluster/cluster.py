"""A cluster that is not there: two machines in two sites, as it should be and as it tells of itself."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from tests.network.fleets import key, make_fleet, node
from wireloom.cluster.seen import ClusterSeen, K3sSeen, Member
from wireloom.intent.fleet import Fleet, Kubernetes
from wireloom.lock.allot import allot
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.network.topology import weave
from wireloom.values import NodeName
from wireloom.verify.cluster.intended import Intended, intend
from wireloom.verify.cluster.probes import Probe, Probes
from wireloom.verify.cluster.reading import Device, Reading, Way

CP1, W1 = NodeName("cp1"), NodeName("w1")
NAMES = (CP1, W1)


def fleet_of(
    encrypt: str = "underlay", backend: str | None = "vxlan", version: str | None = "v1.34.2+k3s1"
) -> Fleet:
    plain = make_fleet(node("cp1", "x", public="192.0.2.1"), node("w1", "y", public="192.0.2.2"))
    roles = {CP1: ("k3s-server",), W1: ("k3s-agent",)}
    nodes = {name: replace(one, roles=roles[name]) for name, one in plain.nodes.items()}
    kubernetes = Kubernetes(version=version, encrypt=encrypt, flannel_backend=backend)
    return replace(plain, nodes=nodes, kubernetes=kubernetes)


FLEET = fleet_of()


def network_of(fleet: Fleet) -> Network:
    return weave(fleet, allot(fleet, Lock("shop")).with_keys({CP1: key(1), W1: key(2)}))


NETWORK = network_of(FLEET)


def intended(encrypt: str = "underlay", backend: str | None = "vxlan") -> Intended:
    fleet = fleet_of(encrypt, backend)
    found = intend(fleet, network_of(fleet))
    assert found is not None
    return found


def member(place: int, **changed: object) -> Member:
    """A node of Kubernetes with which all is well."""
    usual = Member(
        NAMES[place],
        ready=True,
        internal=(ip_address(f"10.99.0.{place + 1}"),),
        version="v1.34.2+k3s1",
        pods=(ip_network(f"10.42.{place}.0/24"),),
        flannel_key=key(11 + place),
    )
    return replace(usual, **changed)  # type: ignore[arg-type]


MEMBERS = {CP1: member(0), W1: member(1)}
SEEN = ClusterSeen({name: K3sSeen(name, "v1.34.2+k3s1") for name in NAMES}, MEMBERS, CP1)

PROBES = Probes(
    {name: Probe((ip_address(f"10.42.{place}.7"),), ready=True) for place, name in enumerate(NAMES)},
    {name: (ip_address(f"10.43.0.{place + 7}"),) for place, name in enumerate(NAMES)},
    (ip_address("10.43.0.1"),),
)

POD, MACHINE, GATEWAY = map(ip_address, ("10.42.1.2", "10.99.0.2", "10.42.1.0"))
READING = Reading(
    devices={
        "eth0": Device(1500),
        "wg0": Device(1420),
        "cni0": Device(1500),
        "veth1": Device(1370, bridge="cni0"),
        "flannel.1": Device(1370, "wg0", ip_address("10.99.0.1")),
    },
    ways={POD: Way("flannel.1", GATEWAY), MACHINE: Way("wg0")},
    remotes={GATEWAY: MACHINE},
)
"""What cp1 says where flannel's VXLAN runs over the underlay."""
