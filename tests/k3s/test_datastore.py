"""Servers that meet at a database: an etcd on a machine of the fleet, reached by the underlay."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k3s.conftest import node_machines
from tests.k3s.hand import node_of, wait_ready
from tests.k3s.road import apply, server_of
from tests.machines.machines import Machines
from tests.machines.patience import wait_for

NAMES = ("cp1", "cp2", "db1")

FLEET = """\
fleet: shop
underlay: { ipv4: 10.99.0.0/16 }
sites: { fsn: {} }
nodes:
  cp1: { site: fsn, ssh: root@203.0.113.1, public: [203.0.113.1], roles: [k3s-server] }
  cp2: { site: fsn, ssh: root@203.0.113.2, public: [203.0.113.2], roles: [k3s-server] }
  db1: { site: fsn, ssh: root@203.0.113.3, public: [203.0.113.3] }
"""
KUBERNETES = "kubernetes: { version: v1.34.2+k3s1, datastore: external }\n"
URL = "http://10.99.0.3:2379"


@pytest.fixture(scope="module")
def fleet(k3s_image: Path, k3s: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """The network is there, and the database."""
    with node_machines(NAMES, k3s_image, tmp_path_factory.mktemp("datastore")) as group:
        group.operator.fleet_file.write_text(FLEET)
        group.operator.run("apply", "--yes")
        begin_database(group, k3s)
        group.operator.fleet_file.write_text(FLEET + KUBERNETES)
        yield group


def begin_database(group: Machines, k3s: Path) -> None:
    """The stand-in is an etcd, too."""
    database = node_of(group, "db1")
    database.install(k3s)
    words = f"--data-dir=/var/lib/store --listen-client-urls={URL} --advertise-client-urls={URL}"
    database.shell(f"systemd-run --quiet --unit=store /usr/local/bin/k3s etcd {words}")


def test_without_its_address_nothing_is_begun(fleet: Machines, k3s: Path) -> None:
    assert "servers have to be told where the database is" in apply(fleet, k3s, expect=1)
    node_of(fleet, "cp1").shell("test ! -e /etc/rancher")


def test_two_servers_meet_there(fleet: Machines, k3s: Path) -> None:
    (fleet.operator.home / "endpoint").write_text(f"{URL}\n")
    apply(fleet, k3s, "--datastore-endpoint=endpoint")
    wait_ready(server_of(fleet), "cp1", "cp2")
    wait_ready(node_of(fleet, "cp2"), "cp1", "cp2")
    for name in ("cp1", "cp2"):
        node_of(fleet, name).shell("test ! -e /var/lib/rancher/k3s/server/db/etcd")
    assert fleet.operator.json("k3s", "status")["etcd"]["voters"] == []


def test_there_is_nothing_left_to_do(fleet: Machines, k3s: Path) -> None:
    assert fleet.operator.json("plan")["cluster"]["changes"] == []
    assert "k3s: 2 unchanged." in apply(fleet, k3s)


def test_its_address_is_for_root_alone(fleet: Machines) -> None:
    server = server_of(fleet)
    assert server.shell("stat -c %a /etc/rancher/k3s/datastore.env").strip() == "600"
    assert server.shell(f"grep -rl {URL} /etc /var/lib/wireloom").split() == [
        "/etc/rancher/k3s/datastore.env"
    ]
    assert URL not in (fleet.operator.home / "fleet.lock").read_text()


def test_a_database_that_is_away_is_told_and_comes_back(fleet: Machines) -> None:
    database = node_of(fleet, "db1")
    database.shell("systemctl kill --signal=STOP store")
    silent = "No server tells of the cluster"
    wait_for(
        lambda: silent in fleet.operator.run("k3s", "status", expect=None).stdout,
        server_of(fleet).journal,
        seconds=120,
        pause=1,
    )
    database.shell("systemctl kill --signal=CONT store")
    wait_ready(server_of(fleet), "cp1", "cp2")
