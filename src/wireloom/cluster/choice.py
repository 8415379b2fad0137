"""Who begins the cluster, and who joins at whom."""

from collections.abc import Collection, Mapping

from wireloom.cluster.desired import Entry
from wireloom.cluster.places import Role
from wireloom.cluster.settings import read_entry
from wireloom.cluster.standing import cluster_nodes, server_address
from wireloom.intent.fleet import Fleet
from wireloom.network.network import Network
from wireloom.values import API_PORT, Address, NodeName


def choose_entries(
    fleet: Fleet, network: Network, inside: Collection[NodeName], present: Mapping[NodeName, str]
) -> dict[NodeName, Entry]:
    """How each machine of the cluster comes into it.

    ``inside``: those that are in it, or were on their way: k3s has run there. ``present``: the settings that
    machines have. Who is inside keeps the entry of its settings, as long as that names a server of the fleet.
    The others join at the first server, in the order of the file, that is inside; where none is, the first
    server of all begins the cluster.
    """
    roles = cluster_nodes(fleet)
    servers = [name for name, role in roles.items() if role is Role.SERVER]
    entries = {}
    for name in roles:
        node = fleet.nodes[name]
        urls = {one: server_url(server_address(fleet, network, one, node)) for one in servers}
        kept = _kept(present.get(name, ""), urls, name) if name in inside else None
        hosts = [one for one in servers if one in inside] or servers[:1]
        host = next((one for one in hosts if one != name), None)
        joins = Entry(host, urls[host]) if host is not None else Entry()
        entries[name] = kept or joins
    return entries


def _kept(text: str, urls: Mapping[NodeName, str], name: NodeName) -> Entry | None:
    """The entry that a machine's settings hold; None where they name nobody that it could join at."""
    url = read_entry(text)
    if url == "":
        return Entry()
    return next((Entry(one, url) for one, known in urls.items() if known == url and one != name), None)


def server_url(address: Address) -> str:
    """Where k3s answers on a server; IPv6 stands in brackets (RFC 3986, 3.2.2)."""
    host = f"[{address}]" if address.version == 6 else str(address)
    return f"https://{host}:{API_PORT}"
