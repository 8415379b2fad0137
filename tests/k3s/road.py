"""A fleet in three sites, and ``wireloom apply`` that makes its network and its cluster."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.faults.world import AGE_LEASE
from tests.k3s.conftest import node_machines
from tests.k3s.hand import node_of
from tests.k3s.machine import Node
from tests.machines.machines import Machines

NAMES = ("cp1", "cp2", "cp3", "w1", "w2")

FLEET = """\
fleet: shop
underlay: {{ ipv4: 10.99.0.0/16 }}
sites: {{ fsn: {{}}, ams: {{}}, sin: {{}} }}
nodes:
  cp1: {{ site: fsn, ssh: root@203.0.113.1, public: [203.0.113.1], roles: [k3s-server] }}
  cp2: {{ site: ams, ssh: root@203.0.113.2, public: [203.0.113.2], roles: [k3s-server] }}
  cp3: {{ site: sin, ssh: root@203.0.113.3, public: [203.0.113.3], roles: [k3s-server] }}
  w1: {{ site: ams, ssh: root@203.0.113.4, public: [203.0.113.4], roles: [k3s-agent] }}
kubernetes: {{ version: v1.34.2+k3s1, flannel_backend: {backend} }}
"""

NODE = "  {name}: {{ site: fsn, ssh: root@{ip}, public: [{ip}], roles: [k3s-{role}] }}\n"

W2 = "  w2: { site: sin, ssh: root@203.0.113.5, public: [203.0.113.5], roles: [k3s-agent] }\n"


def supply(k3s: Path) -> list[str]:
    """The options that bring what is here."""
    images = k3s.parent / "images"
    return [f"--k3s-binary={k3s}", *([f"--k3s-images={images}"] if images.is_dir() else [])]


def apply(group: Machines, k3s: Path, *words: str, expect: int = 0, timeout: float = 900) -> str:
    """``wireloom apply``, which takes its time here."""
    done = group.operator.run("apply", "--yes", *supply(k3s), *words, expect=expect, timeout=timeout)
    return done.stdout + done.stderr


def fleet_of(*names: str, among: tuple[str, ...] = NAMES, version: str = "v1.34.2+k3s1") -> str:
    """The fleet file of some machines of a group, in one site; without a version no cluster is made.

    ``among``: all machines of the group, which has given its addresses out in that order.
    """
    nodes = [
        NODE.format(
            name=name,
            ip=f"203.0.113.{among.index(name) + 1}",
            role="server" if name.startswith("cp") else "agent",
        )
        for name in names
    ]
    head = "fleet: shop\nunderlay: { ipv4: 10.99.0.0/16 }\nsites: { fsn: {} }\nnodes:\n"
    cluster = f"kubernetes: {{ version: {version} }}\n" if version else ""
    return "".join([head, *nodes, cluster])


def cut(group: Machines, k3s: Path, fault: Mapping[str, str]) -> None:
    """An apply whose operator is killed at a step of tests/faults/operator.py."""
    process = group.operator.unlucky(json.dumps({**fault, "do": "kill"}), "apply", "--yes", *supply(k3s))
    said, errors = process.communicate(timeout=300)
    assert process.returncode == -9, f"{fault}: {process.returncode}\n{said}{errors}"


def told_command(said: str, begin: str, end: str) -> str:
    """What a message tells to do: the text between the two."""
    assert begin in said, said
    return said.partition(begin)[2].partition(end)[0]


def age_leases(group: Machines) -> None:
    """As if the time had gone by that a dead operator holds machines for."""
    for machine in group:
        machine.shell(AGE_LEASE)


@contextmanager
def blank(image: Path, directory: Path, *, backend: str = "vxlan") -> Iterator[Machines]:
    """Machines with nothing on them, and a fleet file for four of the five."""
    with node_machines(NAMES, image, directory) as group:
        group.operator.fleet_file.write_text(FLEET.format(backend=backend))
        yield group


def server_of(group: Machines, name: str = "cp1") -> Node:
    return node_of(group, name)


def addresses(server: Node) -> dict[str, str]:
    """Each node of the cluster with its InternalIP."""
    path = (
        r'{range .items[*]}{.metadata.name} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}'
    )
    lines = server.kubectl("get", "nodes", f"--output=jsonpath={path}").splitlines()
    return dict(line.split() for line in lines if line)
