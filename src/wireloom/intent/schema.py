"""The tables of ``fleet.yaml``: every key, what it takes, and what it means."""

from enum import Enum

from wireloom.intent.access import DEFAULTS, Access
from wireloom.intent.fields import Entry, Field, JsonSchema, ListOf, NotYet, Record, Table, Values
from wireloom.intent.finding import Located
from wireloom.intent.fleet import K3S_RELEASES
from wireloom.intent.scalars import (
    ADDRESS,
    PUBLIC_KEY,
    RANGE,
    base_url,
    choice,
    either,
    flag,
    name,
    number,
    underlay_range,
    word,
)
from wireloom.values import Address, Prefix, PublicKey

# k3s gives these to pods and services when nobody says otherwise (docs.k3s.io/cli/server, --cluster-cidr and
# --service-cidr). They are kept free of the underlay also where the file has no `kubernetes:`.
K3S_PODS = "10.42.0.0/16"
K3S_SERVICES = "10.43.0.0/16"

IPV6_MIN_MTU = 1280  # RFC 8200, section 5


class Auto(Enum):
    """A value to be worked out."""

    AUTO = "auto"


SITE_NAME = name("a site's name")
NODE_NAME = name("a node's name")

_RANGES: ListOf[Prefix] = ListOf(RANGE, "a list of ranges")
_ADDRESSES: ListOf[Address] = ListOf(ADDRESS, "a list of addresses")

# wg-quick takes [a-zA-Z0-9_=+.-]{1,15}; the kernel stores 15 characters (IFNAMSIZ).
_INTERFACE = word(
    "an interface name",
    "[a-zA-Z0-9][a-zA-Z0-9_=+.-]*",
    15,
    "letters, digits and `_=+.-`, a letter or digit first",
)
# nft takes a * at the end of an interface's name for any ending (nft(8), iface type).
_DEVICE = word(
    "an interface name",
    r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\*?",
    16,
    "letters, digits and `_.-`, a letter or digit first, a `*` at the end for any ending",
)
_MTU = either({"auto": Auto.AUTO}, number("an MTU", 576, 9000), "`auto` or a number of bytes")

INTERFACE: Field[str] = Field("interface", _INTERFACE, "The name of the WireGuard interface.", default="wg0")
UDP_PORT: Field[int] = Field(
    "port",
    number("a port", 1, 65535),
    "The UDP port that WireGuard listens on, on every node.",
    default=51820,
)
IPV4: Field[Prefix] = Field(
    "ipv4", underlay_range(4, 30), "The IPv4 range of the underlay, like 10.99.0.0/16."
)
IPV6: Field[Prefix] = Field(
    "ipv6", underlay_range(6, 126), "The IPv6 range of the underlay, like fd42:99::/64."
)
MTU: Field[int | Auto] = Field(
    "mtu",
    _MTU,
    "The interface's MTU in bytes. `auto`: 1440, 1420 if an endpoint is IPv6, less where a path is smaller.",
    default="auto",
)
GUARD: Field[bool] = Field(
    "guard",
    flag(),
    "Whether each node's firewall drops underlay packets beside the interface, and closes k3s' ports there.",
    default=True,
)
TRUSTED: Field[tuple[Located[str], ...]] = Field(
    "trusted",
    ListOf(_DEVICE, "a list of interface names"),
    "Other interfaces that the guard lets underlay packets pass by, such as docker0 or br-*.",
    default=[],
)
PRESHARED_KEYS: Field[bool] = Field(
    "preshared_keys",
    NotYet(flag(), "preshared keys are"),
    "A preshared key for every pair. Not supported yet.",
    default=False,
)
UNDERLAY_RECORD = Record("`underlay`", INTERFACE, UDP_PORT, IPV4, IPV6, MTU, GUARD, TRUSTED, PRESHARED_KEYS)

SITE_PRIVATE: Field[tuple[Located[Prefix], ...]] = Field(
    "private",
    _RANGES,
    "The private ranges by which the site's nodes reach each other. Another site may have the same.",
    default=[],
)
SITE_SUBNETS: Field[tuple[Located[Prefix], ...]] = Field(
    "subnets",
    NotYet(_RANGES, "subnets of a site are"),
    "Networks behind the site that other sites shall reach. Not supported yet.",
    default=[],
)
SITE_NAT: Field[bool] = Field(
    "nat", flag(), "Whether the site's nodes can dial out but not be dialled from outside.", default=False
)
SITE_RECORD = Record("this site", SITE_PRIVATE, SITE_SUBNETS, SITE_NAT)

NODE_SITE: Field[str] = Field("site", SITE_NAME, "The site that the node is in.", required=True)
NODE_SSH: Field[Values] = Field(
    "ssh",
    Access(),
    "How to reach the node: [user@]host[:port] or a mapping. Left out: the node is for export only.",
)
NODE_PUBLIC: Field[tuple[Located[Address], ...]] = Field(
    "public", _ADDRESSES, "The addresses at which other sites can dial the node.", default=[]
)
NODE_PRIVATE: Field[tuple[Located[Address], ...]] = Field(
    "private", _ADDRESSES, "The node's addresses in its site's private ranges.", default=[]
)
NODE_NAT: Field[bool] = Field("nat", flag(), "Whether the node is behind NAT; left out, its site says so.")
NODE_ROLES: Field[tuple[Located[str], ...]] = Field(
    "roles",
    ListOf(choice("a role", "k3s-server", "k3s-agent"), "a list of roles"),
    "What the node does in the cluster; nothing for a node outside Kubernetes.",
    default=[],
)
NODE_RECORD = Record("this node", NODE_SITE, NODE_SSH, NODE_PUBLIC, NODE_PRIVATE, NODE_NAT, NODE_ROLES)

