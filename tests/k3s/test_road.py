"""From nothing to a cluster over the underlay, through the command line; and what happens to it then."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.k3s.hand import inside, node_of, probe, ready, wait_ready
from tests.k3s.road import W2, addresses, apply, blank, server_of
from tests.machines.machines import Machines
from tests.machines.patience import wait_for

UNDERLAY = {"cp1": "10.99.0.1", "cp2": "10.99.0.2", "cp3": "10.99.0.3", "w1": "10.99.0.4"}


@pytest.fixture(scope="module", params=["vxlan", "host-gw"])
def fleet(
    request: pytest.FixtureRequest, k3s_image: Path, k3s: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    with blank(k3s_image, tmp_path_factory.mktemp("road"), backend=request.param) as group:
        yield group


@pytest.fixture(scope="module")
def cluster(fleet: Machines, k3s: Path) -> Machines:
    """Everything by one command."""
    apply(fleet, k3s)
    return fleet


@pytest.fixture(scope="module")
def pods(cluster: Machines) -> dict[str, str]:
    return probe(server_of(cluster), *UNDERLAY)


def test_the_plan_tells_every_step_before_anything_is_done(fleet: Machines) -> None:
    changes = fleet.operator.json("plan", "--yes", expect=2)["cluster"]["changes"]
    of_w1 = [(one["action"], one["target"]) for one in changes if one["node"] == "w1"]
    assert of_w1 == [
        ("create", "file /usr/local/bin/k3s"),
        ("create", "file /etc/rancher/k3s/config.yaml"),
        ("create", "file /etc/systemd/system/k3s-agent.service"),
        ("create", "token /etc/rancher/k3s/agent-token"),
        ("enable", "unit k3s-agent"),
        ("start", "unit k3s-agent"),
    ]


def test_every_node_is_ready_by_its_underlay_address(cluster: Machines) -> None:
    assert addresses(server_of(cluster)) == UNDERLAY
    assert ready(server_of(cluster)) == set(UNDERLAY)


def test_there_is_nothing_left_to_do(cluster: Machines, k3s: Path) -> None:
    plan = cluster.operator.json("plan", expect=0)
    assert (plan["changes"], plan["cluster"]["changes"]) == ([], [])
    assert "k3s: 4 unchanged." in apply(cluster, k3s)


def test_tokens_are_for_root_alone_and_in_no_log(cluster: Machines) -> None:
    for name in UNDERLAY:
        machine = node_of(cluster, name)
        assert machine.shell("stat -c %a /etc/rancher/k3s/*-token | sort -u").strip() == "600"
        secret = machine.shell("sed 's/.*://' /etc/rancher/k3s/agent-token").strip()
        assert len(secret) == 64
        assert machine.shell(f"journalctl --no-pager | grep -c {secret} || true").strip() == "0"
        assert secret not in (cluster.operator.home / "fleet.lock").read_text()


def test_pods_talk_between_all_nodes(cluster: Machines, pods: dict[str, str]) -> None:
    for source in pods:
        for target, address in pods.items():
            if source != target:
                inside(server_of(cluster), source, "ping", "-c", "1", "-W", "3", address)


def test_keys_are_rotated_and_no_packet_between_pods_is_lost(cluster: Machines, pods: dict[str, str]) -> None:
    """Nothing of k3s and flannel is restarted or made anew for it."""
    devices = " ".join(f"/sys/class/net/{one}/ifindex" for one in ("wg0", "cni0", "flannel.1"))
    look = f"systemctl show --value -p InvocationID k3s k3s-agent; cat {devices} 2>/dev/null || true"
    before = {name: node_of(cluster, name).shell(look) for name in UNDERLAY}
    keys = {node_of(cluster, name).run("wg", "show", "wg0", "public-key") for name in UNDERLAY}
    pings = [("cp1", "w1"), ("w1", "cp2"), ("cp3", "cp1")]
    with ThreadPoolExecutor() as pool:
        said = [
            pool.submit(inside, server_of(cluster), one, "ping", "-i", "0.05", "-c", "1000", pods[other])
            for one, other in pings
        ]
        time.sleep(2)
        cluster.operator.run("rotate", "--yes")
        assert not any(one.done() for one in said), "the pings ended before the rotation did"
    assert [re.findall(r"1000 packets transmitted, 1000 ", one.result()) for one in said] == [
        ["1000 packets transmitted, 1000 "]
    ] * len(pings)
    assert {name: node_of(cluster, name).shell(look) for name in UNDERLAY} == before
    assert not keys & {node_of(cluster, name).run("wg", "show", "wg0", "public-key") for name in UNDERLAY}
    assert ready(server_of(cluster)) == set(UNDERLAY)
    plan = cluster.operator.json("plan", expect=0)
    assert (plan["changes"], plan["cluster"]["changes"]) == ([], [])


def test_a_restarted_machine_comes_back_by_itself(cluster: Machines) -> None:
    machine = node_of(cluster, "w1")
    before = machine.reboot()
    machine.settle(not_as=before)
    wait_ready(server_of(cluster), *UNDERLAY)


def test_one_more_agent(cluster: Machines, k3s: Path) -> None:
    text = cluster.operator.fleet_file.read_text()
    cluster.operator.fleet_file.write_text(text.replace("kubernetes:", f"{W2}kubernetes:"))
    said = apply(cluster, k3s)
    assert "k3s: 1 changed, 4 unchanged." in said or "k3s: 4 unchanged, 1 changed." in said
    wait_ready(server_of(cluster), *UNDERLAY, "w2")


def test_two_of_three_servers_go_on_and_the_third_comes_back(cluster: Machines) -> None:
    lost = node_of(cluster, "cp3")
    lost.lose_power()
    others = {*UNDERLAY, "w2"} - {"cp3"}
    wait_for(lambda: ready(server_of(cluster)) == others, server_of(cluster).journal, seconds=120, pause=1)
    assert cluster.operator.run("plan", expect=None).returncode in (1, 2)
    lost.switch_on()
    lost.settle()
    wait_ready(server_of(cluster), *others, "cp3")
