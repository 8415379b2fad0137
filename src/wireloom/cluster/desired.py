"""What k3s should be on one machine: its files, its version, and by whom it comes into the cluster."""

from dataclasses import dataclass

from wireloom.cluster.places import Role
from wireloom.cluster.seen import K3sStamp
from wireloom.values import Address, NodeName


@dataclass(frozen=True, slots=True)
class ClusterFile:
    """A file that k3s or systemd reads. Never a secret: tokens are made and handed on between machines.

    ``purpose``: what it is good for, in a few words. ``mode`` as in chmod.
    """

    path: str
    text: str
    purpose: str
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class Entry:
    """How a machine comes into the cluster: it begins it (``server`` is None), or joins at a server.

    ``url``: the API of that server, like ``https://10.99.0.1:6443``.
    """

    server: NodeName | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class K3sDesired:
    """All that k3s should be on one machine.

    ``addresses`` are its own in the cluster (node-ip), the first family first. ``settings`` is the file that
    k3s reads, ``unit`` that of systemd, ``others`` what else they name. ``stamp`` is left there, too. What
    ``settings`` says of the entry counts only where the machine is not in the cluster yet. ``database``: it
    has to be told, in secret, of the one that has the cluster's state.
    """

    name: NodeName
    role: Role
    version: str
    addresses: tuple[Address, ...]
    entry: Entry
    settings: ClusterFile
    unit: ClusterFile
    stamp: K3sStamp
    others: tuple[ClusterFile, ...] = ()
    database: bool = False

    @property
    def files(self) -> tuple[ClusterFile, ...]:
        """In the order in which they are written: what others name comes first."""
        return (*self.others, self.settings, self.unit)
