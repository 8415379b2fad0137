"""The decided public facts of a fleet: which address, which key, which host key belong to whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from typing import NamedTuple

from wireloom.errors import UserError
from wireloom.lock.footing import Footing
from wireloom.values import Address, NodeName, Prefix, PublicKey


@dataclass(frozen=True, slots=True)
class LockedNode:
    """What was given to one node, and what was seen of it. Never a secret.

    ``former``: addresses of ranges that the fleet is leaving, while nodes may still use them. ``pods``: the
    ranges that the cluster gave it for its pods.
    ``ssh_host_key`` is ``type base64`` as in known_hosts. ``released`` is the generation at which the
    node left the fleet (None: it is in it).
    """

    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None
    public_key: PublicKey | None = None
    ssh_host_key: str | None = None
    released: int | None = None
    former: tuple[Address, ...] = ()
    pods: tuple[Prefix, ...] = ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The underlay addresses, IPv4 first, then former ones."""
        return (*(one for one in (self.ipv4, self.ipv6) if one is not None), *self.former)

    def address_in(self, prefix: Prefix) -> Address | None:
        """The node's address in a range; where it has two there, not the former one."""
        return next((one for one in self.addresses if one in prefix), None)


@dataclass(frozen=True, slots=True)
class Lock:
    """One ``fleet.lock``. ``generation`` counts the applies that were begun; 0: never applied.

    ``network`` is the digest of the network that the generation stands for: two checkouts that
    both count to 8 are told apart by it. ``footing``: what all nodes have in common, those that did not
    answer lately among them; None: nothing was applied, or by a version that did not note it. ``releases``:
    the SHA-256, in hex, of what is fetched as which k3s (``v1.34.2+k3s1/amd64``).
    """

    fleet: str
    generation: int = 0
    network: str = ""
    nodes: Mapping[NodeName, LockedNode] = field(default_factory=dict)
    footing: Footing | None = None
    releases: Mapping[str, str] = field(default_factory=dict)

    @property
    def members(self) -> dict[NodeName, LockedNode]:
        """The nodes that are in the fleet, without the released ones."""
        return {name: node for name, node in self.nodes.items() if node.released is None}

    def with_keys(self, keys: Mapping[NodeName, PublicKey]) -> "Lock":
        """The same lock with these public keys put in; names it does not hold are passed over."""
        return self._changed({name: {"public_key": key} for name, key in keys.items()})

    def with_host_keys(self, host_keys: Mapping[NodeName, str]) -> "Lock":
        """The same lock with host keys put in where none was pinned; a pinned one never changes."""
        fresh = {
            name: {"ssh_host_key": key}
            for name, key in host_keys.items()
            if name in self.nodes and self.nodes[name].ssh_host_key is None
        }
        return self._changed(fresh)

    def with_pods(self, pods: Mapping[NodeName, tuple[Prefix, ...]]) -> "Lock":
        """The same lock with the pod ranges that the cluster tells now: who is not named has none.

        Raises UserError where two nodes would have one range.
        """
        told = self._changed({name: {"pods": tuple(pods.get(name, ()))} for name in self.nodes})
        clash = find_overlap(told.nodes)
        if clash is not None:
            raise UserError.one(
                f"the cluster gives {clash.prefix} to the pods of `{clash.one}` and of `{clash.other}`",
                hint="a node that was replaced may be there under its old name, too: see `kubectl get nodes`",
            )
        return told

    def on(self, footing: Footing | None) -> "Lock":
        """The same lock on another footing, without the former addresses that nobody uses any more."""
        ranges = footing.ranges if footing else ()
        used = {name: [node.address_in(prefix) for prefix in ranges] for name, node in self.nodes.items()}
        former = {
            name: {"former": tuple(one for one in node.former if one in used[name])}
            for name, node in self.nodes.items()
            if node.former
        }
        return replace(self._changed(former), footing=footing)

    def with_releases(self, digests: Mapping[str, str]) -> "Lock":
        """The same lock with these digests put in where none was known; a known one never changes."""
        return replace(self, releases={**digests, **self.releases})

    def _changed(self, changes: Mapping[NodeName, Mapping[str, object]]) -> "Lock":
        nodes = dict(self.nodes)
        for name, values in changes.items():
            if name in nodes:
                nodes[name] = replace(nodes[name], **values)  # type: ignore[arg-type]
        return replace(self, nodes=nodes)


class Overlap(NamedTuple):
    """A pod range of two nodes."""

    prefix: Prefix
    one: NodeName
    other: NodeName


def find_overlap(nodes: Mapping[NodeName, LockedNode]) -> Overlap | None:
    """The first pod range that lies in another node's; None where all are apart.

    Sorted, the first that overlaps an earlier one overlaps the one right before it.
    """
    held = [(prefix, name) for name, node in nodes.items() for prefix in node.pods]
    held.sort(key=lambda one: (one[0].version, one[0].network_address.packed, one[0].prefixlen))
    for (wide, one), (prefix, other) in pairwise(held):
        if wide.version == prefix.version and prefix.network_address in wide:
            return Overlap(prefix, one, other)
    return None
