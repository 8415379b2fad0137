"""One name for all that an apply would do, on the machines and in the cluster."""

import hashlib
from dataclasses import replace

from wireloom.cluster.plan import ClusterPlan, K3sNodePlan
from wireloom.plan.digest import plan_digest
from wireloom.plan.plan import Plan


def digest_plans(plan: Plan, cluster: ClusterPlan) -> str:
    """SHA-256, in hex, of both plans. Whoever needs nothing in the cluster does not count there."""
    name = plan_digest(plan)
    if cluster.empty:
        return name
    steps = [_bare(one) for one in (*cluster.servers, *cluster.agents)]
    return hashlib.sha256(f"{name}{steps!r}".encode()).hexdigest()


def _bare(one: K3sNodePlan) -> K3sNodePlan:
    """Without the reasons, which are for people."""
    return replace(one, changes=tuple(replace(change, reason="") for change in one.changes))
