"""Rules about what can't change once a machine is in a cluster: role, version, address, how pods go."""

import re
from collections.abc import Iterator
from ipaddress import ip_network

from wireloom.cluster.belonging import is_ours
from wireloom.cluster.places import SETTINGS, Role
from wireloom.cluster.seen import ClusterSeen, K3sSeen
from wireloom.cluster.standing import node_addresses
from wireloom.intent.fleet import Fleet, Kubernetes
from wireloom.intent.releases import parse_version
from wireloom.network.network import Network
from wireloom.preflight.finding import Check, Finding
from wireloom.values import Address, Prefix


def check_lasting(
    fleet: Fleet, kubernetes: Kubernetes, network: Network, one: K3sSeen, role: Role
) -> Iterator[Finding]:
    """All rules of this module about one machine that is in this fleet's cluster."""
    if not is_ours(fleet, one):
        return
    if one.ran is not role:
        yield Finding(
            one.name,
            Check.ROLE,
            f"it is in the cluster as {one.ran}, and the fleet file says {role}",
            f"take it out of the cluster first: wireloom k3s remove {one.name}; then apply",
        )
    yield from _check_version(kubernetes.version or "", one)
    if one.data:
        yield from _check_address(node_addresses(fleet, network, one.name), one)
        yield from _check_backend(kubernetes.flannel_backend or "none", one)


def _check_address(wanted: tuple[Address, ...], one: K3sSeen) -> Iterator[Finding]:
    """The cluster knows a machine by its address: etcd as a member, others by their certificates."""
    there = _setting(one, "node-ip")
    if there and there != ",".join(map(str, wanted)):
        yield Finding(
            one.name,
            Check.RANGE,
            f"the cluster knows it at {there}, and it is to be at {', '.join(map(str, wanted))}",
            "write the range again that it had; or take it out of the cluster first, one machine at a time:"
            f" wireloom k3s remove {one.name}; then apply",
        )


def _check_backend(wanted: str, one: K3sSeen) -> Iterator[Finding]:
    """Nodes with one backend and nodes with another don't reach each other's pods: it is all or none."""
    there = _setting(one, "flannel-backend")
    if there and there != wanted:
        yield Finding(
            one.name,
            Check.CLUSTER,
            f"the cluster carries pods by {there}, and the fleet file wants {wanted}: not supported yet",
            f"write `flannel_backend: {there}`; by hand: docs.k3s.io/networking/basic-network-options",
        )


def _check_version(wanted: str, one: K3sSeen) -> Iterator[Finding]:
    """k3s can't go back (docs.k3s.io/upgrades); forward is a rollout of its own, servers before agents."""
    if not one.version or one.version == wanted:
        return
    here, there = parse_version(one.version), parse_version(wanted)
    back = here is not None and there is not None and there < here
    yield Finding(
        one.name,
        Check.VERSION,
        f"it has k3s {one.version}, and the fleet file wants "
        + (
            f"{wanted}, which is older: k3s can't go back"
            if back
            else f"{wanted}: upgrades are not there yet"
        ),
        f"write `version: {one.version}` under `kubernetes:`"
        + ("" if back else "; or upgrade as docs.k3s.io/upgrades/manual says, and change the file then"),
    )


def check_ranges(fleet: Fleet, kubernetes: Kubernetes, seen: ClusterSeen) -> Iterator[Finding]:
    """Pods and services keep the ranges that the cluster was begun with (docs.k3s.io/cli/server).

    One machine tells for all: the first that is in the cluster and knows.
    """
    wanted = {"pods": kubernetes.pods, "services": kubernetes.services}
    for key, ranges in wanted.items():
        for name in fleet.nodes:
            one = seen.machine(name)
            begun = _begun(one, key) if one and is_ours(fleet, one) else ()
            if one is None or not begun:
                continue
            if begun != ranges:
                yield Finding(
                    one.name,
                    Check.RANGE,
                    f"the cluster has its {key} in {_spell(begun)}, and the fleet file says {_spell(ranges)}",
                    f"write `{key}: [{_spell(begun)}]` under `kubernetes:`; others take another cluster:"
                    " wireloom k3s uninstall, which loses all that is in this one",
                )
            break


_KEYS = {"pods": "cluster-cidr", "services": "service-cidr"}


def _begun(one: K3sSeen, key: str) -> tuple[Prefix, ...]:
    """What the stamp says of a range; else the settings; nothing where neither does."""
    if one.stamp is not None:
        noted = one.stamp.pods if key == "pods" else one.stamp.services
        if noted:
            return noted
    there = _setting(one, _KEYS[key])
    try:
        return tuple(ip_network(part) for part in there.split(",")) if there else ()
    except ValueError:
        return ()


def _setting(one: K3sSeen, key: str) -> str:
    """What the machine's settings have as a word; empty where they don't."""
    text = one.files[SETTINGS].text if SETTINGS in one.files else ""
    found = re.search(rf"^{key}: *[\"']?([^\"'\s]+)[\"']?$", text, re.MULTILINE)
    return found[1] if found else ""


def _spell(ranges: tuple[Prefix, ...]) -> str:
    return ", ".join(map(str, ranges))
