"""Servers are lost: before another has joined, for good, and one in whose place a blank machine comes."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k3s.conftest import node_machines
from tests.k3s.hand import node_of, ready, wait_ready
from tests.k3s.road import apply, fleet_of, supply, told_command
from tests.machines.machines import Machines
from tests.machines.patience import wait_for

ALL = ("cp1", "cp2", "cp3")


@pytest.fixture(scope="module")
def servers(k3s_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Three machines; each test goes on from where the one before has left them."""
    with node_machines(ALL, k3s_image, tmp_path_factory.mktemp("servers")) as group:
        yield group


def want(group: Machines, *names: str) -> None:
    group.operator.fleet_file.write_text(fleet_of(*names, among=ALL))


def follow(group: Machines, said: str) -> str:
    """Do what a message says: the `wireloom` command in it; what that said."""
    words = shlex.split(told_command(said, ": wireloom ", ";").splitlines()[0])
    done = group.operator.run(*words, *(["--yes"] if "remove" in words else ["--yes-i-mean", "shop"]))
    return done.stdout + done.stderr


def voters(group: Machines) -> list[str]:
    found: list[str] = group.operator.json("k3s", "status", expect=None)["etcd"]["voters"]
    return sorted(found)


def test_the_first_is_lost_before_the_second_has_joined(servers: Machines, k3s: Path) -> None:
    """No second cluster is begun beside one that may come back, unless the file has it no more."""
    want(servers, "cp1", "cp2")
    fault = {"step": "hand_on", "node": "cp1", "when": "before", "keepalive": 1}
    lose = node_of(servers, "cp1").lose_power
    done = servers.operator.halted(fault, lose, "apply", "--yes", *supply(k3s), seconds=300)
    assert done.returncode == 1
    assert "cp2 failed at token: cp1 gave no token: " in done.stdout
    said = apply(servers, k3s, expect=1)
    assert "cp1: error: it did not answer, and may have begun the cluster" in said
    assert "if it is gone for good, take it out of the fleet file" in said
    want(servers, "cp2")
    assert "begins the cluster" in servers.operator.run("plan", expect=2).stdout


def test_when_it_is_back_the_second_joins(servers: Machines, k3s: Path) -> None:
    want(servers, "cp1", "cp2")
    node_of(servers, "cp1").switch_on()
    node_of(servers, "cp1").settle()
    apply(servers, k3s)
    wait_ready(node_of(servers, "cp1"), "cp1", "cp2")
    assert voters(servers) == ["cp1", "cp2"]


def test_lost_for_good_it_leaves_etcd_without_a_majority(servers: Machines, k3s: Path) -> None:
    """systemd calls the other one active; that there is no cluster any more is told, and what to do."""
    node_of(servers, "cp1").lose_power()
    want(servers, "cp2")
    said = apply(servers, k3s)
    assert "cp2: warning: no server tells of the cluster that it is in" in said
    assert "`wireloom k3s uninstall` begins anew" in said
    servers.operator.run("k3s", "uninstall", "--yes-i-mean", "shop")
    apply(servers, k3s)
    wait_ready(node_of(servers, "cp2"), "cp2")


def test_who_comes_back_to_a_cluster_begun_anew_is_told_how_to_join_it(servers: Machines, k3s: Path) -> None:
    want(servers, "cp2", "cp1", "cp3")
    back = node_of(servers, "cp1")
    back.switch_on()
    # Its etcd waits for the other one, and the boot of the machine with it: SSH is all that comes.
    wait_for(lambda: back.run("systemctl", "is-active", "ssh", expect=None) == "active\n", back.console)
    said = apply(servers, k3s, expect=1)
    assert "cp1: error: it is in another cluster than cp2" in said
    assert "cp1: gone: " in follow(servers, said)
    apply(servers, k3s)
    wait_ready(node_of(servers, "cp2"), *ALL)
    assert voters(servers) == list(ALL)


def test_a_blank_machine_in_the_place_of_a_server(servers: Machines, k3s: Path) -> None:
    """Refused until the one before it has left etcd; and before that, until somebody knows it."""
    new, other = node_of(servers, "cp3"), node_of(servers, "cp2")
    new.replace()
    new.switch_on()
    new.settle()
    wait_for(lambda: ready(other) == {"cp1", "cp2"}, other.journal, seconds=120, pause=1)
    said = apply(servers, k3s, expect=1)
    assert "the host key of cp3 (203.0.113.3 port 22) has changed" in said
    assert "remove `ssh_host_key` of cp3 from the fleet's lock file" in said
    forget_host_key(servers, "cp3")

    said = apply(servers, k3s, expect=1)
    assert "cp3: error: the cluster has an etcd member of this name, and this machine has not" in said
    assert new.shell("ls -d /etc/rancher /var/lib/rancher /etc/wireguard/wg0.conf 2>/dev/null; :") == ""
    assert "cp3: gone: deleted from the cluster" in follow(servers, said)
    assert voters(servers) == ["cp1", "cp2"]

    apply(servers, k3s)
    wait_ready(other, *ALL)
    assert voters(servers) == list(ALL)
    assert servers.operator.json("plan")["cluster"]["changes"] == []


def forget_host_key(group: Machines, name: str) -> None:
    lock = group.operator.home / "fleet.lock"
    known = json.loads(lock.read_text())
    del known["nodes"][name]["ssh_host_key"]
    lock.write_text(json.dumps(known, indent=2))
