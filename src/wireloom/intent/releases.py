"""From which k3s on there is what a fleet file asks for, by k3s' release notes (docs.k3s.io/release-notes).

Older than all that is here, and so in every k3s that is taken: a configuration file (v1.19.1),
`flannel-ipv6-masq` (k3s pull request 4952, 2022), `flannel-backend: wireguard-native` (v1.23.6).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from wireloom.intent.fields import Values
from wireloom.intent.finding import Finding
from wireloom.intent.schema import DATASTORE, ENCRYPT, PODS, SERVICES, VERSION

Release = tuple[int, int, int]

_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)(?:-(?:alpha|beta|rc)\.?(\d+))?(?:\+k3s(\d+))?")
_FINAL = 10**6
"""Comes after every release candidate."""


def parse_version(text: str) -> tuple[int, int, int, int, int] | None:
    """``v1.34.2+k3s1`` → numbers that compare; a release candidate before the release. None: no version."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    major, minor, patch, candidate, build = found.groups()
    return (int(major), int(minor), int(patch), int(candidate or _FINAL), int(build or 0))


@dataclass(frozen=True, slots=True)
class Newcomer:
    """What older releases lack, in words that follow on `k3s VERSION`, and where one reads of it.

    ``since``: the first release of each minor version that it came to, in their order. Those behind the last
    have it, those before the first don't.
    """

    lack: str
    since: tuple[Release, ...]
    source: str

    def is_in(self, release: Release) -> bool:
        """Whether a release has it."""
        first = next((one for one in self.since if one[:2] == release[:2]), self.since[-1])
        return release >= first


AGENT_TOKEN = Newcomer(
    "keeps no token for agents that names its cluster, and without it nobody joins",
    ((1, 24, 4),),
    "k3s pull request 5906",
)
VOTES = Newcomer(
    "does not tell which etcd members have a vote, and each server waits for that",
    ((1, 25, 16), (1, 26, 11), (1, 27, 8), (1, 28, 4)),
    "k3s pull request 8724; for another database write `datastore: external`",
)
EXTERNAL_IP = Newcomer(
    "has no `flannel-external-ip`, and across clouds flannel would dial private addresses",
    ((1, 24, 7), (1, 25, 3)),
    "k3s pull request 6321",
)
TWO_FAMILIES = Newcomer(
    "takes one address of a machine on an underlay, and pods have IPv4 and IPv6",
    ((1, 27, 0),),
    "k3s issue 5981, docs.k3s.io/networking/basic-network-options",
)
IPV6_FIRST = Newcomer(
    "signs no certificate for the API's address in IPv6 services that come before IPv4 ones",
    ((1, 24, 11), (1, 25, 7), (1, 26, 2)),
    "k3s issue 6847",
)


def check_release(kubernetes: Values, *, across: bool) -> Iterator[Finding]:
    """The version that is to be installed has what it will be told to use.

    ``across``: its machines meet at public addresses. Newer releases than those that were tried are taken as
    they are.
    """
    version = kubernetes.get(VERSION)
    numbers = parse_version(version or "")
    if numbers is None:
        return
    for one in _newcomers(kubernetes, across=across):
        if not one.is_in(numbers[:3]):
            first = ", ".join(f"v{major}.{minor}.{patch}" for major, minor, patch in one.since)
            hint = f"take a newer one: this came with {first} ({one.source})"
            yield Finding(kubernetes.place(VERSION), f"k3s {version} {one.lack}", hint)


def _newcomers(kubernetes: Values, *, across: bool) -> Iterator[Newcomer]:
    """What the file asks for."""
    pods = {one.value.version for one in kubernetes.get(PODS) or ()}
    services = [one.value.version for one in kubernetes.get(SERVICES) or ()]
    yield AGENT_TOKEN
    if kubernetes.get(DATASTORE) == "embedded":
        yield VOTES
    if across:
        yield EXTERNAL_IP
    if len(pods) > 1 and kubernetes.get(ENCRYPT) != "cni":
        yield TWO_FAMILIES
    if services[:1] == [6] and 4 in services:
        yield IPV6_FIRST
