"""What was seen on one node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wireloom.values import Address, Endpoint, Interface, NodeName, Prefix, PublicKey

MAIN = "main"
"""The table of routes that is meant where none is named."""


@dataclass(frozen=True, slots=True)
class SystemSeen:
    """The machine itself. ``clock`` is its time in seconds since 1970; ``tools`` those found on PATH."""

    distribution: str
    kernel: str
    architecture: str
    systemd: bool
    clock: float
    tools: frozenset[str]
    kernel_wireguard: bool


@dataclass(frozen=True, slots=True)
class AddressSeen:
    """An address of any interface of the machine; link-local ones are left out."""

    device: str
    address: Interface


@dataclass(frozen=True, slots=True)
class DiskSeen:
    """The file system under a directory that wireloom writes to, or would make.

    ``free`` is in bytes; it and ``free_files`` are None where the machine does not count them.
    """

    directory: str
    read_only: bool
    free: int | None
    free_files: int | None


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """How far a machine's clock is ahead of a zero that all machines of one look share, in seconds.

    ``offset`` is right to within ``doubt``, half the time that the answer took. Only differences between
    machines mean anything: the zero is the operator's monotonic clock, not the time of day.
    """

    offset: float
    doubt: float

    @classmethod
    def measured(cls, clock: float, sent: float, received: float) -> "ClockSeen":
        """From a time of day that was read at some moment between two of the operator's own."""
        return cls(clock - (sent + received) / 2, (received - sent) / 2)


@dataclass(frozen=True, slots=True)
class RouteSeen:
    """A route. ``kind`` is unicast, unreachable, …; ``device`` may be empty."""

    kind: str
    to: Prefix
    device: str
    metric: int
    table: str = MAIN


@dataclass(frozen=True, slots=True)
class RuleSeen:
    """A rule of policy routing (ip-rule(8)): packets ``source`` → ``to`` are looked up in ``table``.

    ``narrow``: it asks for more than these two, as a mark. A route that is not longer than ``suppress`` is
    passed over. ``words``: all of it, nearly as ip says it.
    """

    priority: int
    source: Prefix
    to: Prefix
    table: str
    narrow: bool
    words: str
    suppress: int = -1


@dataclass(frozen=True, slots=True)
class GroundSeen:
    """What a machine gives to build on. Each default is what nothing can be said against.

    ``families``: the ID of its distribution and those that it is like, nearest first (os-release(5)).
    ``identity``: a digest of its machine-id. ``versions``: what tools say of themselves, by tool,
    where it may matter.
    ``port_holder``: who has the UDP port of the underlay, None for nobody, empty where that is not known.
    ``rules``: those that name a table, in the order of their priority. ``elsewhere``: the routes of other
    tables than main and local.
    """

    families: tuple[str, ...] = ()
    identity: str = ""
    host_key: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    net_admin: bool = True
    tun: bool = True
    disks: tuple[DiskSeen, ...] = ()
    addresses: frozenset[AddressSeen] = frozenset()
    port_holder: str | None = None
    clock: ClockSeen | None = None
    rules: tuple[RuleSeen, ...] = ()
    elsewhere: frozenset[RouteSeen] = frozenset()


class ConfigKind(StrEnum):
    """Whose the configuration file is."""

    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read a file with a key in it: the mode, and the number of the owner, who always may."""

    mode: int = 0
    owner: int = 0

    def differences(self, wanted: "Access") -> list[str]:
        """What is not as wanted, in words."""
        mode = [f"mode {self.mode:o} → {wanted.mode:o}"] if self.mode != wanted.mode else []
        owner = [f"owner {self.owner} → {wanted.owner}"] if self.owner != wanted.owner else []
        return mode + owner


SECRET = Access(0o600)
"""As every file with a key in it is to be: root's alone."""


@dataclass(frozen=True, slots=True)
class ConfigSeen:
    """The wg-quick file. ``keyless`` is its text without the key line, empty unless it is ours.

    ``public_key`` belongs to the key of that line; None where wg refuses it, or the file is not ours.
    """

    kind: ConfigKind
    keyless: str = ""
    access: Access = Access()
    has_key: bool = False
    public_key: PublicKey | None = None


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """A peer of the running interface. ``handshake``: seconds since 1970, 0 for never; bytes since start.

    ``preshared``: it has a preshared key, which nobody looks at.
    """

    public_key: PublicKey
    endpoint: Endpoint | None
    allowed_ips: frozenset[Prefix]
    handshake: int
    received: int
    sent: int
    keepalive: int
    preshared: bool = False


