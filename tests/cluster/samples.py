"""A cluster as it was seen: three servers and an agent, all well; and what may be otherwise."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network

from tests.cluster import fleets
from tests.network.fleets import lock_of
from wireloom.cluster.places import Role
from wireloom.cluster.roster import Roster, take_roster
from wireloom.cluster.seen import ClusterSeen, K3sSeen, K3sStamp, Member
from wireloom.intent.fleet import Fleet
from wireloom.network.topology import weave
from wireloom.observe.state import Unreachable
from wireloom.values import NodeName

FLEET = fleets.cluster()
"""cp1, cp2, cp3: servers, 10.99.0.1, .2 and .4; db1: no role; w1: an agent, 10.99.0.5."""

ADDRESSES = {"cp1": "10.99.0.1", "cp2": "10.99.0.2", "cp3": "10.99.0.4", "w1": "10.99.0.5"}


def machine(name: str, **options: object) -> K3sSeen:
    role = Role.AGENT if name.startswith("w") else Role.SERVER
    state = K3sSeen(
        NodeName(name),
        version=fleets.VERSION,
        role=role,
        enabled=True,
        active="active",
        ran=role,
        data=True,
        cluster="ab" * 32,
        stamp=K3sStamp("shop"),
    )
    return replace(state, **options)  # type: ignore[arg-type]


def member(name: str, **options: object) -> Member:
    server = not name.startswith("w")
    place = list(ADDRESSES).index(name) if name in ADDRESSES else 9
    one = Member(
        NodeName(name),
        ready=True,
        internal=(ip_address(ADDRESSES.get(name, "10.99.0.99")),),
        server=server,
        etcd_voter=True if server else None,
        version=fleets.VERSION,
        pods=(ip_network(f"10.42.{place}.0/24"),),
        flannel_backend="vxlan",
    )
    return replace(one, **options)  # type: ignore[arg-type]


def away(name: str) -> Unreachable:
    return Unreachable(NodeName(name), f"no answer from {name}")


def cluster_of(
    machines: Mapping[str, K3sSeen | Unreachable | None] | None = None,
    members: Mapping[str, Member | None] | None = None,
    told_by: str | None = "cp1",
) -> ClusterSeen:
    """All well, but for these; None: not there at all."""
    nodes = {name: machine(name) for name in ADDRESSES} | dict(machines or {})
    known = {name: member(name) for name in ADDRESSES} | dict(members or {})
    return ClusterSeen(
        {NodeName(name): one for name, one in nodes.items() if one is not None},
        {NodeName(name): one for name, one in known.items() if one is not None} if told_by else None,
        NodeName(told_by) if told_by else None,
    )


def roster_of(seen: ClusterSeen, fleet: Fleet = FLEET) -> Roster:
    assert fleet.kubernetes
    return take_roster(fleet, fleet.kubernetes, weave(fleet, lock_of(fleet)), seen)
