"""Flannel's own WireGuard, alone and inside the underlay's, in kernels that have it.

One server and one agent, with a router between them. Software imitates these machines, and a Kubernetes on
them takes its time: a quarter of an hour and more.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.k3s.hand import probe, wait_ready
from tests.k3s.road import apply
from tests.k3s.test_claims import IMAGE
from tests.k3s.virtual import VirtualNode, find_virtual_recipe
from tests.kernel.conftest import NORTH, SOUTH
from tests.kernel.virtual import QEMU
from tests.machines.machines import COMMANDS, Machines, group_of_machines
from tests.machines.patience import wait_for
from tests.machines.suite import provide

WANTED = "WIRELOOM_K3S_KERNEL"
pytestmark = pytest.mark.skipif(not os.environ.get(WANTED), reason=f"{WANTED} is not set: this takes long")

FLEET = """\
fleet: kernel
{underlay}
sites: {{ north: {{}}, south: {{}} }}
nodes:
  cp1: {{ site: north, ssh: root@203.0.113.1, public: [203.0.113.1], roles: [k3s-server] }}
  w1: {{ site: south, ssh: root@198.51.100.1, public: [198.51.100.1], roles: [k3s-agent] }}
kubernetes: {{ version: v1.34.2+k3s1, encrypt: {layer} }}
"""
UNDERLAY = {"cni": "", "both": "underlay: { ipv4: 10.99.0.0/16 }"}
NAMES = ("cp1", "w1")
PATIENT = "--ready-within=60m"

KUBELET = "kubelet-arg: [node-status-update-frequency=1m, runtime-request-timeout=15m]\n"
SERVER = """\
kube-apiserver-arg: [enable-priority-and-fairness=false]
kube-controller-manager-arg: [leader-elect=false, node-monitor-grace-period=15m]
kube-scheduler-arg: [leader-elect=false]
"""
"""Settings of users beside wireloom's: what is slow here is not dead, and one server has nobody to lead."""

ON_THE_WIRE = {
    "cni": "udp port 51820 or tcp port 22 or 6443 or 10250 or arp or icmp6",
    "both": "udp port 51820 or tcp port 22 or arp or icmp6",
}
"""All that machines may send each other: WireGuard, SSH, and Kubernetes' own TLS where no underlay has it;
and what is no IPv4 packet."""

WITHIN = "udp port 51830 or tcp port 6443 or 10250"
"""All that goes through the underlay: flannel's WireGuard, which has a port of its own there, and TLS."""

PING = """\
for one in $(ip netns list | cut -d ' ' -f 1); do
    if ip -n "$one" address | grep -q "inet $1/"; then exec ip netns exec "$one" ping -n -c 20 -i 0.2 "$2"; fi
done
"""
"""From the network of the pod with the one address to the other pod, without asking the API server."""


@pytest.fixture(scope="module", params=ON_THE_WIRE)
def layer(request: pytest.FixtureRequest) -> str:
    """What encrypts: flannel's WireGuard (cni), or both that and the underlay."""
    return str(request.param)


