"""A cluster made by hand, as the documentation of k3s has it: the reference that the stand-in is tried on."""

import json
from typing import Any

from tests.k3s.machine import ClusterMachine, Node
from tests.machines.machines import Machines
from tests.machines.patience import wait_for

TOKEN = "a-secret-of-this-test"

FIRST = """\
cluster-init: true
token: {token}
node-ip: {ip}
flannel-iface: host0
disable: [traefik, servicelb, metrics-server, local-storage]
"""
JOINING = """\
server: https://{server}:6443
token: {token}
node-ip: {ip}
flannel-iface: host0
"""

POD = """\
apiVersion: v1
kind: Pod
metadata: {{ name: probe-{node} }}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
    - {{ name: probe, image: "docker.io/library/wireloom-probe:1", imagePullPolicy: Never,
        command: [sh, -c, "echo hello from {node}; trap exit TERM; sleep infinity & wait"] }}
"""


def node_of(group: Machines, name: str) -> Node:
    machine = group[name]
    assert isinstance(machine, Node)
    return machine


def start(group: Machines, name: str, *, role: str = "server", first: str | None = None) -> Node:
    """Start k3s on a machine: the first server, or one that joins by way of it."""
    machine = node_of(group, name)
    text = JOINING if first else FIRST
    server = group[first].address.ip if first else ""
    disable = "disable: [traefik, servicelb, metrics-server, local-storage]\n"
    config = text.format(token=TOKEN, ip=machine.address.ip, server=server)
    machine.configure(role, config + (disable if first and role == "server" else ""))
    machine.start(role)
    return machine


def ready(server: ClusterMachine) -> set[str]:
    """The nodes that are Ready, as that server says; none while it doesn't answer."""
    found = set()
    for node in _items(server, "nodes"):
        for condition in node["status"].get("conditions", ()):
            if (condition["type"], condition["status"]) == ("Ready", "True"):
                found.add(node["metadata"]["name"])
    return found


def wait_ready(server: ClusterMachine, *names: str) -> None:
    """Wait until exactly these are Ready."""
    wait_for(
        lambda: ready(server) == set(names),
        lambda: f"{ready(server)} of {names}\n{server.journal()}",
        seconds=server.settling,
        pause=0.5,
    )


def _items(server: ClusterMachine, kind: str) -> list[dict[str, Any]]:
    said = server.kubectl(
        "get", kind, "--all-namespaces", "--output=json", "--request-timeout=5s", expect=None
    )
    try:
        return list(json.loads(said)["items"])
    except (json.JSONDecodeError, KeyError):
        return []


def probe(server: ClusterMachine, *nodes: str) -> dict[str, str]:
    """A pod on each of these nodes; its address by node."""
    server.kubectl("apply", "--filename=-", stdin="---\n".join(POD.format(node=node) for node in nodes))
    wanted = {f"probe-{node}": node for node in nodes}

    def addresses() -> dict[str, str] | None:
        pods = _items(server, "pods")
        found = {
            wanted[pod["metadata"]["name"]]: pod["status"]["podIP"]
            for pod in pods
            if pod["metadata"]["name"] in wanted and pod["status"].get("phase") == "Running"
        }
        return found if len(found) == len(nodes) else None

    return wait_for(
        addresses,
        lambda: server.kubectl("describe", "pods", expect=None)[-6000:],
        seconds=server.settling,
        pause=0.5,
    )


def inside(server: ClusterMachine, node: str, *words: str, expect: int | None = 0) -> str:
    """A command in the probe on that node."""
    return server.kubectl("exec", f"probe-{node}", "--", *words, expect=expect)
