"""What pods of two machines get of the network between them. For ``bench/cluster.py``."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from booted import say
from tests.k3s.conftest import node_machines
from tests.k3s.hand import ready, start, wait_ready
from tests.k3s.machine import Node
from tests.k3s.road import apply, server_of
from tests.machines.machines import Machines
from tests.machines.patience import wait_for
from wire import INTERFACE, VXLAN, WIREGUARD, slowed

NAMES = ("cp1", "w1")
PODS, UNDERLAY, WIRE = "pods", "machines, WireGuard", "machines, as they are"
BACKENDS = {"vxlan": "vxlan", "host-gw": "host-gw", "vxlan, no encryption": None}
"""Networks, and flannel's backend on the underlay; None: beside it."""

FLEET = """\
fleet: bench
underlay: {{ ipv4: 10.99.0.0/16, guard: {guard} }}
sites: {{ fsn: {{}}, ams: {{}} }}
nodes:
  cp1: {{ site: fsn, ssh: root@203.0.113.1, public: [203.0.113.1], roles: [k3s-server] }}
  w1: {{ site: ams, ssh: root@203.0.113.2, public: [203.0.113.2], roles: [k3s-agent] }}
"""
CLUSTER = "kubernetes: {{ version: v1.34.2+k3s1, flannel_backend: {} }}\n"

POD = """\
apiVersion: v1
kind: Pod
metadata: {{ name: {name} }}
spec:
  nodeName: {node}
  hostNetwork: {host}
  terminationGracePeriodSeconds: 0
  containers:
    - {{ name: probe, image: "docker.io/library/wireloom-probe:1", imagePullPolicy: Never,
        command: [iperf3, --server, --port, "{port}"] }}
"""
POD_PORT, HOST_PORT = 5201, 5202
PINGS = 100


@dataclass(frozen=True, slots=True)
class Way:
    """One way from one machine to the other.

    ``mtu``: of the interface that packets start from; ``tunnels``: the bytes put around each. Of each turn
    Mbit/s of TCP and the median round trip in ms, and ``wire_mbits`` where the wire is slow.
    """

    mtu: int
    tunnels: int
    mbits: list[float] = field(default_factory=list)
    rtts: list[float] = field(default_factory=list)
    wire_mbits: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Network:
    """The ways between two machines of one cluster. ``datapath`` is what their WireGuard is."""

    ways: Mapping[str, Way]
    datapath: str

    def share(self, base: str) -> float:
        """What pods get of the throughput of ``base``: the median of the turns, each of which has both."""
        return _ratio(self.ways[PODS].mbits, self.ways[base].mbits)

    def wire_share(self, base: str) -> float:
        """The same on a slow wire."""
        return _ratio(self.ways[PODS].wire_mbits, self.ways[base].wire_mbits)

    def delay(self, base: str) -> float:
        """How many times as long as there a round trip takes, as above."""
        return _ratio(self.ways[PODS].rtts, self.ways[base].rtts)