DEVICE_KEY: Field[PublicKey] = Field(
    "public_key", PUBLIC_KEY, "The device's WireGuard public key.", required=True
)
DEVICE_RECORD = Record("this device", DEVICE_KEY)

DISTRIBUTION: Field[str] = Field(
    "distribution", choice("a distribution", "k3s"), "The Kubernetes distribution.", default="k3s"
)
VERSION: Field[str] = Field(
    "version",
    word("a k3s version", r"v[0-9]+\.[0-9]+\.[0-9]+\+k3s[0-9]+", 40, "written like v1.34.2+k3s1"),
    "The version to run, like v1.34.2+k3s1. Left out: wireloom makes room for k3s, and does not install it.",
)
CNI: Field[str] = Field(
    "cni",
    choice("a network plugin", "flannel", "calico", "cilium"),
    "The cluster's network plugin. calico and cilium: not supported yet.",
    default="flannel",
)
ENCRYPT: Field[str] = Field(
    "encrypt",
    choice("a layer", "underlay", "cni", "both"),
    "The layer that encrypts: `wireloom advise` says which to use. cni: no underlay is made.",
    default="underlay",
)
FLANNEL_BACKEND: Field[str] = Field(
    "flannel_backend",
    choice("a flannel backend", "vxlan", "host-gw", "wireguard-native"),
    "How flannel carries pods: left out, vxlan on an underlay, otherwise wireguard-native, which encrypts."
    " host-gw, on an underlay: without another header around each packet, pods are routed into the tunnels.",
)
DATASTORE: Field[str] = Field(
    "datastore",
    choice("a datastore", "embedded", "external"),
    "Where the cluster keeps its state: in its servers, or in a database whose URL is given to `apply`.",
    default="embedded",
)
PODS: Field[tuple[Located[Prefix], ...]] = Field(
    "pods", _RANGES, "The ranges that pods get their addresses from.", default=[K3S_PODS]
)
SERVICES: Field[tuple[Located[Prefix], ...]] = Field(
    "services", _RANGES, "The ranges that services get their addresses from.", default=[K3S_SERVICES]
)
PUBLIC_API: Field[bool] = Field(
    "public_api",
    flag(),
    "Whether the API server is reached beside the underlay, too; otherwise the guard closes its port there.",
    default=False,
)
MIRROR: Field[str] = Field(
    "mirror",
    base_url("the URL of a mirror", K3S_RELEASES),
    "Where the releases of k3s are, VERSION/FILE below it.",
    default=K3S_RELEASES,
)
PROTECTED: Field[bool] = Field(
    "protected",
    flag(),
    "Whether `wireloom k3s uninstall` is refused, so that nobody takes the cluster away by mistake.",
    default=False,
)
KUBERNETES_RECORD = Record(
    "`kubernetes`",
    DISTRIBUTION,
    VERSION,
    CNI,
    ENCRYPT,
    FLANNEL_BACKEND,
    DATASTORE,
    PODS,
    SERVICES,
    PUBLIC_API,
    MIRROR,
    PROTECTED,
)

FLEET: Field[str] = Field("fleet", name("a fleet's name", 40), "The fleet's name.", required=True)
LAB: Field[Values] = Field(
    "lab",
    Record("`lab`"),
    "Write `lab: {}` for a fleet that exists only in a lab on this machine, and is dialled only there.",
    nullable=False,
)
UNDERLAY: Field[Values] = Field(
    "underlay",
    UNDERLAY_RECORD,
    "The encrypted network: at least one of ipv4 and ipv6. Not needed with `encrypt: cni`, which makes none.",
)
SITES: Field[tuple[Entry[Values], ...]] = Field(
    "sites",
    Table("sites", SITE_NAME, SITE_RECORD),
    "Data centres and offices: where nodes reach each other by private addresses.",
    required=True,
)
NODES: Field[tuple[Entry[Values], ...]] = Field(
    "nodes",
    Table("nodes", NODE_NAME, NODE_RECORD),
    "The machines. They get their underlay addresses in this order.",
    required=True,
)
DEVICES: Field[tuple[Entry[Values], ...]] = Field(
    "devices",
    NotYet(Table("devices", name("a device's name"), DEVICE_RECORD), "devices are"),
    "Laptops and phones: their configuration is exported. Not supported yet.",
)
KUBERNETES: Field[Values] = Field("kubernetes", KUBERNETES_RECORD, "The cluster that rides on the underlay.")
SSH: Field[Values] = Field("ssh", DEFAULTS, "Defaults for `ssh` of the nodes; a node's own value wins.")

FLEET_FILE = Record("the fleet file", FLEET, LAB, UNDERLAY, SITES, NODES, DEVICES, KUBERNETES, SSH)


def json_schema() -> JsonSchema:
    """The JSON Schema (2020-12) of ``fleet.yaml``, for editors and for checks outside wireloom.

    It holds what can be said about one value; what values say about each other is for ``wireloom check``.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A wireloom fleet",
        "description": "Machines, where they are, and the encrypted network between them.",
        **FLEET_FILE.schema(),
    }
