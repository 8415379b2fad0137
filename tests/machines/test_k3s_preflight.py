"""What keeps k3s from real machines: found by ``check --nodes``, each by its own trace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machines.conftest import bare_fleet
from tests.machines.machines import Machines

ROLES = {"cp1": "k3s-server", "w1": "k3s-agent", "db1": "k3s-agent"}
SQUATTER = "use IO::Socket::INET; IO::Socket::INET->new(Listen => 1, LocalPort => 6443) and sleep"

# Somebody's k3s, stopped: it is in this unit's name that another one would run.
FOREIGN = """\
mkdir -p /var/lib/rancher/k3s/agent/containerd
printf '[Service]\\nExecStart=k3s agent --token hunter2\\n' >/etc/systemd/system/k3s-agent.service
"""


@pytest.fixture(scope="module")
def fleet(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """The usual machines, three of them with a role."""
    with bare_fleet(image, tmp_path_factory.mktemp("k3s")) as group:
        lines = group.operator.fleet_file.read_text().splitlines()
        for name, role in ROLES.items():
            lines = [
                f"{line[:-2]}, roles: [{role}] }}" if line.startswith(f"  {name}:") else line
                for line in lines
            ]
        group.operator.fleet_file.write_text("\n".join([*lines, "kubernetes: { version: v1.34.2+k3s1 }", ""]))
        yield group


def find(group: Machines, *, expect: int) -> list[tuple[str, str, str]]:
    """The errors: whether such a machine is given cgroup controllers is its host's business."""
    document = group.operator.json("check", "--nodes", "--yes", expect=expect)
    errors = [one for one in document["findings"] if one["severity"] == "error"]
    return [(one["node"], one["check"], one["what"]) for one in errors]


def test_machines_that_are_ready_for_k3s(fleet: Machines) -> None:
    assert find(fleet, expect=0) == []


def test_what_stands_in_the_way_is_found_on_each_machine(fleet: Machines) -> None:
    server, agent, other = fleet["alpha"], fleet["beta"], fleet["gamma"]
    server.shell(f"systemd-run --unit=squatter perl -e '{SQUATTER}'")
    server.shell("until ss -Hltn 'sport = :6443' | grep -q .; do sleep 0.05; done")
    agent.shell(FOREIGN)
    other.shell("mkdir -p /etc/kubernetes; : >/etc/kubernetes/kubelet.conf")
    found = find(fleet, expect=1)
    server.shell("systemctl stop squatter")
    agent.shell("rm -r /var/lib/rancher /etc/systemd/system/k3s-agent.service")
    other.shell("rm -r /etc/kubernetes")
    assert [(node, check, what.partition(" (process")[0]) for node, check, what in found] == [
        ("cp1", "port", "TCP port 6443 is taken by perl"),
        ("w1", "cluster", "a k3s is here that wireloom did not install, perhaps another cluster's"),
        ("db1", "kubernetes", "kubeadm has been here (/etc/kubernetes/kubelet.conf)"),
    ]
    assert find(fleet, expect=0) == []
