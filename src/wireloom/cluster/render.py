"""Fleet, Network and the ways in → what k3s should be on each machine."""

import json
from collections.abc import Mapping

from wireloom.cluster.desired import ClusterFile, Entry, K3sDesired
from wireloom.cluster.places import (
    AGENT_TOKEN,
    DATASTORE_ENDPOINT,
    FLANNEL_SETTINGS,
    SERVER_TOKEN,
    SETTINGS,
    Role,
)
from wireloom.cluster.seen import K3sStamp
from wireloom.cluster.settings import Value, print_settings
from wireloom.cluster.standing import (
    cluster_nodes,
    is_across_clouds,
    node_addresses,
    public_addresses,
)
from wireloom.cluster.unit import render_unit
from wireloom.intent.cluster import ENCRYPTING_BACKEND
from wireloom.intent.fleet import Fleet, Kubernetes, Node
from wireloom.network.network import Network
from wireloom.render.wg_quick import MARK
from wireloom.values import FLANNEL_PORTS, Address, NodeName

Devices = Mapping[NodeName, Mapping[Address, str]]
NO_DEVICES: Devices = {}


def render_cluster(
    fleet: Fleet, network: Network, entries: Mapping[NodeName, Entry], devices: Devices = NO_DEVICES
) -> dict[NodeName, K3sDesired]:
    """What every machine of the cluster should have; none where wireloom does not make one (``Fleet.k3s``).

    ``entries``: see ``choose_entries``. ``devices`` are those that machines have their addresses on.
    """
    if fleet.k3s is None:
        return {}
    across = is_across_clouds(fleet)
    return {
        name: _render_node(fleet, network, name, entries[name], devices.get(name, {}), across=across)
        for name in cluster_nodes(fleet)
    }


def _render_node(
    fleet: Fleet,
    network: Network,
    name: NodeName,
    entry: Entry,
    devices: Mapping[Address, str],
    *,
    across: bool,
) -> K3sDesired:
    cluster = fleet.kubernetes
    assert cluster is not None  # noqa: S101  # without one nothing is rendered
    role = Role(fleet.nodes[name].roles[0])
    addresses = node_addresses(fleet, network, name)
    interface = network.interface if fleet.has_underlay else None
    external = public_addresses(fleet, name) if across else ()
    options = _entry_options(role, entry, cluster)
    options |= {"node-name": name, "node-ip": _listed(addresses)}
    if external:
        options["node-external-ip"] = _listed(external)
    options |= _flannel_on_node(cluster, interface or devices.get(addresses[0]))
    if role is Role.SERVER:
        # The API server advertises one address, of its services' family (k3s, pkg/cli/server/server.go).
        options["advertise-address"] = str((external or addresses)[0])
        options["tls-san"] = _names(fleet.nodes[name], addresses)
        options |= _cluster_options(cluster, across=across)
    else:
        options["token-file"] = AGENT_TOKEN
    mark = f"{MARK} for {name}, a node of the fleet {fleet.name}: change fleet.yaml, not this file.\n"
    database = role is Role.SERVER and cluster.datastore == "external"
    unit = render_unit(role, interface, DATASTORE_ENDPOINT if database else None)
    return K3sDesired(
        name=name,
        role=role,
        version=cluster.version or "",
        addresses=addresses,
        entry=entry,
        settings=ClusterFile(SETTINGS, mark + print_settings(options), "what k3s runs with"),
        stamp=K3sStamp(fleet.name, cluster.pods, cluster.services),
        unit=ClusterFile(role.unit_path, mark + unit, "starts k3s, after its network", 0o644),
        others=_flannel_files(cluster),
        database=database,
    )


def _entry_options(role: Role, entry: Entry, cluster: Kubernetes) -> dict[str, Value]:
    """The first server begins with etcd in itself, all others join (docs.k3s.io/datastore/ha-embedded).

    Servers with a database of their own meet there (docs.k3s.io/datastore/ha).
    """
    if entry.server is not None and (role is Role.AGENT or cluster.datastore == "embedded"):
        return {"server": entry.url}
    return {"cluster-init": True} if role is Role.SERVER and cluster.datastore == "embedded" else {}


