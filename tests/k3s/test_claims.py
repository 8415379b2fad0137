"""What verify says of a cluster that runs, and what it says when something in it is spoilt."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.k3s.hand import node_of
from tests.k3s.road import apply, blank, server_of
from tests.machines.machines import Machines
from tests.machines.patience import wait_for
from wireloom.verify.claim import KINDS

NAMES = ("cp1", "cp2", "cp3", "w1")
SERVERS = ("cp1", "cp2", "cp3")
IMAGE = "--probe-image=docker.io/rancher/mirrored-library-busybox:1.37.0"
PAIRWISE = {"pod-pod", "pod-service", "pod-node", "node-pod", "pod-mtu", "pod-canary", "pod-way"}

Wrong = dict[tuple[str, str, str | None], str]


@pytest.fixture(scope="module")
def cluster(k3s_image: Path, k3s: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with blank(k3s_image, tmp_path_factory.mktemp("claims")) as group:
        apply(group, k3s)
        wait_for_dns(group)
        yield group


def wait_for_dns(group: Machines) -> None:
    words = ("rollout", "status", "--namespace=kube-system", "deployment/coredns", "--timeout=180s")
    server_of(group).kubectl(*words)


def verify(group: Machines, *words: str) -> list[dict[str, Any]]:
    """All claims."""
    done = group.operator.run("--json", "verify", IMAGE, *words, expect=None, timeout=600)
    claims: list[dict[str, Any]] = json.loads(done.stdout)["claims"]
    return claims


def wrong(claims: list[dict[str, Any]]) -> Wrong:
    """The verdicts on what does not hold."""
    return {
        (one["claim"], one["from"], one["to"]): f"{one['verdict']}: {one['detail']}"
        for one in claims
        if one["verdict"] != "holds"
    }


@contextmanager
def spoilt(group: Machines, name: str, harm: str, mend: str) -> Iterator[None]:
    node_of(group, name).shell(harm)
    try:
        yield
    finally:
        node_of(group, name).shell(mend)


def namespaces(group: Machines) -> str:
    return server_of(group).kubectl("get", "namespaces", "--selector=wireloom=verify", "--output=name")


def test_all_holds_and_nothing_is_left(cluster: Machines) -> None:
    claims = verify(cluster)
    assert wrong(claims) == {}
    found = {one["claim"] for one in claims if KINDS[one["claim"]].cluster}
    assert found == {name for name, kind in KINDS.items() if kind.cluster} - {"flannel-keys"}
    pairs = {(one["from"], one["to"]) for one in claims if one["claim"] == "pod-pod"}
    assert pairs == {(one, other) for one in NAMES for other in NAMES if one != other}
    asked = {(one["from"], one["to"]) for one in claims if one["claim"] == "logs"}
    assert asked == {(one, other if other != one else None) for one in SERVERS for other in NAMES}
    wait_for(lambda: not namespaces(cluster), lambda: namespaces(cluster), seconds=60, pause=1)


def test_an_interrupted_run_leaves_nothing(cluster: Machines) -> None:
    begun = cluster.operator.popen("verify", IMAGE)
    wait_for(lambda: "wireloom-verify" in namespaces(cluster), lambda: "no probes", seconds=90, pause=0.2)
    begun.send_signal(signal.SIGINT)
    begun.communicate(timeout=120)
    wait_for(lambda: not namespaces(cluster), lambda: namespaces(cluster), seconds=60, pause=1)


def test_a_kubelet_that_is_not_reached(cluster: Machines) -> None:
    harm = "iptables -I INPUT -p tcp --dport 10250 -j DROP"
    with spoilt(cluster, "w1", harm, harm.replace("-I", "-D")):
        found = wrong(verify(cluster))
    assert set(found) == {(kind, server, "w1") for kind in ("logs", "exec") for server in SERVERS}
    assert all(one.startswith("falsified") for one in found.values())


def test_a_route_to_pods_that_is_gone(cluster: Machines) -> None:
    """Between two machines on which CoreDNS is not."""
    server = server_of(cluster)
    dns = server.kubectl(
        "get",
        "pods",
        "--namespace=kube-system",
        "--selector=k8s-app=kube-dns",
        "--output=jsonpath={..nodeName}",
    )
    one, other = [name for name in NAMES if name not in dns.split()][:2]
    prefix = server.kubectl("get", "node", other, "--output=jsonpath={.spec.podCIDR}")
    route = node_of(cluster, one).shell(f"ip route show {prefix} dev flannel.1").strip()
    with spoilt(cluster, one, f"ip route del {prefix} dev flannel.1", f"ip route add {route} dev flannel.1"):
        found = wrong(verify(cluster))
    assert {frozenset(about[1:]) for about in found} == {frozenset((one, other))}
    assert found["pod-way", one, other] == f"falsified: no way to its pods ({prefix})"
    assert {"pod-pod", "pod-service", "node-pod"} <= {kind for kind, *_ in found}
    assert {kind for kind, *_ in found} <= PAIRWISE


def test_a_site_whose_pods_get_nothing_out(cluster: Machines) -> None:
    prefix = server_of(cluster).kubectl("get", "node", "cp3", "--output=jsonpath={.spec.podCIDR}")
    harm = f"iptables -I FORWARD -s {prefix} ! -d {prefix} -j DROP"
    with spoilt(cluster, "cp3", harm, harm.replace("-I", "-D")):
        found = wrong(verify(cluster))
    assert all("cp3" in about for about in found)
    kinds = {kind for kind, source, _ in found if source == "cp3"}
    assert {"pod-pod", "pod-service", "pod-node", "dns", "pod-canary"} <= kinds
    assert not kinds & {"nodes", "pod-way", "logs", "exec"}


def test_core_dns_that_is_not_there(cluster: Machines) -> None:
    scale = "k3s kubectl -n kube-system scale deployment/coredns --replicas={}"
    with spoilt(cluster, "cp1", f"{scale.format(0)}; sleep 5", scale.format(1)):
        found = wrong(verify(cluster))
    wait_for_dns(cluster)
    assert set(found) == {("dns", name, None) for name in NAMES}
    assert all(one.startswith("falsified") for one in found.values())


def test_pods_that_go_beside_the_underlay(cluster: Machines) -> None:
    """The guard keeps them in: they do not arrive, and it is told why."""
    fdb = node_of(cluster, "w1").shell("bridge fdb show dev flannel.1 | grep ' dst 10.99.0.1 '").split()[0]
    flip = f"bridge fdb replace {fdb} dev flannel.1 dst {{}}"
    with spoilt(cluster, "w1", flip.format("203.0.113.1"), flip.format("10.99.0.1")):
        found = wrong(verify(cluster))
    assert found["pod-way", "w1", "cp1"] == "falsified: flannel.1 sends to 203.0.113.1 by host0, beside wg0"
    assert found["pod-canary", "w1", "cp1"].startswith("falsified: did not go into a tunnel at w1")
    assert all("w1" in about for about in found)


def test_a_size_that_does_not_fit(cluster: Machines) -> None:
    with spoilt(cluster, "w1", "ip link set flannel.1 mtu 1450", "ip link set flannel.1 mtu 1370"):
        found = wrong(verify(cluster, "--quick"))
    assert set(found) == {("pod-mtu", "w1", None)}
    assert found["pod-mtu", "w1", None].startswith("falsified: flannel.1 takes 1450 bytes, wg0 has room for")