@pytest.fixture(scope="module")
def cluster(layer: str, k3s: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Everything by one command."""
    recipe = find_virtual_recipe()
    variable = "WIRELOOM_TEST_KERNEL_IMAGE"
    image = provide(
        recipe, skip=WANTED, variable=variable, beside="k3s", commands=(*COMMANDS, "mke2fs", QEMU)
    )
    directory = tmp_path_factory.mktemp("kernel")
    with group_of_machines([NORTH, SOUTH], directory=directory) as group:
        group.add(VirtualNode, "cp1", image=image, wire=NORTH)
        group.add(VirtualNode, "w1", image=image, wire=SOUTH)
        group.boot()
        for name, settings in {"cp1": KUBELET + SERVER, "w1": KUBELET}.items():
            group[name].write("/etc/rancher/k3s/config.yaml.d/slow.yaml", settings)
            for unit in ("k3s", "k3s-agent"):
                group[name].write(f"/etc/default/{unit}", "GOGC=400\n")  # memory is cheaper here than time
        group.operator.fleet_file.write_text(FLEET.format(layer=layer, underlay=UNDERLAY[layer]))
        apply(group, k3s, PATIENT, timeout=5400)
        yield group


def node(group: Machines, name: str) -> VirtualNode:
    machine = group[name]
    assert isinstance(machine, VirtualNode)
    return machine


@pytest.fixture(scope="module")
def pods(cluster: Machines) -> dict[str, str]:
    return probe(node(cluster, "cp1"), *NAMES)


def test_both_are_ready(cluster: Machines) -> None:
    wait_ready(node(cluster, "cp1"), *NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_flannels_interface_is_the_kernels_and_its_key_is_published(cluster: Machines, name: str) -> None:
    machine = cluster[name]
    assert "wireguard" in machine.run("ip", "-details", "link", "show", "flannel-wg")
    path = r"{.metadata.annotations.flannel\.alpha\.coreos\.com/backend-data}"
    told = node(cluster, "cp1").kubectl("get", "node", name, f"--output=jsonpath={path}")
    assert re.findall(r'"PublicKey":"([^"]+)"', told) == [
        machine.run("wg", "show", "flannel-wg", "public-key").strip()
    ]


def test_the_picture_is_what_flannel_has_made(layer: str, cluster: Machines) -> None:
    if layer == "both":
        pytest.skip("the picture is the underlay's")
    drawn = cluster.operator.json("graph", expect=0)
    for name in NAMES:
        made = cluster[name].run("wg", "show", "flannel-wg", "endpoints").split()[1::2]
        assert [one["endpoint"] for one in drawn["nodes"][name]["peers"]] == made
        [link] = json.loads(cluster[name].run("ip", "-json", "link", "show", "flannel-wg"))
        assert (drawn["interface"], drawn["mtu"]) == (link["ifname"], link["mtu"])
        assert drawn["port"] == int(cluster[name].run("wg", "show", "flannel-wg", "listen-port"))


def test_pods_talk_through_it_and_nothing_of_it_is_in_clear(
    layer: str, cluster: Machines, pods: dict[str, str]
) -> None:
    agent = cluster["w1"]
    devices = ("eth0", "wg0") if layer == "both" else ("eth0",)
    for device in devices:
        capture = ("tcpdump", "-n", "-U", "--immediate-mode", "-i", device, "-w", f"/run/{device}.pcap")
        agent.run("systemd-run", "--quiet", f"--unit=capture-{device}", *capture)
        # Slow as it is here: it writes the file's head as soon as it captures.
        agent.shell(f"until test -s /run/{device}.pcap; do sleep 0.1; done")
    said = agent.run("sh", "-c", PING, "sh", pods["w1"], pods["cp1"])
    agent.run("systemctl", "stop", *(f"capture-{device}" for device in devices))
    assert "20 packets transmitted, 20 " in said

    def seen(device: str, which: str) -> list[str]:
        return agent.run("tcpdump", "-n", "-r", f"/run/{device}.pcap", which).splitlines()

    assert len(seen("eth0", "udp port 51820")) >= 40
    assert seen("eth0", f"not ({ON_THE_WIRE[layer]})") == []
    if layer == "both":
        assert len(seen("wg0", "udp port 51830")) >= 40
        assert seen("wg0", f"not ({WITHIN})") == []
    assert agent.run("wg", "show", "flannel-wg", "latest-handshakes").split()[1] != "0"


def test_there_is_nothing_left_to_do(cluster: Machines) -> None:
    plan = cluster.operator.json("plan", expect=0)
    assert (plan["changes"], plan["cluster"]["changes"]) == ([], [])


def test_the_status_knows_nothing_against_it(cluster: Machines) -> None:
    """Once: it gives kubectl 12 s, which is little here."""

    def status() -> tuple[int, str]:
        done = cluster.operator.run("k3s", "status", "--quiet", expect=None)
        return done.returncode, done.stdout

    wait_for(lambda: status() == (0, ""), lambda: str(status()), seconds=600, pause=5)


HASTE = {"logs", "exec"}
"""Claims by kubectl, which gets 30 s there, and four at once may take longer here."""


def test_all_that_is_claimed_of_the_network_holds(cluster: Machines) -> None:
    done = cluster.operator.run("--json", "verify", IMAGE, expect=None, timeout=1800)
    claims = [one for one in json.loads(done.stdout)["claims"] if one["claim"] not in HASTE]
    assert {one["claim"] for one in claims} >= {"nodes", "flannel-keys", "pod-way", "pod-pod", "pod-canary"}
    assert [one for one in claims if one["verdict"] != "holds"] == []
