"""By which address kubectl is to reach a server of the cluster."""

import re
from dataclasses import dataclass
from ipaddress import ip_address

from wireloom.cluster.standing import is_across_clouds, node_addresses
from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet
from wireloom.network.network import Network
from wireloom.values import API_PORT, NodeName

UNDERLAY, PUBLIC = "underlay", "public"

_HOST = re.compile(
    r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Way:
    """A host, as an address or a DNS name, and a port."""

    host: str
    port: int = API_PORT

    @property
    def url(self) -> str:
        """As kubectl takes it; IPv6 stands in brackets (RFC 3986, 3.2.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


def parse_way(text: str) -> Way:
    """``HOST``, ``HOST:PORT``, an IPv6 address, or one in brackets with a port. Raises ValueError."""
    parts = re.fullmatch(r"\[([^][]*)\](?::(.*))?|([^:]*)(?::([^:]*))?", text)
    bracketed, its_port, plain, port = parts.groups() if parts else (None, None, text, None)
    number = its_port if bracketed is not None else port
    if number is not None and not (re.fullmatch(r"[0-9]{1,5}", number) and 0 < int(number) <= 65535):
        raise ValueError(f"{number!r} is not a port")
    host = plain if bracketed is None else bracketed
    try:
        host = str(ip_address(host))
    except ValueError:
        if bracketed is not None or not _is_name(host):
            raise ValueError(f"{host!r} is neither an address nor a host's name") from None
    return Way(host.lower(), int(number or API_PORT))


def _is_name(host: str) -> bool:
    """A name whose last part is no number (RFC 1123, 2.1)."""
    return len(host) <= 253 and bool(_HOST.fullmatch(host)) and not host.rpartition(".")[2].isdecimal()


def find_way(fleet: Fleet, network: Network, server: NodeName, via: str | Way | None) -> Way:
    """The way that is meant; None: as the cluster's machines reach it.

    That is by the underlay, and without one by its private network, or across clouds by its public address.
    Raises UserError where that server has no such way, or the guard closes it.
    """
    if isinstance(via, Way):
        return via
    if via == UNDERLAY and not fleet.has_underlay:
        hint = "leave --via out: by the address that machines reach it at"
        raise UserError.one("no underlay is built under this cluster", where="--via underlay", hint=hint)
    if via is None and is_across_clouds(fleet):
        via = PUBLIC
    if via in {None, UNDERLAY}:
        return Way(str(node_addresses(fleet, network, server)[0]))
    if fleet.has_underlay and fleet.underlay.guard and not (fleet.kubernetes and fleet.kubernetes.public_api):
        hint = "write `public_api: true` under `kubernetes:` and apply; or leave --via out: by the underlay"
        raise UserError.one(f"the guard closes {API_PORT} to the outside", where="--via public", hint=hint)
    public = fleet.nodes[server].public
    if not public:
        raise UserError.one("has no public address", where=server, hint="--via ADDRESS names another way")
    return Way(str(public[0]))
