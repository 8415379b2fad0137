"""All rules about k3s on the machines: what was seen → findings, in the order of the fleet file."""

from collections.abc import Iterator

from wireloom.cluster.belonging import check_belonging, check_strangers
from wireloom.cluster.ground import check_ground
from wireloom.cluster.lasting import check_lasting, check_ranges
from wireloom.cluster.places import Role
from wireloom.cluster.seen import ClusterSeen
from wireloom.intent.fleet import Fleet, Kubernetes
from wireloom.network.network import Network
from wireloom.preflight.finding import Check, Finding
from wireloom.preflight.preflight import arrange


def inspect_cluster(fleet: Fleet, network: Network, seen: ClusterSeen) -> tuple[Finding, ...]:
    """Everything that keeps machines from k3s, or k3s from being as the fleet file has it; errors first.

    Nothing of a machine that did not answer: others tell of it. Nothing at all where the fleet file names
    no version of k3s.
    """
    return arrange(fleet, _find(fleet, fleet.k3s, network, seen)) if fleet.k3s else ()


def _find(fleet: Fleet, kubernetes: Kubernetes, network: Network, seen: ClusterSeen) -> Iterator[Finding]:
    for name, node in fleet.nodes.items():
        one = seen.machine(name)
        if one is None or not node.roles:
            continue
        if one.garbled:
            what = f"the answer to {', '.join(one.garbled)} makes no sense"
            hint = (
                "run the command again; if it says so again, look at the machine: nothing is done on a guess"
            )
            yield Finding(name, Check.PROBES, what, hint)
            continue
        role = Role(node.roles[0])
        yield from check_ground(kubernetes, network, role, one)
        yield from check_belonging(fleet, network, seen, one)
        yield from check_lasting(fleet, kubernetes, network, one, role)
    yield from check_ranges(fleet, kubernetes, seen)
    yield from check_strangers(fleet, seen)
