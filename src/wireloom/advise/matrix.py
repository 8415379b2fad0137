"""What each way to run WireGuard encrypts, class by class of traffic: the data, with its sources.

Read in the documentation and issues named, not measured here, but for what a note says otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from wireloom.advise import source
from wireloom.advise.choice import Layer
from wireloom.advise.source import Source
from wireloom.advise.traffic import TrafficClass


class Cover(StrEnum):
    """What encrypts a class of traffic. TLS is Kubernetes' and k3s' own."""

    UNDERLAY = "underlay"
    CNI = "cni"
    BOTH = "both"
    TLS = "tls"
    TLS_AND_UNDERLAY = "tls and underlay"
    NOTHING = "nothing"
    STAYS = "never leaves the node"

    @property
    def encrypted(self) -> bool:
        """WireGuard encrypts it."""
        return self in (Cover.UNDERLAY, Cover.CNI, Cover.BOTH, Cover.TLS_AND_UNDERLAY)

    @property
    def by_underlay(self) -> bool:
        """The machines' WireGuard is what encrypts it, or one of two that do."""
        return self in (Cover.UNDERLAY, Cover.BOTH, Cover.TLS_AND_UNDERLAY)


@dataclass(frozen=True, slots=True)
class Note:
    """What must be known with a cell or a column. ``limits``: it holds only as far as the note says."""

    name: str
    text: str
    sources: tuple[Source, ...]
    limits: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """What encrypts one class of traffic in one column."""

    cover: Cover
    notes: tuple[Note, ...]
    sources: tuple[Source, ...]

    @property
    def conditional(self) -> bool:
        """It is encrypted under conditions of its own, beside those of its column."""
        return self.cover.encrypted and any(note.limits for note in self.notes)

    @property
    def strength(self) -> int:
        """2: encrypted by WireGuard, or never on a wire; 1: under conditions of its own; 0: not."""
        if self.conditional:
            return 1
        return 2 if self.cover.encrypted or self.cover is Cover.STAYS else 0


@dataclass(frozen=True, slots=True)
class Column:
    """One way to run WireGuard, or (``layer`` None) none. ``notes`` are about all that it encrypts."""

    name: str
    layer: Layer | None
    title: str
    notes: tuple[Note, ...]
    sources: tuple[Source, ...]


NODE_IP = Note(
    "node-ip",
    "only if k3s' node-ip is the underlay address: what talks to another address goes beside the tunnel",
    (source.K3S_NETWORK, source.WIRELOOM),
)
CONTROL_PLANE_OPTS_OUT = Note(
    "control-plane-opts-out",
    "not to or from control-plane nodes: Cilium leaves out nodes with the label"
    " node-role.kubernetes.io/control-plane",
    (source.CILIUM,),
)
CALICO_NODE_TO_POD = Note(
    "calico-node-to-pod",
    "in clear, or it does not get through at all: an open fault of Calico's",
    (source.CALICO_9751, source.CALICO_11309),
    limits=False,
)
CILIUM_TUNNEL_MODE = Note(
    "cilium-tunnel-mode",
    "Cilium's table promises it with node encryption only; in tunnel mode it is encrypted as a side effect",
    (source.CILIUM, source.CILIUM_29000),
    limits=False,
)
INFERRED = Note(
    "inferred",
    "inferred from flannel's code, neither documented nor measured",
    (source.FLANNEL_CODE,),
)
IN_THE_FLEET = Note(
    "in-the-fleet", "only if that host is a node of this fleet, by its underlay address", (source.WIRELOOM,)
)
CILIUM_KUBE_PROXY = Note(
    "cilium-kube-proxy-replacement",
    "only with Cilium's kube-proxy replacement and overlay routing, without DSR and XDP",
    (source.CILIUM,),
)
CILIUM_NATIVE_ROUTING = Note(
    "cilium-native-routing", "with native routing, too; not with XDP", (source.CILIUM,)
)
CALICO_SILENT = Note(
    "calico-silent", "to a node without WireGuard Calico sends in clear and says nothing", (source.CALICO,)
)
CILIUM_FIRST_PACKETS = Note(
    "cilium-first-packets",
    "first packets to an endpoint that is not known yet may leave in clear; strict mode drops them",
    (source.CILIUM,),
)

_UNDERLAY_SOURCES = (source.ARTICLE, source.K3S_NETWORK, source.WIRELOOM)

