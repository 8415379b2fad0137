"""What keeps a machine from getting k3s, or the cluster from what the fleet file says."""

from wireloom.cluster.seen import ClusterSeen
from wireloom.intent.fleet import Fleet
from wireloom.preflight.finding import Finding


def inspect_cluster(fleet: Fleet, seen: ClusterSeen) -> tuple[Finding, ...]:  # noqa: ARG001
    """Everything that is found, machine by machine."""
    return ()
