"""The words of the field as types: names, keys, endpoints and addresses."""

import base64
import binascii
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
)
from typing import NewType

NodeName = NewType("NodeName", str)
SiteName = NewType("SiteName", str)

Address = IPv4Address | IPv6Address
Prefix = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface

KEY_BYTES = 32

VXLAN_PORT = 8472
"""What Linux and flannel send VXLAN to (ip-link(8), dstport); never to be open beside the tunnel."""

FLANNEL_PORTS = (51830, 51831)
"""Where flannel's WireGuard listens beside an underlay, IPv4 and IPv6."""

FLANNEL_OWN_PORTS = {4: 51820, 6: 51821}
"""Where it listens by itself, by the family of the pods (flannel, pkg/backend/wireguard)."""

API_PORT, ETCD_PORTS, KUBELET_PORT = 6443, (2379, 2380), 10250
"""Where k3s is reached by its own machines (docs.k3s.io/installation/requirements, inbound rules)."""


@dataclass(frozen=True, slots=True, order=True)
class PublicKey:
    """A WireGuard public key: 32 bytes of Curve25519, in base64 (44 characters), as ``wg`` prints it."""

    text: str

    def __post_init__(self) -> None:
        """Refuse with ValueError what ``wg`` would refuse or read as another key."""
        try:
            raw = base64.b64decode(self.text, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES or base64.b64encode(raw).decode() != self.text:
            raise ValueError("a WireGuard key is 44 characters of base64 that stand for 32 bytes")

    def __str__(self) -> str:
        """The base64 text."""
        return self.text


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a peer is dialled: an address and a UDP port."""

    address: Address
    port: int

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """``192.0.2.1:51820`` or ``[2001:db8::1]:51820`` → Endpoint. Raises ValueError."""
        host, _, port = text.rpartition(":")
        if not (port.isascii() and port.isdecimal() and int(port) <= 65535):
            raise ValueError(f"{port!r} is not a port")
        return cls(ip_address(host.strip("[]")), int(port))

    def __str__(self) -> str:
        """``192.0.2.1:51820`` or ``[2001:db8::1]:51820``, as ``wg`` prints it."""
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SshTarget:
    """How the operator reaches a machine. None means: what ssh's own configuration says.

    ``jump`` is the name of a node of the fleet, or a host as ssh would take it.
    """

    host: str
    port: int | None = None
    user: str | None = None
    jump: str | None = None
    sudo: bool = False
    identity: str | None = None
