"""Fleet, Network and the ways in → what k3s should be on each machine."""

from collections.abc import Mapping

from wireloom.cluster.desired import ClusterFile, Entry, K3sDesired
from wireloom.cluster.places import AGENT_TOKEN, SERVER_TOKEN, SETTINGS, Role
from wireloom.cluster.seen import K3sStamp
from wireloom.cluster.settings import Value, print_settings
from wireloom.cluster.standing import cluster_nodes, node_addresses
from wireloom.cluster.unit import render_unit
from wireloom.intent.fleet import Fleet, Kubernetes, Node
from wireloom.network.network import Network
from wireloom.render.wg_quick import MARK
from wireloom.values import Address, NodeName


def render_cluster(
    fleet: Fleet, network: Network, entries: Mapping[NodeName, Entry]
) -> dict[NodeName, K3sDesired]:
    """What every machine of the cluster should have; none where wireloom does not make one (``Fleet.k3s``).

    ``entries``: see ``choose_entries``.
    """
    if fleet.k3s is None:
        return {}
    return {
        name: _render_node(fleet, fleet.k3s, network, name, entries[name]) for name in cluster_nodes(fleet)
    }


def _render_node(
    fleet: Fleet, cluster: Kubernetes, network: Network, name: NodeName, entry: Entry
) -> K3sDesired:
    role = Role(fleet.nodes[name].roles[0])
    addresses = node_addresses(fleet, network, name)
    options = _entry_options(role, entry, cluster)
    options |= _node_options(cluster, network, name, addresses)
    if role is Role.SERVER:
        options |= _server_options(cluster, fleet.nodes[name], addresses)
    else:
        options["token-file"] = AGENT_TOKEN
    mark = f"{MARK} for {name}, a node of the fleet {fleet.name}: change fleet.yaml, not this file.\n"
    unit = render_unit(role, network.interface)
    return K3sDesired(
        name=name,
        role=role,
        version=cluster.version or "",
        addresses=addresses,
        entry=entry,
        settings=ClusterFile(SETTINGS, mark + print_settings(options), "what k3s runs with"),
        stamp=K3sStamp(fleet.name, cluster.pods, cluster.services),
        unit=ClusterFile(role.unit_path, mark + unit, "starts k3s, after its network", 0o644),
    )


def _entry_options(role: Role, entry: Entry, cluster: Kubernetes) -> dict[str, Value]:
    """The first server begins with etcd in itself, all others join (docs.k3s.io/datastore/ha-embedded).

    Servers with a database of their own meet there (docs.k3s.io/datastore/ha).
    """
    if entry.server is not None and (role is Role.AGENT or cluster.datastore == "embedded"):
        return {"server": entry.url}
    return {"cluster-init": True} if role is Role.SERVER and cluster.datastore == "embedded" else {}


def _node_options(
    cluster: Kubernetes, network: Network, name: NodeName, addresses: tuple[Address, ...]
) -> dict[str, Value]:
    """What every machine says of itself.

    ``bind-address`` stays as it is: it takes one address only, and a server that answers outside would be
    closed to it. So the API server and the kubelet hear on all addresses, and the guard keeps others away;
    etcd hears on the first ``node-ip`` and on loopback only (k3s, pkg/etcd/etcd.go). An ``address`` for the
    kubelet alone would break logs and exec: k3s' tunnel dials it where ``bind-address`` says, or on loopback
    (k3s, pkg/daemons/control/tunnel.go).
    """
    options: dict[str, Value] = {"node-name": name, "node-ip": _listed(addresses)}
    if cluster.cni == "flannel":
        options["flannel-iface"] = network.interface
    return options


def _server_options(cluster: Kubernetes, node: Node, addresses: tuple[Address, ...]) -> dict[str, Value]:
    """What a server says of itself and, the same on every server, of the cluster."""
    # The API server advertises one address (k3s, pkg/cli/server/server.go), of the family of its services.
    own: dict[str, Value] = {"advertise-address": str(addresses[0]), "tls-san": _names(node, addresses)}
    return own | {
        **_flannel_options(cluster),
        "cluster-cidr": _listed(cluster.pods),
        "service-cidr": _listed(cluster.services),
        "token-file": SERVER_TOKEN,
        "agent-token-file": AGENT_TOKEN,
        "write-kubeconfig-mode": "0600",
    }


def _flannel_options(cluster: Kubernetes) -> dict[str, Value]:
    """How pods are carried (docs.k3s.io/networking/basic-network-options); other plugins bring their own way.

    IPv6 is masqueraded as IPv4 is: a machine takes from a peer of the underlay what has that peer's address,
    and would drop what a pod sends it under the pod's own.
    """
    if cluster.flannel_backend is None:
        return {"flannel-backend": "none", "disable-network-policy": True}
    options: dict[str, Value] = {"flannel-backend": cluster.flannel_backend}
    if any(one.version == 6 for one in cluster.pods):
        options["flannel-ipv6-masq"] = True
    return options


def _names(node: Node, addresses: tuple[Address, ...]) -> tuple[str, ...]:
    """By what its certificate may be asked for: the underlay, the outside, and what the operator calls it."""
    ssh = (node.ssh.host,) if node.ssh else ()
    return tuple(dict.fromkeys((*map(str, addresses), *map(str, node.public), *ssh)))


def _listed(ones: tuple[object, ...]) -> str:
    """Families apart by a comma, as k3s takes both (docs.k3s.io/networking/basic-network-options)."""
    return ",".join(map(str, ones))