K3S_VXLAN = Column("k3s-vxlan", None, "k3s vxlan", (), (source.K3S_NETWORK, source.K3S_7355, source.FLANNEL))
K3S_NATIVE = Column(
    "k3s-wireguard-native",
    Layer.CNI,
    "k3s wireguard-native",
    (),
    (source.K3S_NETWORK, source.K3S_MULTICLOUD, source.K3S_7355, source.FLANNEL_CODE),
)
CALICO = Column("calico-wireguard", Layer.CNI, "Calico WireGuard", (CALICO_SILENT,), (source.CALICO,))
CILIUM = Column("cilium-wireguard", Layer.CNI, "Cilium WireGuard", (CILIUM_FIRST_PACKETS,), (source.CILIUM,))
CILIUM_NODES = Column(
    "cilium-wireguard-nodes",
    Layer.CNI,
    "Cilium WireGuard, nodeEncryption",
    (CILIUM_FIRST_PACKETS,),
    (source.CILIUM,),
)
UNDERLAY_VXLAN = Column(
    "underlay-vxlan", Layer.UNDERLAY, "underlay, vxlan on it", (NODE_IP,), _UNDERLAY_SOURCES
)
UNDERLAY_HOST_GW = Column(
    "underlay-host-gw",
    Layer.UNDERLAY,
    "underlay, host-gw on it",
    (NODE_IP,),
    (*_UNDERLAY_SOURCES, source.FLANNEL),
)
UNDERLAY_NATIVE = Column(
    "underlay-wireguard-native",
    Layer.BOTH,
    "underlay, wireguard-native on it",
    (NODE_IP,),
    (*_UNDERLAY_SOURCES, source.FLANNEL_CODE),
)

COLUMNS = (
    K3S_VXLAN,
    K3S_NATIVE,
    CALICO,
    CILIUM,
    CILIUM_NODES,
    UNDERLAY_VXLAN,
    UNDERLAY_HOST_GW,
    UNDERLAY_NATIVE,
)

LETTERS = {
    "U": Cover.UNDERLAY,
    "C": Cover.CNI,
    "B": Cover.BOTH,
    "T": Cover.TLS,
    "M": Cover.TLS_AND_UNDERLAY,
    "P": Cover.NOTHING,
    "-": Cover.STAYS,
}
"""A letter for each cover, as the table below has them and as a narrow terminal shows them."""

_NOTES = {
    "1": CONTROL_PLANE_OPTS_OUT,
    "2": CALICO_NODE_TO_POD,
    "3": CILIUM_TUNNEL_MODE,
    "i": INFERRED,
    "f": IN_THE_FLEET,
    "k": CILIUM_KUBE_PROXY,
    "n": CILIUM_NATIVE_ROUTING,
}

# A letter of LETTERS, then the notes; a word for each of COLUMNS, in their order.
_TABLE: Mapping[TrafficClass, str] = {
    TrafficClass.POD_TO_POD: "       P   C   C   C   C    U   U   B",
    TrafficClass.POD_TO_NEIGHBOUR: " -   -   -   -   -    -   -   -",
    TrafficClass.POD_TO_SERVICE: "   P   C   C   C   C    U   U   B",
    TrafficClass.POD_TO_NODE: "      P   P   P2  P   C1   U   U   U",
    TrafficClass.NODE_TO_POD: "      P   Ci  P2  P3  C1   U   U   B",
    TrafficClass.NODE_TO_NODE: "     P   P   P   P   C1   U   U   U",
    TrafficClass.KUBELET: "          T   T   T   T   T1   M   M   M",
    TrafficClass.ETCD: "             T   T   T   T   T1   M   M   M",
    TrafficClass.SUPERVISOR: "       T   T   T   T   T1   M   M   M",
    TrafficClass.NODE_TO_OUTSIDE: "  P   P   P   P   P    Uf  Uf  Uf",
    TrafficClass.POD_TO_INTERNET: "  P   P   P   P   P    P   P   P",
    TrafficClass.NODE_PORT: "        P   Ci  P2  Ck  C1n  U   U   B",
}

# Whose own TLS it is, which a column's sources don't say.
_OF_ITS_OWN: Mapping[TrafficClass, tuple[Source, ...]] = {
    TrafficClass.KUBELET: (source.KUBERNETES,),
    TrafficClass.ETCD: (source.KUBERNETES, source.K3S_REQUIREMENTS),
    TrafficClass.SUPERVISOR: (source.K3S_REQUIREMENTS, source.K3S_MULTICLOUD),
    TrafficClass.POD_TO_INTERNET: (source.WIRELOOM,),
}


def _read_cell(traffic: TrafficClass, column: Column, written: str) -> Cell:
    notes = tuple(_NOTES[mark] for mark in written[1:])
    of_notes = (one for note in notes for one in note.sources)
    sources = dict.fromkeys((*_OF_ITS_OWN.get(traffic, ()), *of_notes, *column.sources))
    return Cell(LETTERS[written[0]], notes, tuple(sources))


MATRIX: Mapping[TrafficClass, Mapping[Column, Cell]] = {
    traffic: {
        column: _read_cell(traffic, column, written)
        for column, written in zip(COLUMNS, _TABLE[traffic].split(), strict=True)
    }
    for traffic in TrafficClass
}