def _ratio(ours: list[float], theirs: list[float]) -> float:
    return median(one / other for one, other in zip(ours, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class Pace:
    """How often each way is tried, for how long, and on which slow wire as well: Mbit/s, 0 is none."""

    turns: int
    seconds: int
    rate: int


def try_networks(
    names: Sequence[str], image: Path, k3s: Path, scratch: Path, pace: Pace
) -> dict[str, Network]:
    """Each network with machines and a cluster of its own; none where there is no turn."""
    found: dict[str, Network] = {}
    for name in names if pace.turns else ():
        say(f"pods: {name}")
        directory = scratch / name.replace(" ", "-")
        directory.mkdir()
        with node_machines(NAMES, image, directory) as group:
            raise_cluster(group, k3s, BACKENDS[name])
            found[name] = _try_network(group, BACKENDS[name], pace)
    return found


def raise_cluster(group: Machines, k3s: Path, backend: str | None) -> None:
    """A server and an agent: on the underlay by wireloom, or by hand beside it, without a guard."""
    more = CLUSTER.format(backend) if backend else ""
    group.operator.fleet_file.write_text(FLEET.format(guard=str(backend is not None).lower()) + more)
    if backend:
        apply(group, k3s)
        return
    group.operator.run("apply", "--yes")
    for one in NAMES:
        server_of(group, one).install(k3s)
    start(group, "cp1")
    wait_ready(server_of(group), "cp1")
    start(group, "w1", role="agent", first="cp1")
    wait_ready(server_of(group), *NAMES)


def _try_network(group: Machines, backend: str | None, pace: Pace) -> Network:
    """All ways in turn, there and back: other work on the computer is then borne by all alike.

    In each turn as fast as the processors go, and then on the slow wire. Without a backend the pods go beside
    the underlay, so that the wire is tried, too.
    """
    server = server_of(group)
    assert ready(server) == set(NAMES)
    ends = {PODS: ("pod-cp1", _start_probes(group), POD_PORT), UNDERLAY: ("host-cp1", "10.99.0.2", HOST_PORT)}
    if backend is None:
        ends[WIRE] = ("host-cp1", str(group["w1"].address.ip), HOST_PORT)
    ways = {name: _find_way(name, server, backend) for name in ends}
    for turn in range(pace.turns):
        order = list(ends)[:: 1 if turn % 2 == 0 else -1]
        for name in order:
            source, address, port = ends[name]
            ways[name].mbits.append(_send(server, source, address, port, pace.seconds))
            ways[name].rtts.append(_ping(server, source, address))
            say(f"{name}: {ways[name].mbits[-1]:,.0f} Mbit/s, {ways[name].rtts[-1]:.3f} ms")
        with slowed(group, pace.rate):
            for name in order if pace.rate else ():
                ways[name].wire_mbits.append(_send(server, *ends[name], pace.seconds))
                say(f"{name}, wire of {pace.rate} Mbit/s: {ways[name].wire_mbits[-1]:.1f}")
    link = server.run("ip", "-details", "link", "show", "dev", "wg0")
    return Network(ways, "wireguard-go, in user space" if " tun " in link else "the kernel's")


def _find_way(name: str, server: Node, backend: str | None) -> Way:
    """Nothing of it tried yet."""
    interface = {PODS: "eth0", UNDERLAY: "wg0", WIRE: INTERFACE}[name]
    file = f"/sys/class/net/{interface}/mtu"
    mtu = server.kubectl("exec", "pod-cp1", "--", "cat", file) if name == PODS else server.run("cat", file)
    wireguard = WIREGUARD if name == UNDERLAY or (name == PODS and backend) else 0
    vxlan = VXLAN if name == PODS and backend != "host-gw" else 0
    return Way(int(mtu), wireguard + vxlan)


def _send(server: Node, source: str, address: str, port: int, seconds: int) -> float:
    """The Mbit/s that arrive."""
    command = ("iperf3", "-J", "-t", str(seconds), "-p", str(port), "-c", address)
    said = server.kubectl("exec", source, "--", *command)
    return float(json.loads(said)["end"]["sum_received"]["bits_per_second"]) / 1e6


def _ping(server: Node, source: str, address: str) -> float:
    """The median round trip in ms."""
    said = server.kubectl("exec", source, "--", "ping", "-c", str(PINGS), "-i", "0.05", address)
    return median(float(one) for one in re.findall(r" time=([0-9.]+) ms", said))


def _start_probes(group: Machines) -> str:
    """A pod, and one in the machine's own network, on both machines; the address of the pod on the second."""
    server = server_of(group)
    probes = [
        POD.format(name=f"{kind}-{node}", node=node, host=str(kind == "host").lower(), port=port)
        for node in NAMES
        for kind, port in (("pod", POD_PORT), ("host", HOST_PORT))
    ]
    server.kubectl("apply", "--filename=-", stdin="---\n".join(probes))
    running = ("get", "pods", "--field-selector=status.phase=Running", "--output=name")
    wait_for(
        lambda: len(server.kubectl(*running, expect=None).split()) == len(probes),
        lambda: server.kubectl("describe", "pods", expect=None)[-6000:],
        seconds=server.settling,
        pause=0.5,
    )
    return server.kubectl("get", "pod", "pod-w1", "--output=jsonpath={.status.podIP}")
