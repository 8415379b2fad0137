"""A cluster is looked at and reached, nodes leave it, and it is taken away: through the command line."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k3s.hand import inside, node_of, probe, ready, wait_ready
from tests.k3s.road import apply, blank, server_of
from tests.machines.machines import Machines
from tests.machines.patience import wait_for

LEASE_SECONDS = 16
"""What a dead operator holds is free by then: LEASE of lease.sh."""

ALL = ("cp1", "cp2", "cp3", "w1")

TRACES = """\
find /etc /usr/local /run /var/lib /var/log -xdev \\
    \\( -path /var/lib/systemd -o -path /etc/cni \\) -prune -o \\
    \\( -iname '*k3s*' -o -iname '*kube*' -o -iname '*rancher*' -o -iname 'cni*' -o -name pods \\) -print
iptables-save | grep -E 'KUBE|CNI|FLANNEL|flannel'
ip6tables-save | grep -E 'KUBE|CNI|FLANNEL|flannel'
ip -o link show | grep -E 'cni0|flannel|veth'
cut -d' ' -f2 /proc/mounts | grep -E 'kube|k3s|netns/'
ip route show | grep '^10.42.*via'
ps -e -o comm= | grep -E 'k3s|containerd|kube|flannel|etcd|pause'
:
"""
"""What is left of k3s on a machine, in lines; nothing where all has gone."""


@pytest.fixture(scope="module")
def fleet(k3s_image: Path, k3s: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with blank(k3s_image, tmp_path_factory.mktemp("leaving")) as group:
        apply(group, k3s)
        yield group


def status(group: Machines, expect: int = 0) -> dict[str, list[str]]:
    """What is wrong with each node."""
    rows = group.operator.json("k3s", "status", expect=expect)["nodes"]
    return {row["node"]: row["wrong"] for row in rows}


def voters(group: Machines, expect: int | None = 0) -> list[str]:
    found: list[str] = group.operator.json("k3s", "status", expect=expect)["etcd"]["voters"]
    return found


def remove(group: Machines, *words: str, expect: int = 0) -> str:
    done = group.operator.run("k3s", "remove", "--yes", *words, expect=expect, timeout=600)
    return done.stdout + done.stderr


def test_all_is_as_the_fleet_file_says(fleet: Machines) -> None:
    assert status(fleet) == {name: [] for name in ALL}
    assert voters(fleet) == ["cp1", "cp2", "cp3"]
    told = fleet.operator.run("k3s", "status").stdout
    assert "3 servers; etcd: 3 voters, one may fail (told by cp1)." in told


def test_the_network_is_not_taken_from_under_it(fleet: Machines) -> None:
    refused = fleet.operator.run("uninstall", "--yes-i-mean", "shop", expect=1).stderr
    for name in ALL:
        assert (
            f"{name}: error: k3s rides on the network\n    take it off first: wireloom k3s remove {name}"
            in refused
        )
    fleet.operator.run("plan")


def test_kubectl_reaches_it_by_the_underlay(fleet: Machines) -> None:
    """From a machine in it, with what the operator has fetched: the certificate is for that address."""
    fleet.operator.run("k3s", "kubeconfig", "-o", "config")
    file = fleet.operator.home / "config"
    assert file.stat().st_mode & 0o777 == 0o600
    other = node_of(fleet, "cp2")
    other.write("/root/fetched", file.read_text())
    assert other.kubectl("get", "nodes", "-o", "name", "--kubeconfig=/root/fetched").split() == [
        f"node/{name}" for name in ALL
    ]
    assert other.kubectl("config", "get-contexts", "-o", "name", "--kubeconfig=/root/fetched").split() == [
        "shop"
    ]
    other.shell("rm /root/fetched")


def test_a_name_that_its_certificate_lacks_is_told(fleet: Machines) -> None:
    words = ("k3s", "kubeconfig", "-o", "other", "--via", "api.example.com")
    assert "is not for api.example.com" in fleet.operator.run(*words).stderr


def test_a_pod_that_nothing_makes_anew_keeps_its_node(fleet: Machines) -> None:
    probe(server_of(fleet), *ALL)
    said = remove(fleet, "w1", expect=1)
    assert "w1: failed (drain): not drained: " in said
    assert "declare no controller" in said
    assert ready(server_of(fleet)) == set(ALL)
    assert "cordoned: it gets no new pods" in status(fleet)["w1"]


def test_an_agent_leaves_and_nothing_is_left_of_it(fleet: Machines) -> None:
    assert "w1: gone: drained, deleted from the cluster, stopped k3s-agent" in remove(fleet, "w1", "--force")
    assert ready(server_of(fleet)) == {"cp1", "cp2", "cp3"}
    assert node_of(fleet, "w1").shell(TRACES) == ""
    assert "w1: nothing there: it is not in the cluster" in remove(fleet, "w1")
    inside(server_of(fleet), "cp1", "true")


def test_a_server_leaves_with_its_member_of_etcd(fleet: Machines) -> None:
    said = remove(fleet, "cp3", "--force")
    assert "cp3: warning: etcd will have 2 voters, none may fail" in said
    assert voters(fleet, expect=None) == ["cp1", "cp2"]
    assert node_of(fleet, "cp3").shell(TRACES) == ""
    assert ready(server_of(fleet)) == {"cp1", "cp2"}


def test_who_has_left_comes_back_by_an_apply(fleet: Machines, k3s: Path) -> None:
    """On the same address, by the same name: nothing of the old one is in its way."""
    apply(fleet, k3s)
    wait_ready(server_of(fleet), *ALL)
    assert voters(fleet) == ["cp1", "cp2", "cp3"]


def test_without_a_majority_nobody_leaves(fleet: Machines) -> None:
    lost = node_of(fleet, "cp3")
    lost.lose_power()
    wait_for(
        lambda: ready(server_of(fleet)) == {"cp1", "cp2", "w1"},
        server_of(fleet).journal,
        seconds=120,
        pause=1,
    )
    assert "cp2: error: etcd would have no majority without it: 1 of 2 voters ready" in remove(
        fleet, "cp2", expect=1
    )
    said = remove(fleet, "cp3")
    assert "its machine can't be reached" in said
    assert voters(fleet, expect=None) == ["cp1", "cp2"]


def test_what_comes_back_of_a_node_that_has_left_is_cleaned(fleet: Machines) -> None:
    lost = node_of(fleet, "cp3")
    lost.switch_on()
    lost.settle()
    # Its etcd is told that it is out, and may have ended before it is stopped.
    assert "removed all of k3s" in remove(fleet, "cp3")
    assert lost.shell(TRACES) == ""


def test_an_interrupted_removal_is_gone_on_with(fleet: Machines) -> None:
    """The operator is killed as soon as the cluster has let the node go."""
    going = fleet.operator.popen("k3s", "remove", "--yes", "--force", "w1")
    wait_for(lambda: "w1" not in ready(server_of(fleet)), server_of(fleet).journal, seconds=120, pause=0.1)
    going.kill()
    going.communicate()
    time.sleep(LEASE_SECONDS)  # what the dead operator holds
    remove(fleet, "w1", "--force")
    assert node_of(fleet, "w1").shell(TRACES) == ""
    assert ready(server_of(fleet)) == {"cp1", "cp2"}


def test_of_two_servers_one_leaves_and_the_last_one_does_not(fleet: Machines) -> None:
    remove(fleet, "cp2", "--force")
    assert voters(fleet, expect=None) == ["cp1"]
    assert "cp1: error: is the last server" in remove(fleet, "cp1", expect=1)
    assert ready(server_of(fleet)) == {"cp1"}


def test_at_last_all_goes_and_the_network_stays(fleet: Machines) -> None:
    text = fleet.operator.fleet_file.read_text()
    fleet.operator.fleet_file.write_text(text.replace("k3s1,", "k3s1, protected: true,"))
    words = ("k3s", "uninstall", "--yes-i-mean", "shop")
    assert "this cluster is protected" in fleet.operator.run(*words, expect=1).stderr
    fleet.operator.fleet_file.write_text(text)
    done = fleet.operator.run(*words, "--json", timeout=600)
    endings = {one["node"]: one["ending"] for one in json.loads(done.stdout)["nodes"]}
    assert endings == {"cp1": "changed", "cp2": "unchanged", "cp3": "unchanged", "w1": "unchanged"}
    for name in ALL:
        assert node_of(fleet, name).shell(TRACES) == ""
    node_of(fleet, "cp1").shell("ping -c 1 -W 3 10.99.0.2")
    node_of(fleet, "cp1").shell("nft list table inet wireloom")


def test_then_the_network_goes_too(fleet: Machines) -> None:
    done = fleet.operator.run("uninstall", "--yes-i-mean", "shop", timeout=300)
    assert done.stdout.count(": gone: interface wg0, ") == len(ALL)
    for name in ALL:
        assert node_of(fleet, name).shell("ls -A /etc/wireguard; nft list tables | grep wireloom || :") == ""
