"""What a fleet chose to encrypt with."""

from dataclasses import dataclass
from enum import StrEnum

from wireloom.intent.cluster import usual_backend
from wireloom.intent.fleet import Fleet


class Layer(StrEnum):
    """Where WireGuard runs: below Kubernetes on the machines, in its network plugin, or in both."""

    UNDERLAY = "underlay"
    CNI = "cni"
    BOTH = "both"

    @property
    def machines(self) -> bool:
        """The machines encrypt."""
        return self is not Layer.CNI

    @property
    def plugin(self) -> bool:
        """The network plugin encrypts."""
        return self is not Layer.UNDERLAY


@dataclass(frozen=True, slots=True)
class Choice:
    """The layer, the network plugin, and how flannel carries pods (None: it is another plugin).

    ``node_encryption`` is Cilium's nodeEncryption; None: not known.
    """

    layer: Layer = Layer.UNDERLAY
    cni: str = "flannel"
    backend: str | None = "vxlan"
    node_encryption: bool | None = None

    def under(self, layer: Layer) -> "Choice":
        """The same plugin with another layer: flannel's backend stays if it goes with that."""
        if layer.plugin == self.layer.plugin:
            return Choice(layer, self.cni, self.backend, self.node_encryption)
        return Choice(layer, self.cni, usual_backend(self.cni, layer), self.node_encryption)


def choice_of(fleet: Fleet) -> Choice:
    """What the file says; without ``kubernetes:`` an underlay with what k3s comes with."""
    cluster = fleet.kubernetes
    if cluster is None:
        return Choice()
    return Choice(Layer(cluster.encrypt), cluster.cni, cluster.flannel_backend)
