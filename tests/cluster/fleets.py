"""Fleets with a cluster that wireloom makes, and what comes out for each machine."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

from tests.network.fleets import lock_of, make_fleet, node
from wireloom.cluster.choice import choose_entries
from wireloom.cluster.desired import Entry, K3sDesired
from wireloom.cluster.render import render_cluster
from wireloom.intent.fleet import Fleet, Kubernetes, Node
from wireloom.network.topology import weave
from wireloom.values import NodeName, SshTarget

VERSION = "v1.34.2+k3s1"

CP1 = replace(node("cp1", "fsn", "203.0.113.10", "10.0.0.2", role="k3s-server"), ssh=SshTarget("cp1.example"))
CP2 = node("cp2", "ams", "198.51.100.20 2001:db8::20", "10.0.0.2", role="k3s-server")
CP3 = node("cp3", "sin", "192.0.2.30", role="k3s-server")
DB1 = node("db1", "ams", "198.51.100.22", "10.0.0.4")
W1 = node("w1", "fsn", "203.0.113.11", "10.0.0.3", role="k3s-agent")
MACHINES = (CP1, CP2, DB1, CP3, W1)

FAMILIES: dict[str, dict[str, Any]] = {
    "IPv4": {},
    "IPv6": {"ipv4": None, "ipv6": "fd42:99::/64", "pods": "fd00:42::/56", "services": "fd00:43::/112"},
    "dual-stack": {
        "ipv6": "fd42:99::/64",
        "pods": "10.42.0.0/16 fd00:42::/56",
        "services": "10.43.0.0/16 fd00:43::/112",
    },
}


def cluster(
    *nodes: Node,
    ipv4: str | None = "10.99.0.0/16",
    ipv6: str | None = None,
    pods: str = "10.42.0.0/16",
    services: str = "10.43.0.0/16",
    guard: bool = True,
    version: str | None = VERSION,
    **options: object,
) -> Fleet:
    """A fleet of these nodes, or of three servers, a database and an agent; ``options``: of Kubernetes."""
    kubernetes = Kubernetes(
        version=version,
        pods=tuple(map(ip_network, pods.split())),
        services=tuple(map(ip_network, services.split())),
        **options,  # type: ignore[arg-type]
    )
    return replace(make_fleet(*(nodes or MACHINES), ipv4=ipv4, ipv6=ipv6, guard=guard), kubernetes=kubernetes)


def entries_of(
    fleet: Fleet, inside: Collection[str] = (), present: Mapping[str, str] | None = None
) -> dict[NodeName, Entry]:
    texts = {NodeName(name): text for name, text in (present or {}).items()}
    return choose_entries(fleet, weave(fleet, lock_of(fleet)), set(map(NodeName, inside)), texts)


def rendered(fleet: Fleet) -> dict[NodeName, K3sDesired]:
    """What each machine should have before anything is there."""
    return render_cluster(fleet, weave(fleet, lock_of(fleet)), entries_of(fleet))


def lines(text: str) -> list[str]:
    """A file without wireloom's mark."""
    mark, *rest = text.splitlines()
    assert mark.startswith("# Written by wireloom for ")
    return rest
