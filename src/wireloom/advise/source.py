"""Where a cell of the matrix or a rule has its knowledge from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """A page that says so, by a name short enough for a terminal."""

    name: str
    url: str


def _k3s_issue(number: int) -> Source:
    return Source(f"k3s #{number}", f"https://github.com/k3s-io/k3s/issues/{number}")


def _calico_issue(number: int) -> Source:
    return Source(f"Calico #{number}", f"https://github.com/projectcalico/calico/issues/{number}")


ARTICLE = Source(
    "digitalis.io, Kubernetes and Wireguard: CNI vs VM",
    "https://digitalis.io/post/kubernetes-and-wireguard-cni-vs-vm",
)
WIRELOOM = Source("wireloom, which layer", "docs/which-layer.md")

K3S_NETWORK = Source("k3s, basic network options", "https://docs.k3s.io/networking/basic-network-options")
K3S_MULTICLOUD = Source(
    "k3s, distributed or multicloud cluster", "https://docs.k3s.io/networking/distributed-multicloud"
)
K3S_REQUIREMENTS = Source("k3s, requirements", "https://docs.k3s.io/installation/requirements")
K3S_5717, K3S_6402, K3S_6440, K3S_7355, K3S_9535, K3S_10032 = map(
    _k3s_issue, (5717, 6402, 6440, 7355, 9535, 10032)
)

FLANNEL = Source(
    "flannel, backends", "https://github.com/flannel-io/flannel/blob/master/Documentation/backends.md"
)
FLANNEL_CODE = Source("flannel, pkg/backend", "https://github.com/flannel-io/flannel/tree/master/pkg/backend")

CALICO = Source(
    "Calico, encrypt cluster pod traffic",
    "https://docs.tigera.io/calico-cloud/compliance/encrypt-cluster-pod-traffic",
)
CALICO_9751, CALICO_11309 = map(_calico_issue, (9751, 11309))

CILIUM = Source(
    "Cilium, WireGuard encryption",
    "https://docs.cilium.io/en/latest/security/network/encryption-wireguard/",
)
CILIUM_29000 = Source("Cilium PR 29000", "https://github.com/cilium/cilium/pull/29000")

KUBERNETES = Source(
    "Kubernetes, nodes and the control plane",
    "https://kubernetes.io/docs/concepts/architecture/control-plane-node-communication/",
)

K3S_DATASTORE = Source("k3s, datastore", "https://docs.k3s.io/datastore")

ISTIO = Source(
    "Istio, PeerAuthentication", "https://istio.io/docs/reference/config/security/peer_authentication"
)
LINKERD = Source("Linkerd, automatic mTLS", "https://linkerd.io/2.15/features/automatic-mtls")
