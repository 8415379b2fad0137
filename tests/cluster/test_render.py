"""The files of k3s, byte by byte, for each kind of machine, mode and family of addresses."""

from dataclasses import replace

import pytest
import yaml

from tests.cluster.fleets import CP1, CP2, FAMILIES, W1, cluster, lines, rendered
from wireloom.cluster.places import Role
from wireloom.cluster.unit import render_unit
from wireloom.values import NodeName

UNDERLAY = {
    ("IPv4", "cp1"): """\
cluster-init: true
node-name: "cp1"
node-ip: "10.99.0.1"
flannel-iface: "wg0"
advertise-address: "10.99.0.1"
tls-san: ["10.99.0.1", "203.0.113.10", "cp1.example"]
flannel-backend: "vxlan"
cluster-cidr: "10.42.0.0/16"
service-cidr: "10.43.0.0/16"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("IPv4", "cp2"): """\
server: "https://10.99.0.1:6443"
node-name: "cp2"
node-ip: "10.99.0.2"
flannel-iface: "wg0"
advertise-address: "10.99.0.2"
tls-san: ["10.99.0.2", "198.51.100.20", "2001:db8::20"]
flannel-backend: "vxlan"
cluster-cidr: "10.42.0.0/16"
service-cidr: "10.43.0.0/16"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("IPv4", "w1"): """\
server: "https://10.99.0.1:6443"
node-name: "w1"
node-ip: "10.99.0.5"
flannel-iface: "wg0"
token-file: "/etc/rancher/k3s/agent-token"
""",
    ("IPv6", "cp1"): """\
cluster-init: true
node-name: "cp1"
node-ip: "fd42:99::1"
flannel-iface: "wg0"
advertise-address: "fd42:99::1"
tls-san: ["fd42:99::1", "203.0.113.10", "cp1.example"]
flannel-backend: "vxlan"
flannel-ipv6-masq: true
cluster-cidr: "fd00:42::/56"
service-cidr: "fd00:43::/112"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("IPv6", "w1"): """\
server: "https://[fd42:99::1]:6443"
node-name: "w1"
node-ip: "fd42:99::5"
flannel-iface: "wg0"
token-file: "/etc/rancher/k3s/agent-token"
""",
    ("dual-stack", "cp1"): """\
cluster-init: true
node-name: "cp1"
node-ip: "10.99.0.1,fd42:99::1"
flannel-iface: "wg0"
advertise-address: "10.99.0.1"
tls-san: ["10.99.0.1", "fd42:99::1", "203.0.113.10", "cp1.example"]
flannel-backend: "vxlan"
flannel-ipv6-masq: true
cluster-cidr: "10.42.0.0/16,fd00:42::/56"
service-cidr: "10.43.0.0/16,fd00:43::/112"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("dual-stack", "cp2"): """\
server: "https://10.99.0.1:6443"
node-name: "cp2"
node-ip: "10.99.0.2,fd42:99::2"
flannel-iface: "wg0"
advertise-address: "10.99.0.2"
tls-san: ["10.99.0.2", "fd42:99::2", "198.51.100.20", "2001:db8::20"]
flannel-backend: "vxlan"
flannel-ipv6-masq: true
cluster-cidr: "10.42.0.0/16,fd00:42::/56"
service-cidr: "10.43.0.0/16,fd00:43::/112"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("dual-stack", "w1"): """\
server: "https://10.99.0.1:6443"
node-name: "w1"
node-ip: "10.99.0.5,fd42:99::5"
flannel-iface: "wg0"
token-file: "/etc/rancher/k3s/agent-token"
""",
}


@pytest.mark.parametrize(("families", "name"), UNDERLAY, ids=map(" ".join, UNDERLAY))
def test_on_an_underlay(families: str, name: str) -> None:
    machine = rendered(cluster(**FAMILIES[families]))[NodeName(name)]
    assert lines(machine.settings.text) == UNDERLAY[families, name].splitlines()
    assert (machine.settings.path, machine.settings.mode) == ("/etc/rancher/k3s/config.yaml", 0o600)


def test_the_family_of_the_pods_goes_first() -> None:
    turned = {
        "ipv6": "fd42:99::/64",
        "pods": "fd00:42::/56 10.42.0.0/16",
        "services": "fd00:43::/112 10.43.0.0/16",
    }
    found = rendered(cluster(**turned))
    assert 'node-ip: "fd42:99::1,10.99.0.1"' in found[NodeName("cp1")].settings.text
    assert 'advertise-address: "fd42:99::1"' in found[NodeName("cp1")].settings.text
    assert 'server: "https://[fd42:99::1]:6443"' in found[NodeName("w1")].settings.text


def test_only_machines_with_a_role_get_k3s() -> None:
    assert list(rendered(cluster())) == ["cp1", "cp2", "cp3", "w1"]


def test_somebody_elses_k3s_is_left_alone() -> None:
    fleet = cluster()
    assert fleet.kubernetes is not None
    assert rendered(replace(fleet, kubernetes=replace(fleet.kubernetes, version=None))) == {}


# docs.k3s.io/cli/server, "Critical configuration values": a server with others can't join.
CRITICAL = {
    "agent-token-file", "cluster-cidr", "cluster-dns", "cluster-domain", "disable-cloud-controller",
    "disable-helm-controller", "disable-network-policy", "disable", "egress-selector-mode", "flannel-backend",
    "flannel-external-ip", "flannel-ipv6-masq", "secrets-encryption", "service-cidr", "token-file",
}  # fmt: skip


@pytest.mark.parametrize("families", FAMILIES)
def test_what_is_critical_is_the_same_on_all_servers(families: str) -> None:
    found = rendered(cluster(**FAMILIES[families])).values()
    servers = [yaml.safe_load(one.settings.text) for one in found if one.role is Role.SERVER]
    critical = [{key: one[key] for key in one if key in CRITICAL} for one in servers]
    assert len(servers) == 3
    assert critical[1:] == critical[:-1]


def test_pods_routed_into_the_tunnels() -> None:
    found = rendered(cluster(flannel_backend="host-gw"))
    others = rendered(cluster())
    for name, machine in found.items():
        assert machine.settings.text == others[name].settings.text.replace('"vxlan"', '"host-gw"')
    assert 'flannel-backend: "host-gw"' in found[NodeName("cp1")].settings.text


@pytest.mark.parametrize("cni", ["calico", "cilium"])
def test_another_network_plugin_finds_room(cni: str) -> None:
    found = rendered(cluster(CP1, CP2, W1, cni=cni, flannel_backend=None))
    server, agent = (yaml.safe_load(found[NodeName(name)].settings.text) for name in ("cp1", "w1"))
    assert (server["flannel-backend"], server["disable-network-policy"]) == ("none", True)
    assert not {"flannel-iface", "flannel-ipv6-masq"} & {*server, *agent}


UNIT = """\
[Unit]
Description=Lightweight Kubernetes
Documentation=https://k3s.io
Wants=network-online.target wg-quick@wg0.service
After=network-online.target wg-quick@wg0.service

[Install]
WantedBy=multi-user.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
KillMode=process
Delegate=yes
User=root
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s {command}
"""

UNITS = {
    "cp1": ("/etc/systemd/system/k3s.service", "server"),
    "w1": ("/etc/systemd/system/k3s-agent.service", "agent"),
}


@pytest.mark.parametrize(("name", "expected"), UNITS.items(), ids=UNITS)
def test_the_unit(name: str, expected: tuple[str, str]) -> None:
    unit = rendered(cluster())[NodeName(name)].unit
    path, command = expected
    assert (unit.path, unit.mode) == (path, 0o644)
    assert lines(unit.text) == UNIT.format(command=command).splitlines()


def test_without_an_underlay_the_unit_waits_for_the_network_alone() -> None:
    assert "Wants=network-online.target\nAfter=network-online.target\n" in render_unit(Role.AGENT, None)
