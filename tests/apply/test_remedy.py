"""What is to be done about a k3s that does not come up, by what it says of itself."""

import pytest

from tests.cluster.fleets import cluster
from tests.network.fleets import lock_of
from wireloom.apply.remedy import advise
from wireloom.cluster.fleet import make_cluster_plan
from wireloom.cluster.plan import K3sNodePlan
from wireloom.cluster.seen import ClusterSeen, K3sSeen
from wireloom.network.topology import weave

# The words are k3s' own: pkg/clientaccess/token.go, pkg/cluster/storage.go.
OF_A_TOKEN = (
    "failed to get CA certs: https://10.99.0.1:6443/cacerts: 401 Unauthorized",
    "failed to retrieve configuration from server: not authorized",
    "token CA hash does not match the Cluster CA certificate hash: ab != cd",
    "invalid token CA hash length",
    "invalid token format",
    "token must not be empty",
    "starting kubernetes: preparing server: bootstrap data already found and encrypted with different token",
)
OF_SOMETHING_ELSE = (
    "listen tcp :6443: bind: address already in use",
    "failed to get CA certs: dial tcp 10.99.0.1:4012: connect: connection refused",
    "",
)


def plan_of(name: str) -> K3sNodePlan:
    fleet = cluster()
    seen = ClusterSeen({one: K3sSeen(one) for one in fleet.nodes})
    plan = make_cluster_plan(fleet, weave(fleet, lock_of(fleet)), seen, ())
    return next(one for one in plan.nodes if one.name == name)


@pytest.mark.parametrize("why", OF_A_TOKEN)
def test_a_wrong_token_is_to_be_removed(why: str) -> None:
    agents = "On w1: rm /etc/rancher/k3s/agent-token; the next apply hands it the right one"
    servers = "rm /etc/rancher/k3s/server-token /etc/rancher/k3s/agent-token; the next apply hands it"
    assert agents in advise(plan_of("w1"), why)
    assert servers in advise(plan_of("cp1"), why)


@pytest.mark.parametrize("why", OF_SOMETHING_ELSE)
def test_anything_else_is_in_the_log(why: str) -> None:
    assert (
        advise(plan_of("w1"), why)
        == "on w1: journalctl -u k3s-agent -e; then apply again, it goes on from here"
    )
