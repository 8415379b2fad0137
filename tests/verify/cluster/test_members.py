"""From what the API server tells of its nodes to claims."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from tests.verify.cluster.cluster import CP1, MEMBERS, SEEN, W1, intended, member
from wireloom.cluster.seen import ClusterSeen
from wireloom.values import NodeName
from wireloom.verify.claim import Verdict
from wireloom.verify.cluster.members import judge_members


def told(seen: ClusterSeen, encrypt: str = "underlay") -> list[tuple[str, str, str]]:
    backend = "vxlan" if encrypt == "underlay" else "wireguard-native"
    claims = judge_members(intended(encrypt, backend), seen)
    return [(one.source, str(one.verdict), one.detail) for one in claims]


def with_w1(**changed: object) -> ClusterSeen:
    return replace(SEEN, members={**MEMBERS, W1: member(1, **changed)})


WELL = (CP1, "holds", "Ready at 10.99.0.1, v1.34.2+k3s1")
CASES = {
    "all is well": (SEEN, (W1, "holds", "Ready at 10.99.0.2, v1.34.2+k3s1")),
    "not Ready": (
        with_w1(ready=False, reason="Kubelet stopped posting node status."),
        (W1, "falsified", "not Ready: Kubelet stopped posting node status."),
    ),
    "beside the underlay": (
        with_w1(internal=(ip_address("192.0.2.2"),)),
        (W1, "falsified", "Ready, at 192.0.2.2 and not at 10.99.0.2: its packets go beside the underlay"),
    ),
    "not in the cluster": (
        replace(SEEN, members={CP1: MEMBERS[CP1]}),
        (W1, "falsified", "no node of the cluster"),
    ),
}


@pytest.mark.parametrize(("seen", "expected"), CASES.values(), ids=CASES)
def test_a_machine_is_ready_at_its_addresses(seen: ClusterSeen, expected: tuple[str, str, str]) -> None:
    assert told(seen) == [WELL, expected]


def test_without_an_underlay_any_address_will_do() -> None:
    assert told(with_w1(internal=(ip_address("192.0.2.2"),)), "cni")[1][1] == "holds"


def test_where_nobody_tells_all_is_open() -> None:
    silent = ClusterSeen(SEEN.nodes, None, None, "cp1: the server is not ready")
    assert told(silent) == [(name, "unknown", "cp1: the server is not ready") for name in (CP1, W1)]


def test_a_node_that_nobody_wants_is_not_passed_over() -> None:
    stranger = NodeName("x9")
    claims = told(replace(SEEN, members={**MEMBERS, stranger: member(0, name=stranger)}))
    assert claims[-1][:2] == ("x9", Verdict.UNKNOWN)
