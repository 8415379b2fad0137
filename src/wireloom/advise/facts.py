"""What the rules look at: what a fleet file says, and what only its owner knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from wireloom.advise.choice import Choice, Layer, choice_of
from wireloom.grammar import count
from wireloom.intent.fleet import Fleet, Node
from wireloom.values import NodeName

SERVER = "k3s-server"
NAMED = 3
"""How many nodes a sentence names."""


class Mesh(StrEnum):
    """A service mesh, and for Istio whether it refuses plain text."""

    NONE = "none"
    LINKERD = "linkerd"
    ISTIO_PERMISSIVE = "istio-permissive"
    ISTIO_STRICT = "istio-strict"


@dataclass(frozen=True, slots=True)
class Known:
    """Whether something is so (None: nobody has said), and how one knows, in a sentence."""

    holds: bool | None = None
    seen: str = ""

    def __bool__(self) -> bool:
        """It is known to be so."""
        return self.holds is True


UNKNOWN = Known()


@dataclass(frozen=True, slots=True)
class Facts:
    """One fleet as the rules see it. ``mtu`` is that of the underlay's interface, in bytes.

    From the file: ``cluster`` (Kubernetes runs on it), ``public`` (nodes have public addresses), ``apart``
    (nodes are in several sites), ``nat`` (nodes of the cluster are behind NAT), ``outside`` (nodes are
    outside Kubernetes), ``servers_apart`` (k3s servers are in several sites). From its owner alone:
    ``egress_firewall``, ``independent`` (the network has to stay up when Kubernetes is unwell),
    ``two_layers`` (a rule demands two), ``cloud_controller``, ``flannel_external_ip``, ``mesh``.

    ``made``: wireloom installs k3s. ``considered`` are the layers that cautions are about: the one chosen and
    the one to be recommended.
    """

    choice: Choice
    mtu: int
    port: int
    guard: bool
    external_datastore: bool
    cluster: Known
    public: Known
    apart: Known
    nat: Known
    outside: Known
    servers_apart: Known
    egress_firewall: Known = UNKNOWN
    independent: Known = UNKNOWN
    two_layers: Known = UNKNOWN
    cloud_controller: Known = UNKNOWN
    flannel_external_ip: Known = UNKNOWN
    mesh: Mesh | None = None
    considered: frozenset[Layer] = frozenset()
    made: bool = False

    @property
    def machines(self) -> bool:
        """A layer on the machines is considered."""
        return any(layer.machines for layer in self.considered)

    @property
    def plugin(self) -> bool:
        """A layer in the network plugin is considered."""
        return any(layer.plugin for layer in self.considered)


def look_at(fleet: Fleet, mtu: int) -> Facts:
    """What the fleet file alone says."""
    nodes = tuple(fleet.nodes.values())
    members = in_kubernetes(fleet)
    servers = [node for node in members if SERVER in node.roles]
    cluster = fleet.kubernetes
    return Facts(
        choice=choice_of(fleet),
        mtu=mtu,
        port=fleet.underlay.port,
        guard=fleet.underlay.guard,
        made=fleet.k3s is not None,
        external_datastore=cluster is not None and cluster.datastore == "external",
        cluster=Known(bool(members), f"{count(len(members), 'node')} in Kubernetes"),
        public=_named(
            [node.name for node in nodes if node.public], "has a public address", "have public addresses"
        ),
        apart=_several(nodes, "node"),
        nat=_named([node.name for node in members if node.nat], "is behind NAT", "are behind NAT"),
        outside=_named(
            [node.name for node in outside_kubernetes(fleet)],
            "is outside Kubernetes",
            "are outside Kubernetes",
        ),
        servers_apart=_several(servers, "k3s server"),
    )


def in_kubernetes(fleet: Fleet) -> tuple[Node, ...]:
    """The nodes with a role; where none has one, all of them if the file has ``kubernetes:``."""
    nodes = tuple(fleet.nodes.values())
    with_role = tuple(node for node in nodes if node.roles)
    return with_role or (nodes if fleet.kubernetes is not None else ())


def outside_kubernetes(fleet: Fleet) -> tuple[Node, ...]:
    """The others: without Kubernetes all."""
    members = {node.name for node in in_kubernetes(fleet)}
    return tuple(node for node in fleet.nodes.values() if node.name not in members)


def _named(names: Sequence[NodeName], one: str, many: str) -> Known:
    """``cp1, w1, cp2 and 3 more have public addresses``."""
    if not names:
        return Known(False)
    shown: list[str] = list(names[:NAMED])
    if len(names) > NAMED:
        shown.append(f"{len(names) - NAMED} more")
    listed = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return Known(True, f"{listed} {one if len(names) == 1 else many}")


def _several(nodes: Sequence[Node], noun: str) -> Known:
    sites = dict.fromkeys(node.site for node in nodes)
    if len(sites) < 2:
        return Known(False)
    return Known(True, f"{count(len(nodes), noun)} in {count(len(sites), 'site')}: {', '.join(sites)}")
