"""What is seen of a cluster on machines, what is found then, and what the outside gets an answer from."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.k3s.conftest import node_machines
from tests.k3s.road import apply
from tests.machines.machines import Machines

FLEET = """\
fleet: shop
underlay: { ipv4: 10.99.0.0/16 }
sites: { fsn: {}, ams: {} }
nodes:
  cp1: { site: fsn, ssh: root@203.0.113.1, public: [203.0.113.1], roles: [k3s-server] }
  w1: { site: ams, ssh: root@203.0.113.2, public: [203.0.113.2], roles: [k3s-agent] }
kubernetes: { version: v1.34.2+k3s1 }
"""


@pytest.fixture(scope="module")
def cluster(k3s_image: Path, k3s: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with node_machines(("cp1", "w1"), k3s_image, tmp_path_factory.mktemp("outside")) as group:
        group.operator.fleet_file.write_text(FLEET)
        assert errors(group) == []
        apply(group, k3s)
        yield group


def errors(group: Machines) -> list[tuple[str, str, str]]:
    document = group.operator.json("check", "--nodes", "--yes", expect=None)
    found = [one for one in document["findings"] if one["severity"] == "error"]
    return [(one["node"], one["check"], one["what"]) for one in found]


def exposed(group: Machines) -> list[tuple[str, str, str]]:
    done = group.operator.run("--json", "verify", "--yes", expect=None, timeout=600)
    claims: list[Any] = [one for one in json.loads(done.stdout)["claims"] if one["claim"] == "exposed"]
    return [(one["to"], one["verdict"], one["detail"]) for one in claims]


def test_what_wireloom_made_is_nothing_foreign(cluster: Machines) -> None:
    assert errors(cluster) == []


CHANGED = {
    "another range": ("kubernetes: {", "kubernetes: { pods: [10.52.0.0/16],", "range"),
    "an older version": ("v1.34.2", "v1.34.1", "version"),
    "a newer version": ("v1.34.2", "v1.34.3", "version"),
    "another role": ("k3s-agent", "k3s-server", "role"),
}


@pytest.mark.parametrize(("old", "new", "check"), CHANGED.values(), ids=CHANGED)
def test_what_a_living_cluster_does_not_allow(cluster: Machines, old: str, new: str, check: str) -> None:
    cluster.operator.fleet_file.write_text(FLEET.replace(old, new))
    found = {kind for _, kind, _ in errors(cluster)}
    cluster.operator.fleet_file.write_text(FLEET)
    assert check in found


def test_the_outside_has_no_answer_but_where_the_guard_is_gone(cluster: Machines) -> None:
    assert [(node, verdict) for node, verdict, _ in exposed(cluster)] == [("cp1", "holds"), ("w1", "holds")]
    for machine in cluster:
        machine.shell("nft delete table inet wireloom")
    found = exposed(cluster)
    cluster.operator.run("apply", "--yes", timeout=600)
    assert [(node, verdict) for node, verdict, _ in found] == [("cp1", "falsified"), ("w1", "falsified")]
    assert all("10250" in detail and "VXLAN frame" in detail for _, _, detail in found)
