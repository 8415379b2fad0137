"""What is claimed of a fleet, what was seen, and the verdict."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wireloom.observe.state import Unreachable
from wireloom.values import NodeName


class Verdict(StrEnum):
    """Whether a claim stands. Never ``holds`` for lack of evidence."""

    HOLDS = "holds"
    FALSIFIED = "falsified"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of claim: what is claimed, and how it is tested, in words. ``cluster``: about Kubernetes."""

    claimed: str
    tested: str
    cluster: bool = False


KINDS = {
    "answers": Kind(
        "every node answers over the underlay",
        "three pings to each underlay address, by the interface that `ip route get` names",
    ),
    "handshake": Kind(
        "each has a live session with the planned key and endpoint",
        "`wg show dump`: a handshake younger than 180 s, and where the peer is found",
    ),
    "peers": Kind(
        "nobody else is a peer",
        "`wg show dump`: every key on the interface is one of the plan's",
    ),
    "mtu": Kind(
        "the paths carry full packets",
        "pings beside the tunnel that must not be fragmented, as large as the tunnel's own packets",
    ),
    "canary": Kind(
        "what is sent to a node goes through the tunnel, and is nowhere in clear",
        "marked packets over ICMP, UDP and TCP, captured on every interface of both machines",
    ),
    "dial": Kind(
        "the planned endpoint gets what is sent to it",
        "a marked datagram to the peer's WireGuard port, captured where it is to arrive",
    ),
    "fragments": Kind(
        "full packets arrive in one piece",
        "a marked packet of the interface's full size; fragments are captured on the wire",
    ),
    "closed": Kind(
        "with its interface down a node sends the fleet nothing in clear",
        "the interface was taken down, marked packets were sent, and a control beside them",
    ),
    "clear": Kind(
        "nothing between the machines is in clear",
        "every packet between them on their physical interfaces was captured and classified",
    ),
    "nodes": Kind(
        "every machine of the cluster is Ready, at the addresses that it should have",
        "what the API server tells of its nodes",
        cluster=True,
    ),
    "flannel-keys": Kind(
        "the WireGuard keys that flannel published are those in use",
        "the nodes' annotations beside `wg show flannel-wg`: its own key, and those of its peers",
        cluster=True,
    ),
    "pod-way": Kind(
        "what is for pods and nodes takes the interfaces that it should",
        "`ip route get` on each machine, and the device below the one that it names",
        cluster=True,
    ),
    "pod-mtu": Kind(
        "full packets pass between pods",
        "pings as large as the pods' interface takes, not to be fragmented; the sizes of all layers compared",
        cluster=True,
    ),
    "pod-pod": Kind(
        "pods reach pods on other machines",
        "from within a pod, the name of its machine was fetched from the other pod",
        cluster=True,
    ),
    "pod-service": Kind(
        "pods reach services, whose pod is on another machine, and the API server's",
        "from within a pod, the name of the machine was fetched from the service's address",
        cluster=True,
    ),
    "pod-node": Kind(
        "pods reach other machines",
        "from within a pod, pings and a connection to the kubelet's port: any answer counts",
        cluster=True,
    ),
    "node-pod": Kind(
        "machines reach pods on other machines",
        "from the machine, the name of the other one was fetched from its pod",
        cluster=True,
    ),
    "dns": Kind(
        "CoreDNS answers in every pod",
        "from within a pod, its name server was asked for `kubernetes.default`",
        cluster=True,
    ),
    "logs": Kind(
        "`kubectl logs` works from every server to every machine",
        "`kubectl logs` of the probe there, which had to hold what the probe wrote",
        cluster=True,
    ),
    "exec": Kind(
        "`kubectl exec` works from every server to every machine",
        "`kubectl exec` in the probe there, which had to tell the name of its machine",
        cluster=True,
    ),
    "pod-canary": Kind(
        "what pods and machines send each other's pods is nowhere in clear between machines",
        "marked packets from and to pods over ICMP, UDP and TCP, captured on every interface of both ends",
        cluster=True,
    ),
    "exposed": Kind(
        "the cluster's ports answer nobody beside the tunnel",
        "connections from another machine to the ports of API server, etcd and kubelet at outer addresses; a"
        " VXLAN frame that the pod network would answer, and did through the tunnel",
        cluster=True,
    ),
}
"""In the order in which they are told."""


@dataclass(frozen=True, slots=True)
class PacketSeen:
    """A captured packet that a verdict rests on.

    ``at`` is in seconds since 1970, by the clock of ``node``; ``length`` in bytes, from the IP header on.
    ``what`` tells protocol, addresses and ports.
    """

    at: float
    node: NodeName
    device: str
    outgoing: bool
    what: str
    length: int


class TrafficClass(StrEnum):
    """What a packet beside the tunnel is."""

    WIREGUARD = "WireGuard"
    TLS = "TLS"
    SSH = "SSH"
    IPSEC = "IPsec"
    ICMP = "ICMP"
    SILENT = "TCP without payload"
    FRAGMENT = "the rest of fragments"
    VXLAN = "VXLAN in clear"
    TUNNEL = "another tunnel in clear"
    KUBERNETES = "Kubernetes in clear"
    OTHER = "other in clear"

    @property
    def in_clear(self) -> bool:
        """Whether somebody on the way can read what programs tell each other in it."""
        return self in {self.VXLAN, self.TUNNEL, self.KUBERNETES, self.OTHER}


@dataclass(slots=True)
class Traffic:
    """What one node sent another in one class: counts, and what tells where it comes from.

    ``heard_by`` is the node that captured it, of the two. ``inner``: addresses inside of another tunnel.
    ``ports`` as ``tcp/6443``. ``processes`` by name.
    """

    source: NodeName
    target: NodeName
    kind: TrafficClass
    heard_by: NodeName
    packets: int = 0
    bytes: int = 0
    ports: set[str] = field(default_factory=set)
    inner: set[str] = field(default_factory=set)
    processes: set[str] = field(default_factory=set)
    examples: list[PacketSeen] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim: its kind (of ``KINDS``), the verdict, and what was seen.

    About an ordered pair of nodes; ``target`` is None for what is claimed of one node. ``packets`` are
    examples of what was captured, not all of it.
    """

    claim: str
    source: NodeName
    target: NodeName | None
    verdict: Verdict
    detail: str
    packets: tuple[PacketSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All claims of one run. ``pairs`` were tested of ``all_pairs`` that are peers of each other.

    ``unasked`` are the nodes that could not be asked, and why: their own claims are unknown for that.
    ``captures`` are pcap files by node, cut to the packets that the verdicts rest on. ``traffic`` is what an
    audit heard; None: nobody listened. ``roomier_mtu``: the interface's MTU could be that much on every path.
    """

    claims: tuple[Claim, ...]
    pairs: int
    all_pairs: int
    unasked: tuple[Unreachable, ...] = ()
    captures: Mapping[NodeName, bytes] = field(default_factory=dict, repr=False)
    traffic: tuple[Traffic, ...] | None = None
    roomier_mtu: int | None = None

    @property
    def verdict(self) -> Verdict:
        """Falsified outweighs unknown, unknown outweighs holds; nothing tested is unknown."""
        return conclude(claim.verdict for claim in self.claims)

    @property
    def sampled(self) -> bool:
        """Not every pair was tested."""
        return self.pairs < self.all_pairs


def conclude(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict over many verdicts."""
    found = set(verdicts)
    for verdict in (Verdict.FALSIFIED, Verdict.UNKNOWN, Verdict.HOLDS):
        if verdict in found:
            return verdict
    return Verdict.UNKNOWN