@dataclass(frozen=True, slots=True)
class LinkSeen:
    """The running interface. ``kind`` is wireguard, or tun for a userspace implementation.

    ``keeper`` is its ``keep_addr_on_down``: above 0, its IPv6 addresses outlive a link that goes down.
    ``filter`` is its ``rp_filter`` as the kernel takes it, ``usual_filter`` that of a new interface.
    ``received``, ``sent``: bytes since it was made, also to peers that have gone; None where ip tells none.
    """

    kind: str
    up: bool
    mtu: int
    addresses: frozenset[Interface]
    public_key: PublicKey | None
    port: int
    fwmark: int
    peers: Mapping[PublicKey, PeerSeen]
    keeper: int = 0
    filter: int = 0
    usual_filter: int = 0
    received: int | None = None
    sent: int | None = None


@dataclass(frozen=True, slots=True)
class RiderSeen:
    """A VXLAN device (flannel's, say): ``vni`` is its number, ``lower`` the interface that it sends by."""

    device: str
    vni: int
    lower: str


class GuardKind(StrEnum):
    """The guard's table in the kernel, against what the configuration file would load."""

    ABSENT = "absent"
    AS_FILED = "as filed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Stamp:
    """wireloom's own note on a node: the fleet, the generation, and what stands behind that number.

    ``network`` is the digest of the whole network at that generation, ``digest`` that of the node's file.
    """

    fleet: str
    generation: int
    network: str
    digest: str


class KeyKind(StrEnum):
    """Whether the key file can be used."""

    ABSENT = "absent"
    GOOD = "good"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class OtherFleet:
    """Whose another interface of the machine is. ``guarded``: its file loads the machine's one table."""

    fleet: str
    guarded: bool


@dataclass(frozen=True, slots=True)
class NodeState:
    """All that was seen of one node in one round trip. ``garbled`` names probes that made no sense.

    ``drop_in`` is the text of wireloom's addition to the unit; None where there is none. ``client`` is where
    the operator's own connection comes from, None where that can't be told. ``routes``: those of the main
    table. ``others``: further interfaces that wireloom keeps there, by name. ``riders``: all VXLAN devices.
    ``fingerprint``: the SHA-256, in hex, of the running state and the stamp: it changes when somebody
    applies, or works by hand.
    """

    name: NodeName
    system: SystemSeen
    key_kind: KeyKind
    public_key: PublicKey | None
    key_access: Access
    config: ConfigSeen
    stamp: Stamp | None
    link: LinkSeen | None
    routes: frozenset[RouteSeen]
    enabled: bool
    guard: GuardKind = GuardKind.ABSENT
    drop_in: str | None = None
    client: Address | None = None
    others: Mapping[str, OtherFleet] = field(default_factory=dict)
    riders: tuple[RiderSeen, ...] = ()
    fingerprint: str = ""
    garbled: tuple[str, ...] = ()
    ground: GroundSeen = field(default_factory=GroundSeen)

    def others_of(self, fleet: str) -> set[str]:
        """The further interfaces there that are this fleet's."""
        return {name for name, other in self.others.items() if other.fleet == fleet}


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A node that could not be looked at. Its absence says nothing about its configuration.

    ``refused``: it answered, and somebody must act (a changed host key, a login that failed).
    """

    name: NodeName
    what: str
    hint: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger(Unreachable):
    """A machine at first contact. ``shown_by`` is the node that showed the key: it or its jump node.

    ``host_key`` is ``type base64``, ``fingerprint`` is ``SHA256:…``.
    """

    shown_by: NodeName
    host_key: str
    fingerprint: str


Seen = Mapping[NodeName, NodeState | Unreachable]
"""What a look at the machines brought, node by node."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation on one node. ``when`` is ISO 8601, ``what`` for people; ``present``: it is in use."""

    number: int
    who: str
    when: str
    what: str
    present: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored configuration: the text of the wg-quick file, without its key line.

    ``digest`` is the SHA-256, in hex, of what was stored; empty where there is none beside the text.
    """

    number: int
    digest: str
    keyless: str
