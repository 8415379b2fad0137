"""Pods with both families, over an underlay of both."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k3s.conftest import node_machines
from tests.k3s.hand import inside, probe
from tests.k3s.road import apply, server_of
from tests.machines.machines import Machines

NAMES = ("cp1", "w1")

FLEET = """\
fleet: shop
underlay: { ipv4: 10.99.0.0/16, ipv6: "fd42:99::/64" }
sites: { fsn: {} }
nodes:
  cp1: { site: fsn, ssh: root@203.0.113.1, public: [203.0.113.1], roles: [k3s-server] }
  w1: { site: fsn, ssh: root@203.0.113.2, public: [203.0.113.2], roles: [k3s-agent] }
kubernetes:
  version: v1.34.2+k3s1
  flannel_backend: BACKEND
  pods: [10.42.0.0/16, "fd42:42::/56"]
  services: [10.43.0.0/16, "fd42:43::/112"]
"""


@pytest.fixture(scope="module", params=["vxlan", "host-gw"])
def cluster(
    request: pytest.FixtureRequest, k3s_image: Path, k3s: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    with node_machines(NAMES, k3s_image, tmp_path_factory.mktemp("dual")) as group:
        group.operator.fleet_file.write_text(FLEET.replace("BACKEND", request.param))
        apply(group, k3s)
        yield group


def test_nodes_have_an_address_of_each_family(cluster: Machines) -> None:
    path = '{.items[*].status.addresses[?(@.type=="InternalIP")].address}'
    told = server_of(cluster).kubectl("get", "nodes", f"--output=jsonpath={path}").split()
    assert told == ["10.99.0.1", "fd42:99::1", "10.99.0.2", "fd42:99::2"]


def test_pods_talk_over_both(cluster: Machines) -> None:
    server = server_of(cluster)
    probe(server, *NAMES)
    for source, target in (NAMES, NAMES[::-1]):
        ipv4, ipv6 = addresses(cluster, target)
        inside(server, source, "ping", "-c", "1", "-W", "5", ipv4)
        inside(server, source, "ping", "-6", "-c", "1", "-W", "5", ipv6)


def addresses(cluster: Machines, node: str) -> list[str]:
    """The probe's on that node."""
    pod = json.loads(server_of(cluster).kubectl("get", "pod", f"probe-{node}", "--output=json"))
    return [one["ip"] for one in pod["status"]["podIPs"]]


def test_there_is_nothing_left_to_do(cluster: Machines) -> None:
    plan = cluster.operator.json("plan")
    assert (plan["changes"], plan["cluster"]["changes"]) == ([], [])
