"""What was seen of k3s on one machine, and of the cluster as one of its servers tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wireloom.cluster.places import Role
from wireloom.observe.state import Unreachable
from wireloom.values import Address, NodeName, Prefix, PublicKey


@dataclass(frozen=True, slots=True)
class K3sStamp:
    """wireloom's note on a machine: the fleet, and what its cluster was begun with."""

    fleet: str
    pods: tuple[Prefix, ...] = ()
    services: tuple[Prefix, ...] = ()

    @property
    def text(self) -> str:
        """The text of the note."""
        ranges = {"pods": self.pods, "services": self.services}
        lines = [f"{name}={','.join(map(str, ones))}\n" for name, ones in ranges.items()]
        return "".join([f"fleet={self.fleet}\n", *lines])


@dataclass(frozen=True, slots=True)
class FileSeen:
    """A file's text and mode."""

    text: str
    mode: int


class Rival(StrEnum):
    """What else may have made a machine its own before k3s comes."""

    KUBEADM = "kubeadm"
    RKE2 = "rke2"
    MICROK8S = "microk8s"
    K0S = "k0s"
    DOCKER = "docker"
    NETWORK = "network"
    """The interface of a pod network, where no k3s has run."""

    SECOND = "second"
    """The unit of the other role beside the one that counts."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A trace of a rival: a file, a directory, an interface."""

    rival: Rival
    at: str


@dataclass(frozen=True, slots=True)
class K3sSeen:
    """k3s on one machine, in one round trip.

    ``version``: what the binary says of itself; empty where it says nothing, None where there is none.
    ``role``: whose unit is there. ``active`` is systemd's word (active, activating, failed, inactive).
    ``files`` holds those of wireloom's files that are there, without text where they are somebody else's.
    ``ran``: as what k3s has run here, by its data; ``data``: it has, as the role of the unit. ``cluster``:
    the SHA-256 of its cluster's CA certificate, in hex; empty where it has none. ``tokens``: which secret
    files are there and not empty; ``open_tokens``: those of them that not only root can read; ``token_cas``:
    the digests of a CA certificate that tokens begin with (docs.k3s.io/cli/token).
    ``restart_due``: an apply has replaced what k3s runs with, and did not come to its restart.
    ``controllers``: the cgroup controllers that the machine has; ``withheld``: what its kernel has of them
    besides; ``cgroup``: 1 or 2. ``memory``, ``swap`` in bytes. ``holders``: who has the TCP ports of k3s
    where it does not run, by port. ``kernel``: which of the modules that k3s wants it has, None where k3s
    runs. ``disturbers``: services at work there that k3s' documentation warns of.
    """

    name: NodeName
    version: str | None = None
    role: Role | None = None
    enabled: bool = False
    active: str = "inactive"
    files: Mapping[str, FileSeen] = field(default_factory=dict)
    ran: Role | None = None
    data: bool = False
    cluster: str = ""
    tokens: frozenset[str] = frozenset()
    open_tokens: frozenset[str] = frozenset()
    token_cas: frozenset[str] = frozenset()
    restart_due: bool = False
    stamp: K3sStamp | None = None
    leftovers: tuple[Leftover, ...] = ()
    controllers: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()
    cgroup: int = 2
    memory: int = 0
    swap: int = 0
    holders: Mapping[int, str] = field(default_factory=dict)
    kernel: frozenset[str] | None = None
    disturbers: frozenset[str] = frozenset()
    systemd: bool = True
    architecture: str = "x86_64"
    garbled: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """It was started, and it has said that it is ready."""
        return self.active == "active"


@dataclass(frozen=True, slots=True)
class Member:
    """A node of Kubernetes, as the API tells it.

    ``etcd_voter``: None where it has no etcd. ``pods`` are its pod ranges. ``flannel_key``: the WireGuard key
    that flannel published for it, ``flannel_backend`` its word for how it carries pods.
    """

    name: NodeName
    ready: bool
    internal: tuple[Address, ...] = ()
    external: tuple[Address, ...] = ()
    server: bool = False
    etcd_voter: bool | None = None
    version: str = ""
    pods: tuple[Prefix, ...] = ()
    flannel_backend: str = ""
    flannel_key: PublicKey | None = None
    schedulable: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ClusterSeen:
    """The fleet's k3s: each machine that answered, and the cluster if a server of it could tell.

    ``members`` is None where no server told (none runs, or none is ready). ``told_by``: the server that did.
    """

    nodes: Mapping[NodeName, K3sSeen | Unreachable]
    members: Mapping[NodeName, Member] | None = None
    told_by: NodeName | None = None
    trouble: str = ""

    def machine(self, name: NodeName) -> K3sSeen | None:
        """What was seen of one machine; None where it did not answer."""
        one = self.nodes.get(name)
        return one if isinstance(one, K3sSeen) else None

    def member(self, name: NodeName) -> Member | None:
        """One machine as the cluster knows it; None where it does not, or nobody told."""
        return (self.members or {}).get(name)
