"""Rules about what can't be changed once a machine is in a cluster: its role, its version, the ranges."""

import re
from collections.abc import Iterator
from ipaddress import ip_network

from wireloom.cluster.belonging import is_ours
from wireloom.cluster.places import SETTINGS, Role
from wireloom.cluster.seen import ClusterSeen, K3sSeen
from wireloom.intent.fleet import Fleet, Kubernetes
from wireloom.preflight.finding import Check, Finding
from wireloom.values import Prefix

_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)(?:-(?:alpha|beta|rc)\.?(\d+))?(?:\+k3s(\d+))?")
_FINAL = 10**6
"""Comes after every release candidate."""


def parse_version(text: str) -> tuple[int, ...] | None:
    """``v1.34.2+k3s1`` → numbers that compare; a release candidate before the release. None: no version."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    major, minor, patch, candidate, build = found.groups()
    return (int(major), int(minor), int(patch), int(candidate or _FINAL), int(build or 0))


def check_lasting(fleet: Fleet, kubernetes: Kubernetes, one: K3sSeen, role: Role) -> Iterator[Finding]:
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
    text = one.files[SETTINGS].text if SETTINGS in one.files else ""
    found = re.search(rf"^{_KEYS[key]}: *[\"']?([0-9a-f:./,]+)[\"']?$", text, re.MULTILINE)
    try:
        return tuple(ip_network(part) for part in found[1].split(",")) if found else ()
    except ValueError:
        return ()


def _spell(ranges: tuple[Prefix, ...]) -> str:
    return ", ".join(map(str, ranges))
