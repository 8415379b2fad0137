"""The stand-in does what a k3s made by hand does, as far as other tests build on it."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k3s.conftest import node_machines
from tests.k3s.hand import inside, node_of, probe, ready, start, wait_ready
from tests.k3s.machine import Node
from tests.machines.machines import Machines
from tests.machines.patience import wait_for


@pytest.fixture(scope="module")
def pair(k3s_image: Path, k3s: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """One server, one agent, Ready, a probe on each."""
    with node_machines(("cp1", "w1"), k3s_image, tmp_path_factory.mktemp("pair")) as group:
        for machine in group:
            node_of(group, machine.name).install(k3s)
        start(group, "cp1")
        start(group, "w1", role="agent", first="cp1")
        wait_ready(node_of(group, "cp1"), "cp1", "w1")
        yield group


@pytest.fixture(scope="module")
def server(pair: Machines) -> Node:
    return node_of(pair, "cp1")


@pytest.fixture(scope="module")
def pods(server: Node) -> dict[str, str]:
    return probe(server, "cp1", "w1")


def test_a_node_has_the_address_that_its_configuration_names(server: Node) -> None:
    said = server.kubectl(
        "get",
        "nodes",
        '--output=jsonpath={range .items[*]}{.metadata.name} {.status.addresses[0].address}{"\\n"}{end}',
    )
    assert said.split() == ["cp1", "203.0.113.1", "w1", "203.0.113.2"]


def test_flannel_runs_on_the_interface_that_was_named(server: Node) -> None:
    details = json.loads(server.run("ip", "-json", "-details", "link", "show", "flannel.1"))[0]
    assert details["linkinfo"]["info_data"]["link"] == "host0"
    assert details["mtu"] == 1450


def test_pods_reach_each_other_across_nodes(server: Node, pods: dict[str, str]) -> None:
    inside(server, "cp1", "ping", "-c", "2", "-W", "2", pods["w1"])
    inside(server, "w1", "ping", "-c", "2", "-W", "2", pods["cp1"])


def test_logs_come_from_every_node(server: Node, pods: dict[str, str]) -> None:
    assert server.kubectl("logs", "probe-w1") == "hello from w1\n"
    assert server.kubectl("logs", "probe-cp1") == "hello from cp1\n"


def test_names_resolve_in_pods_of_every_node(server: Node, pods: dict[str, str]) -> None:
    server.kubectl("rollout", "status", "--namespace=kube-system", "deployment/coredns", "--timeout=120s")
    for node in pods:
        assert "10.43.0.1" in inside(server, node, "nslookup", "kubernetes.default.svc.cluster.local")


def test_a_service_is_reached_through_its_address(server: Node, pods: dict[str, str]) -> None:
    said = inside(server, "w1", "sh", "-c", "echo | nc -w 3 10.43.0.1 443 && echo open")
    assert said.endswith("open\n")


def test_an_agent_with_another_token_is_told(pair: Machines, server: Node) -> None:
    agent = node_of(pair, "w1")
    config = "server: https://203.0.113.1:6443\ntoken: {token}\n"
    for token, told in {
        "wrong": "401 Unauthorized",
        f"K10{'0' * 64}::node:wrong": "token CA hash does not match the Cluster CA certificate hash",
    }.items():
        agent.write("/etc/rancher/other.yaml", config.format(token=token))
        # Its load balancer's port is taken by the agent that runs here.
        words = ("/usr/local/bin/k3s", "agent", "--config=/etc/rancher/other.yaml", "--lb-server-port=6445")
        assert told in agent.shell(f"{' '.join(words)} 2>&1 || true")


@pytest.fixture(scope="module")
def three(k3s_image: Path, k3s: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Three servers, each an etcd member."""
    names = ("cp1", "cp2", "cp3")
    with node_machines(names, k3s_image, tmp_path_factory.mktemp("three")) as group:
        for name in names:
            node_of(group, name).install(k3s)
        first = start(group, "cp1")
        wait_ready(first, "cp1")
        start(group, "cp2", first="cp1")
        wait_ready(first, "cp1", "cp2")
        start(group, "cp3", first="cp1")
        wait_ready(first, *names)
        yield group


def test_two_of_three_servers_go_on_without_the_first(three: Machines) -> None:
    first = node_of(three, "cp1").init
    assert first is not None
    os.kill(first, signal.SIGKILL)
    second = node_of(three, "cp2")
    wait_for(
        lambda: second.kubectl("get", "--raw=/readyz", expect=None) == "ok",
        second.journal,
        seconds=60,
        pause=0.5,
    )
    wait_for(lambda: ready(second) == {"cp2", "cp3"}, second.journal, seconds=90, pause=0.5)


def test_a_deleted_node_leaves_etcd(three: Machines) -> None:
    second = node_of(three, "cp2")
    second.kubectl("delete", "node", "cp1")
    wait_for(
        lambda: (
            "Removing member cp1-"
            in "".join(
                node_of(three, name).run("journalctl", "--unit=k3s", "--no-pager") for name in ("cp2", "cp3")
            )
        ),
        second.journal,
        seconds=30,
        pause=0.5,
    )
    assert second.kubectl("get", "--raw=/readyz") == "ok"
