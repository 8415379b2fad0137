"""The cluster's nodes as the fleet file has them and as they are, side by side. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from wireloom.cluster.places import FLANNEL_WIREGUARD, Role
from wireloom.cluster.quorum import Quorum
from wireloom.cluster.seen import ClusterSeen, K3sSeen, Member
from wireloom.cluster.standing import cluster_nodes, node_addresses
from wireloom.intent.fleet import Fleet, Kubernetes
from wireloom.network.network import Network
from wireloom.values import Address, NodeName, Prefix

_PUBLISHED = {"wireguard-native": "wireguard"}
"""What flannel publishes of a backend that k3s has another name for (flannel, pkg/backend/wireguard)."""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node. ``role``: the fleet file's, None where it has none there.

    ``service`` is systemd's word for k3s, ``absent`` where it is not installed, ``unreachable`` where the
    machine did not answer, ``not asked`` where it has no ``ssh``. ``member``: what the cluster tells of it.
    ``wrong``: what is not as it should be.
    """

    name: NodeName
    role: Role | None
    wanted: tuple[Address, ...]
    service: str
    enabled: bool = False
    installed: str = ""
    member: Member | None = None
    wrong: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """What runs; or else what is installed."""
        return (self.member.version if self.member else "") or self.installed

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Those that the cluster knows it by; or else those that the fleet file gives it."""
        return self.member.internal if self.member else self.wanted


@dataclass(frozen=True, slots=True)
class Roster:
    """The whole cluster. ``told_by`` is None, and ``trouble`` perhaps says why, where no server could tell.

    ``devices``: the interfaces by which pods of two nodes reach each other encrypted.
    """

    rows: tuple[NodeRow, ...]
    told_by: NodeName | None
    trouble: str
    quorum: Quorum
    servers: int
    pods: tuple[Prefix, ...]
    services: tuple[Prefix, ...]
    encrypt: str
    cni: str
    backend: str | None
    devices: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Every machine that can be asked has answered, and a server has told of the cluster."""
        return self.told_by is not None and all(row.service != "unreachable" for row in self.rows)


def take_roster(fleet: Fleet, cluster: Kubernetes, network: Network, seen: ClusterSeen) -> Roster:
    """The fleet's nodes in its order, then those that only the cluster knows."""
    roles = cluster_nodes(fleet)
    members = seen.members or {}
    rows = [
        _row(_Wanted(fleet.name, cluster, role, node_addresses(fleet, network, name)), name, seen)
        for name, role in roles.items()
    ]
    rows += [_stray(fleet, one) for name, one in members.items() if name not in roles]
    return Roster(
        rows=tuple(rows),
        told_by=seen.told_by,
        trouble=seen.trouble,
        quorum=Quorum.of(members.values()),
        servers=sum(one.server for one in members.values()),
        pods=cluster.pods,
        services=cluster.services,
        encrypt=cluster.encrypt,
        cni=cluster.cni,
        backend=cluster.flannel_backend,
        devices=_devices(cluster, network),
    )


def _devices(cluster: Kubernetes, network: Network) -> tuple[str, ...]:
    below = () if cluster.encrypt == "cni" else (network.interface,)
    if cluster.encrypt == "underlay" or cluster.flannel_backend is None:
        return below
    return (*below, *dict.fromkeys(FLANNEL_WIREGUARD[one.version] for one in cluster.pods))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the fleet file says of one node, and of the cluster."""

    fleet: str
    cluster: Kubernetes
    role: Role
    addresses: tuple[Address, ...]


def _row(want: _Wanted, name: NodeName, seen: ClusterSeen) -> NodeRow:
    state, member = seen.nodes.get(name), seen.member(name)
    if isinstance(state, K3sSeen):
        return NodeRow(
            name=name,
            role=want.role,
            wanted=want.addresses,
            service=state.active if state.role else "absent",
            enabled=state.enabled,
            installed=state.version or "",
            member=member,
            wrong=tuple(_wrong(want, state, seen)),
        )
    service, why = ("not asked", ()) if state is None else ("unreachable", (state.what,))
    told = _wrong_member(want, member) if member else ()
    return NodeRow(name, want.role, want.addresses, service, member=member, wrong=(*why, *told))


def _stray(fleet: Fleet, member: Member) -> NodeRow:
    where = "has no role in the fleet file" if member.name in fleet.nodes else "is not in the fleet file"
    why = () if member.ready else (_not_ready(member),)
    return NodeRow(member.name, None, (), "not asked", member=member, wrong=(where, *why))


def _wrong(want: _Wanted, state: K3sSeen, seen: ClusterSeen) -> Iterator[str]:
    """What is not as it should be on a machine that answered."""
    member = seen.member(state.name)
    if state.stamp and state.stamp.fleet != want.fleet:
        yield f"its k3s is the fleet `{state.stamp.fleet}`'s"
    if state.role is None:
        yield "k3s is not installed"
        return
    if state.role is not want.role:
        yield f"it has the unit {state.role.service}, and in the fleet file the role {want.role}"
    if not state.enabled:
        yield "k3s is not started at boot"
    if not state.running:
        yield f"k3s is {state.active}"
    if member is not None:
        yield from _wrong_member(want, member)
    elif seen.members is not None:
        yield "the cluster does not know it"
    if state.garbled:
        yield f"no sense in: {', '.join(state.garbled)}"


def _wrong_member(want: _Wanted, member: Member) -> Iterator[str]:
    """What the cluster tells of a node that is not as it should be."""
    if not member.ready:
        yield _not_ready(member)
    if not member.schedulable:
        yield "cordoned: it gets no new pods"
    if set(member.internal) != set(want.addresses):
        has = ", ".join(map(str, member.internal)) or "no address"
        yield f"the cluster has it at {has}, and the fleet at {', '.join(map(str, want.addresses))}"
    if member.version != want.cluster.version:
        yield f"it runs {member.version or 'no version'}, and the fleet file says {want.cluster.version}"
    if member.server is not (want.role is Role.SERVER):
        yield f"the cluster has it as {'a server' if member.server else 'an agent'}"
    if member.etcd_voter is False:
        yield "it has no vote in etcd yet"
    backend = want.cluster.flannel_backend or "none"
    if member.flannel_backend and member.flannel_backend != _PUBLISHED.get(backend, backend):
        yield f"flannel carries its pods by {member.flannel_backend}; the fleet file says {backend}"


def _not_ready(member: Member) -> str:
    return f"not Ready: {member.reason}" if member.reason else "not Ready"