def _flannel_on_node(cluster: Kubernetes, interface: str | None) -> dict[str, Value]:
    """Where flannel sends from: the underlay; without one, the device of the machine's own address.

    Where that is not known (a provider's NAT has it) flannel takes the device of the default route.
    """
    options: dict[str, Value] = {}
    if cluster.cni == "flannel" and interface is not None:
        options["flannel-iface"] = interface
    if _flannel_files(cluster):
        options["flannel-conf"] = FLANNEL_SETTINGS
    return options


def _cluster_options(cluster: Kubernetes, *, across: bool) -> dict[str, Value]:
    """What servers say of the cluster, the same on each of them. ``across``: its machines are in many clouds.

    ``bind-address`` stays as it is: it takes one address only, and a server that answers outside would be
    closed to it. So the API server and the kubelet hear on all addresses, and the guard keeps others away;
    etcd hears on the first ``node-ip`` and on loopback only (k3s, pkg/etcd/etcd.go). An ``address`` for the
    kubelet alone would break logs and exec: k3s' tunnel dials it where ``bind-address`` says, or on loopback
    (k3s, pkg/daemons/control/tunnel.go).
    """
    return {
        **_flannel_options(cluster, across=across),
        "cluster-cidr": _listed(cluster.pods),
        "service-cidr": _listed(cluster.services),
        "token-file": SERVER_TOKEN,
        "agent-token-file": AGENT_TOKEN,
        "write-kubeconfig-mode": "0600",
    }


def _flannel_options(cluster: Kubernetes, *, across: bool) -> dict[str, Value]:
    """How pods are carried (docs.k3s.io/networking/basic-network-options); other plugins bring their own way.

    IPv6 is masqueraded as IPv4 is: a machine takes from a peer of the underlay what has that peer's address,
    and would drop what a pod sends it under the pod's own. Public addresses are for a backend that encrypts
    alone (k3s issue 6440; docs.k3s.io/networking/distributed-multicloud).
    """
    if cluster.flannel_backend is None:
        return {"flannel-backend": "none", "disable-network-policy": True}
    options: dict[str, Value] = {"flannel-backend": cluster.flannel_backend}
    if any(one.version == 6 for one in cluster.pods):
        options["flannel-ipv6-masq"] = True
    if across and cluster.flannel_backend == ENCRYPTING_BACKEND:
        options["flannel-external-ip"] = True
    return options


def _flannel_files(cluster: Kubernetes) -> tuple[ClusterFile, ...]:
    """Settings of flannel's own where its WireGuard is beside the underlay's, which may have its usual port.

    The same on all machines: flannel dials the others at its own port. The rest of the file is what k3s would
    write itself (k3s, pkg/agent/flannel/setup.go; flannel, Documentation/backends.md).
    """
    if cluster.encrypt != "both" or cluster.flannel_backend != ENCRYPTING_BACKEND:
        return ()
    ranges = {one.version: str(one) for one in reversed(cluster.pods)}
    ipv4, ipv6 = FLANNEL_PORTS
    settings = {
        "Network": ranges.get(4, "0.0.0.0/0"),
        "EnableIPv4": 4 in ranges,
        "IPv6Network": ranges.get(6, "::/0"),
        "EnableIPv6": 6 in ranges,
        "Backend": {"Type": "wireguard", "ListenPort": ipv4, "ListenPortV6": ipv6},
    }
    text = json.dumps(settings, indent=2) + "\n"
    return (ClusterFile(FLANNEL_SETTINGS, text, "flannel's WireGuard, on ports of its own", 0o644),)


def _names(node: Node, addresses: tuple[Address, ...]) -> tuple[str, ...]:
    """By what its certificate may be asked for: inside, outside, and as the operator calls it."""
    ssh = (node.ssh.host,) if node.ssh else ()
    return tuple(dict.fromkeys((*map(str, addresses), *map(str, node.public), *ssh)))


def _listed(ones: tuple[object, ...]) -> str:
    """Families apart by a comma, as k3s takes both (docs.k3s.io/networking/basic-network-options)."""
    return ",".join(map(str, ones))
