"""What verify says of a cluster that runs, and what it says when something in it is spoilt."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.k3s.conftest import node_machines
from tests.k3s.hand import node_of, wait_ready
from tests.k3s.road import server_of
from tests.machines.machines import Machines
from tests.machines.patience import wait_for
from wireloom.verify.claim import KINDS

FLEET = """\
fleet: shop
underlay: { ipv4: 10.99.0.0/16 }
sites: { fsn: {}, ams: {}, sin: {} }
nodes:
  cp1: { site: fsn, ssh: root@203.0.113.1, public: [203.0.113.1], roles: [k3s-server] }
  w1: { site: ams, ssh: root@203.0.113.2, public: [203.0.113.2], roles: [k3s-agent] }
  w2: { site: sin, ssh: root@203.0.113.3, public: [203.0.113.3], roles: [k3s-agent] }
kubernetes: {}
"""
NAMES = ("cp1", "w1", "w2")
SERVERS = ("cp1",)
IMAGE = "--probe-image=docker.io/rancher/mirrored-library-busybox:1.37.0"
PAIRWISE = {"pod-pod", "pod-service", "pod-node", "node-pod", "pod-mtu", "pod-canary", "pod-way"}

Wrong = dict[tuple[str, str, str | None], str]


CONFIG = """\
token: a-secret-of-this-test
node-ip: {ip}
flannel-iface: wg0
"""
SERVER = """\
cluster-init: true
advertise-address: 10.99.0.1
disable: [traefik, servicelb, metrics-server, local-storage]
"""
AGENT = "server: https://10.99.0.1:6443\n"


@pytest.fixture(scope="module")
def cluster(k3s_image: Path, k3s: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """An underlay, and on it a k3s that was set up by hand: the claims are the same, and this is quicker."""
    with node_machines(NAMES, k3s_image, tmp_path_factory.mktemp("claims")) as group:
        group.operator.fleet_file.write_text(FLEET)
        group.operator.run("apply", "--yes")
        for place, name in enumerate(NAMES, 1):
            machine, role = node_of(group, name), "agent" if place > 1 else "server"
            machine.install(k3s)
            text = CONFIG.format(ip=f"10.99.0.{place}") + (AGENT if place > 1 else SERVER)
            machine.configure(role, text)
            machine.start(role)
            wait_ready(server_of(group), *NAMES[:place])
        wait_for_dns(group)
        yield group


def wait_for_dns(group: Machines) -> None:
    words = (
        "get",
        "deployment/coredns",
        "--namespace=kube-system",
        "--output=jsonpath={.status.readyReplicas}",
    )
    server = server_of(group)
    wait_for(
        lambda: server.kubectl(*words, expect=None) == "1",
        lambda: server.kubectl("describe", "pods", "--namespace=kube-system", expect=None)[-3000:],
        seconds=180,
        pause=1,
    )


def verify(group: Machines, *words: str) -> list[dict[str, Any]]:
    """All claims."""
    done = group.operator.run("--json", "verify", IMAGE, *words, expect=None, timeout=600)
    claims: list[dict[str, Any]] = json.loads(done.stdout)["claims"]
    return claims


def wrong(claims: list[dict[str, Any]]) -> Wrong:
    """The verdicts on what does not hold. Ports that are open to the outside are so here: no guard of k3s."""
    return {
        (one["claim"], one["from"], one["to"]): f"{one['verdict']}: {one['detail']}"
        for one in claims
        if one["verdict"] != "holds" and one["claim"] != "exposed"
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
    prefix = server_of(cluster).kubectl("get", "node", "w2", "--output=jsonpath={.spec.podCIDR}")
    harm = f"iptables -I FORWARD -s {prefix} ! -d {prefix} -j DROP"
    with spoilt(cluster, "w2", harm, harm.replace("-I", "-D")):
        found = wrong(verify(cluster))
    assert all("w2" in about for about in found)
    kinds = {kind for kind, source, _ in found if source == "w2"}
    assert {"pod-pod", "pod-service", "pod-node", "dns", "pod-canary"} <= kinds
    assert not kinds & {"nodes", "pod-way", "logs", "exec"}


def test_core_dns_that_is_not_there(cluster: Machines) -> None:
    scale = "/usr/local/bin/k3s kubectl -n kube-system scale deployment/coredns --replicas={}"
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
    mtu = node_of(cluster, "w1").shell("cat /sys/class/net/wg0/mtu").strip()
    with spoilt(cluster, "w1", "ip link set wg0 mtu 1300", f"ip link set wg0 mtu {mtu}"):
        found = wrong(verify(cluster, "--quick"))
    assert set(found) == {("pod-mtu", "w1", None)}
    assert "wg0 has room for 1250 of them" in found["pod-mtu", "w1", None]
