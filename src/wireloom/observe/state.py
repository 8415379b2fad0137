"""What was seen on one node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from wireloom.values import Address, Endpoint, Interface, NodeName, Prefix, PublicKey


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


class ConfigKind(StrEnum):
    """Whose the configuration file is."""

    ABSENT = "absent"
    OURS = "ours"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class ConfigSeen:
    """The wg-quick file. ``keyless`` is its text without the key line, empty unless it is ours."""

    kind: ConfigKind
    keyless: str = ""
    mode: int = 0
    has_key: bool = False


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
    """The running interface. ``kind`` is wireguard, or tun for a userspace implementation."""

    kind: str
    up: bool
    mtu: int
    addresses: frozenset[Interface]
    public_key: PublicKey | None
    port: int
    fwmark: int
    peers: Mapping[PublicKey, PeerSeen]


@dataclass(frozen=True, slots=True)
class RouteSeen:
    """A route of the main table. ``kind`` is unicast, unreachable, …; ``device`` may be empty."""

    kind: str
    to: Prefix
    device: str
    metric: int


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
class NodeState:
    """All that was seen of one node in one round trip. ``garbled`` names probes that made no sense.

    ``drop_in`` is the text of wireloom's addition to the unit; None where there is none. ``client`` is where
    the operator's own connection comes from, as far as sudo lets it through. ``others``: further
    interfaces that wireloom keeps there, each with its fleet.
    """

    name: NodeName
    system: SystemSeen
    key_kind: KeyKind
    public_key: PublicKey | None
    key_mode: int
    config: ConfigSeen
    stamp: Stamp | None
    link: LinkSeen | None
    routes: frozenset[RouteSeen]
    enabled: bool
    guard: GuardKind = GuardKind.ABSENT
    drop_in: str | None = None
    client: Address | None = None
    others: Mapping[str, str] = field(default_factory=dict)
    garbled: tuple[str, ...] = ()


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
