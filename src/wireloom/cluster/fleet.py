"""k3s on all machines, wanted against seen: Fleet + Network + ClusterSeen → ClusterPlan."""

from collections.abc import Iterable, Iterator, Mapping

from wireloom.cluster.choice import choose_entries
from wireloom.cluster.node import plan_k3s
from wireloom.cluster.places import SERVER_TOKEN, SETTINGS, Role
from wireloom.cluster.plan import ClusterPlan, K3sNodePlan
from wireloom.cluster.render import NO_DEVICES, Devices, render_cluster
from wireloom.cluster.seen import ClusterSeen, K3sSeen
from wireloom.cluster.settings import read_entry
from wireloom.cluster.standing import cluster_nodes
from wireloom.errors import Diagnostic, Severity
from wireloom.intent.fleet import Fleet
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.observe.state import Unreachable
from wireloom.preflight.finding import Check, Finding
from wireloom.values import NodeName


def make_cluster_plan(
    fleet: Fleet,
    network: Network,
    seen: ClusterSeen,
    findings: Iterable[Finding],
    devices: Devices = NO_DEVICES,
) -> ClusterPlan:
    """What brings k3s on every machine that was seen to what the fleet file says; others stay as they are.

    ``devices``: see ``render_cluster``. An error among the ``findings`` keeps the whole cluster as it is.
    """
    told = list(findings)
    errors = [one for one in told if one.is_error and one.check is not Check.ANSWER]
    notes = [
        *(one.diagnostic for one in told if not one.is_error),
        *_note_silence(fleet, seen),
        *_notes(seen),
    ]
    refusals = [*(one.diagnostic for one in errors), *_refuse_unseen(fleet, seen)]
    machines = {name: one for name, one in seen.nodes.items() if isinstance(one, K3sSeen)}
    nodes = () if refusals else _plan_nodes(fleet, network, machines, devices)
    return ClusterPlan(nodes, tuple(refusals), tuple(notes))


def _plan_nodes(
    fleet: Fleet, network: Network, machines: Mapping[NodeName, K3sSeen], devices: Devices
) -> tuple[K3sNodePlan, ...]:
    """Servers that begin, that are in the cluster, that join; then agents; each in the order of the file."""
    inside = {name for name, one in machines.items() if one.data}
    if not any(machines[name].ran is Role.SERVER for name in inside):
        inside |= {name for name, one in machines.items() if _has_begun(one)}
    present = {name: one.files[SETTINGS].text for name, one in machines.items() if SETTINGS in one.files}
    desired = render_cluster(fleet, network, choose_entries(fleet, network, inside, present), devices)
    plans = [plan_k3s(want, machines[name]) for name, want in desired.items() if name in machines]
    return tuple(sorted(plans, key=lambda one: (one.role is Role.AGENT, not one.begins, one.joins)))


def _has_begun(one: K3sSeen) -> bool:
    """It was to begin the cluster, and has its tokens: it may be on its way, whatever the file says now.

    Where a server has a cluster they are left from another one.
    """
    settings = one.files.get(SETTINGS)
    return SERVER_TOKEN in one.tokens and settings is not None and read_entry(settings.text) == ""


def _servers(fleet: Fleet) -> list[NodeName]:
    return [name for name, role in cluster_nodes(fleet).items() if role is Role.SERVER]


def _refuse_unseen(fleet: Fleet, seen: ClusterSeen) -> Iterator[Diagnostic]:
    """A server that does not answer may have a cluster: a second one must not be begun beside it."""
    servers = _servers(fleet)
    if any((one := seen.machine(name)) and one.data for name in servers):
        return
    for name in servers:
        away = seen.nodes.get(name)
        if isinstance(away, Unreachable) and not away.refused:
            yield Diagnostic(
                "it did not answer, and may have begun the cluster: another is not begun beside it",
                where=name,
                hint="bring it back; if it is gone for good, take it out of the fleet file: one is begun"
                f" without it ({away.what})",
            )


def _note_silence(fleet: Fleet, seen: ClusterSeen) -> Iterator[Diagnostic]:
    """There is a cluster, and nobody tells of it: systemd calls a server active also without its API.

    Not where servers that all answer have just been stopped, or cut off on their way.
    """
    servers = _servers(fleet)
    inside = [name for name in servers if (one := seen.machine(name)) and one.data]
    away = any(isinstance(seen.nodes.get(name), Unreachable) for name in servers)
    if seen.members is not None or not inside or not (seen.trouble or away):
        return
    embedded = fleet.k3s is not None and fleet.k3s.datastore == "embedded"
    yield Diagnostic(
        f"no server tells of the cluster that it is in{f': {seen.trouble}' if seen.trouble else ''}",
        where=inside[0],
        hint="etcd needs more than half of its members: bring back who is missing. If they are gone for good,"
        f" `k3s server --cluster-reset` on {inside[0]} makes it the only one (docs.k3s.io/cli/server), and"
        " `wireloom k3s uninstall` begins anew, without what was in the cluster"
        if embedded
        else "is its database there?",
        severity=Severity.WARNING,
    )


def _notes(seen: ClusterSeen) -> Iterator[Diagnostic]:
    for name, member in (seen.members or {}).items():
        state = seen.machine(name)
        if state is not None and state.running and not member.ready:
            what = f"the cluster says that it is not Ready: {member.reason or 'no reason given'}"
            hint = f"on {name}: journalctl -u {state.role.service if state.role else 'k3s'} -e"
            yield Diagnostic(what, where=name, hint=hint, severity=Severity.WARNING)


def learn_pods(fleet: Fleet, lock: Lock, seen: ClusterSeen) -> Lock:
    """The lock with the ranges that the cluster gives to pods, where tunnels have to carry these (host-gw).

    As it is where no server tells, but for a fleet that has no cluster any more. Raises UserError where two
    nodes have one range.
    """
    if fleet.k3s is None or not fleet.k3s.routes_pods:
        return lock
    if seen.members is None:
        gone = all(isinstance(one, K3sSeen) and one.ran is None for one in seen.nodes.values())
        return lock.with_pods({}) if gone else lock
    return lock.with_pods({name: one.pods for name, one in seen.members.items() if name in fleet.nodes})
