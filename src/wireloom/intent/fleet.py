"""What the operator wants, validated: the value that everything else is derived from."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from wireloom.values import Address, Interface, NodeName, Prefix, SiteName, SshTarget

K3S_RELEASES = "https://github.com/k3s-io/k3s/releases/download"
"""Where k3s publishes its releases (k3s, install.sh, GITHUB_URL)."""


@dataclass(frozen=True, slots=True)
class Underlay:
    """The encrypted network: its interface, UDP port, address ranges and MTU (None: worked out).

    ``guard``: nodes drop its packets where they come or go beside the interface, but for the interfaces
    ``trusted`` (a ``*`` at the end stands for any ending). Without any range where the network plugin alone
    encrypts (``Fleet.has_underlay``) and the file says nothing of it: the interface is then only the name
    under which what wireloom left on a machine is looked for.
    """

    interface: str
    port: int
    ipv4: IPv4Network | None
    ipv6: IPv6Network | None
    mtu: int | None = None
    guard: bool = True
    trusted: tuple[str, ...] = ()

    @property
    def ranges(self) -> tuple[Prefix, ...]:
        """The ranges in use, IPv4 first."""
        return tuple(one for one in (self.ipv4, self.ipv6) if one is not None)


@dataclass(frozen=True, slots=True)
class Site:
    """A data centre or office: machines in it reach each other by private addresses.

    Two sites may have the same private range: a private address means something in its own site only.
    """

    name: SiteName
    private: tuple[Prefix, ...] = ()
    nat: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the fleet. ``nat``: it can dial out but can't be dialled from outside its site."""

    name: NodeName
    site: SiteName
    ssh: SshTarget | None = None
    public: tuple[Address, ...] = ()
    private: tuple[Address, ...] = ()
    nat: bool = False
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """The cluster, as far as its network must know it.

    ``version`` is None where somebody else runs k3s, and wireloom only makes room for it.
    ``flannel_backend`` is None where the network plugin is not flannel. ``public_api``: the API server may be
    reached beside the underlay. ``mirror``: a URL, the releases are at ``mirror/VERSION/FILE``.
    ``protected``: `k3s uninstall` is refused.
    """

    distribution: str = "k3s"
    version: str | None = None
    cni: str = "flannel"
    encrypt: str = "underlay"
    pods: tuple[Prefix, ...] = ()
    services: tuple[Prefix, ...] = ()
    flannel_backend: str | None = "vxlan"
    datastore: str = "embedded"
    public_api: bool = False
    mirror: str = K3S_RELEASES
    protected: bool = False

    @property
    def routes_pods(self) -> bool:
        """Whether pods go through the tunnels by their own addresses, with nothing around them."""
        return self.flannel_backend == "host-gw"

    @property
    def managed(self) -> bool:
        """Whether wireloom installs k3s on the machines."""
        return self.version is not None


@dataclass(frozen=True, slots=True)
class Carried:
    """What a stand-in carries for the interface whose keys are changed meanwhile, which is ``interface``.

    ``addresses``: those that each node has there. ``behind``: all that each may use there, its pods' ranges
    among them. ``led``: packets are led over the stand-in; otherwise it is only there.
    """

    interface: str
    addresses: Mapping[NodeName, tuple[Interface, ...]]
    behind: Mapping[NodeName, tuple[Prefix, ...]]
    led: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """One validated ``fleet.yaml``. ``nodes`` and ``sites`` keep the order of the file.

    While keys are rotated (see ``network.stand_in``): ``relief`` is the interface that stands in for the
    underlay's; and ``carries`` makes of a fleet the stand-in itself.
    """

    name: str
    underlay: Underlay
    sites: Mapping[SiteName, Site]
    nodes: Mapping[NodeName, Node]
    lab: bool = False
    kubernetes: Kubernetes | None = None
    path: Path = Path("fleet.yaml")
    relief: str | None = None
    carries: Carried | None = None

    @property
    def behind_nat(self) -> frozenset[NodeName]:
        """The nodes that can dial out but can't be dialled from outside of their sites."""
        return frozenset(name for name, node in self.nodes.items() if node.nat)

    @property
    def k3s(self) -> Kubernetes | None:
        """The cluster that wireloom makes; None where there is none, or somebody else makes it."""
        return self.kubernetes if self.kubernetes and self.kubernetes.managed else None

    @property
    def has_underlay(self) -> bool:
        """Whether the underlay is built at all: where the network plugin alone encrypts, it is not."""
        return self.kubernetes is None or self.kubernetes.encrypt != "cni"
