"""One thing that was found on one machine, and how it is mended."""

from dataclasses import dataclass
from enum import StrEnum

from wireloom.errors import Diagnostic, Severity
from wireloom.values import NodeName


class Check(StrEnum):
    """What a finding is about."""

    ANSWER = "answer"
    LOGIN = "login"
    PROBES = "probes"
    TOOLS = "tools"
    WIREGUARD = "wireguard"
    CAPABILITY = "capability"
    DISK = "disk"
    CLOCK = "clock"
    PORT = "port"
    RANGE = "range"
    IDENTITY = "identity"
    OWNERSHIP = "ownership"
    GENERATION = "generation"
    SYSTEM = "system"
    INSTALL = "install"
    KUBERNETES = "kubernetes"
    CLUSTER = "cluster"
    ROLE = "role"
    VERSION = "version"
    CGROUP = "cgroup"
    MEMORY = "memory"
    KERNEL = "kernel"
    FIREWALL = "firewall"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a node. ``hint`` is what to do, with the command that mends it on that machine.

    An error keeps plan and apply from that machine; a warning is told, and they go on.
    """

    node: NodeName
    check: Check
    what: str
    hint: str = ""
    severity: Severity = Severity.ERROR

    @property
    def is_error(self) -> bool:
        """Whether nothing is done before it is mended."""
        return self.severity is Severity.ERROR

    @property
    def diagnostic(self) -> Diagnostic:
        """The same, as a user is told of any other mistake."""
        return Diagnostic(self.what, where=str(self.node), hint=self.hint, severity=self.severity)
