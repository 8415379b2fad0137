"""The files of k3s, byte by byte, for each kind of machine, mode and family of addresses."""

import json
from dataclasses import replace
from ipaddress import ip_address

import pytest
import yaml

from tests.cluster.fleets import CP1, CP2, FAMILIES, W1, cluster, entries_of, lines, rendered
from tests.network.fleets import lock_of, node
from wireloom.cluster.places import Role
from wireloom.cluster.render import render_cluster
from wireloom.cluster.unit import render_unit
from wireloom.intent.fleet import Fleet
from wireloom.network.topology import weave
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


HOME = (
    node("cp1", "home", "", "10.0.0.2 fd00:1::2", nat=True, role="k3s-server"),
    node("cp2", "home", "", "10.0.0.3 fd00:1::3", nat=True, role="k3s-server"),
    node("w1", "home", "", "10.0.0.4 fd00:1::4", nat=True, role="k3s-agent"),
)
"""One private network."""

CLOUDS = (
    node("cp1", "fsn", "203.0.113.10 2001:db8::10", "10.0.0.2", role="k3s-server"),
    node("cp2", "fsn", "203.0.113.11 2001:db8::11", "10.0.0.3", role="k3s-server"),
    node("w1", "ams", "198.51.100.12 2001:db8:1::12", role="k3s-agent"),
)
"""Two clouds, all servers in one of them."""

WIREGUARD = {
    ("one network, IPv4", "cp1"): """\
cluster-init: true
node-name: "cp1"
node-ip: "10.0.0.2"
advertise-address: "10.0.0.2"
tls-san: ["10.0.0.2"]
flannel-backend: "wireguard-native"
cluster-cidr: "10.42.0.0/16"
service-cidr: "10.43.0.0/16"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("one network, IPv4", "cp2"): """\
server: "https://10.0.0.2:6443"
node-name: "cp2"
node-ip: "10.0.0.3"
advertise-address: "10.0.0.3"
tls-san: ["10.0.0.3"]
flannel-backend: "wireguard-native"
cluster-cidr: "10.42.0.0/16"
service-cidr: "10.43.0.0/16"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("one network, IPv4", "w1"): """\
server: "https://10.0.0.2:6443"
node-name: "w1"
node-ip: "10.0.0.4"
token-file: "/etc/rancher/k3s/agent-token"
""",
    ("clouds, IPv4", "cp1"): """\
cluster-init: true
node-name: "cp1"
node-ip: "10.0.0.2"
node-external-ip: "203.0.113.10"
advertise-address: "203.0.113.10"
tls-san: ["10.0.0.2", "203.0.113.10", "2001:db8::10"]
flannel-backend: "wireguard-native"
flannel-external-ip: true
cluster-cidr: "10.42.0.0/16"
service-cidr: "10.43.0.0/16"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("clouds, IPv4", "cp2"): """\
server: "https://10.0.0.2:6443"
node-name: "cp2"
node-ip: "10.0.0.3"
node-external-ip: "203.0.113.11"
advertise-address: "203.0.113.11"
tls-san: ["10.0.0.3", "203.0.113.11", "2001:db8::11"]
flannel-backend: "wireguard-native"
flannel-external-ip: true
cluster-cidr: "10.42.0.0/16"
service-cidr: "10.43.0.0/16"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("clouds, IPv4", "w1"): """\
server: "https://203.0.113.10:6443"
node-name: "w1"
node-ip: "198.51.100.12"
node-external-ip: "198.51.100.12"
token-file: "/etc/rancher/k3s/agent-token"
""",
    ("clouds, dual-stack", "cp1"): """\
cluster-init: true
node-name: "cp1"
node-ip: "10.0.0.2,2001:db8::10"
node-external-ip: "203.0.113.10,2001:db8::10"
advertise-address: "203.0.113.10"
tls-san: ["10.0.0.2", "2001:db8::10", "203.0.113.10"]
flannel-backend: "wireguard-native"
flannel-ipv6-masq: true
flannel-external-ip: true
cluster-cidr: "10.42.0.0/16,fd00:42::/56"
service-cidr: "10.43.0.0/16,fd00:43::/112"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("clouds, IPv6", "w1"): """\
server: "https://203.0.113.10:6443"
node-name: "w1"
node-ip: "2001:db8:1::12"
node-external-ip: "2001:db8:1::12"
token-file: "/etc/rancher/k3s/agent-token"
""",
    ("both, IPv4", "cp1"): """\
cluster-init: true
node-name: "cp1"
node-ip: "10.99.0.1"
flannel-iface: "wg0"
flannel-conf: "/etc/rancher/k3s/flannel.json"
advertise-address: "10.99.0.1"
tls-san: ["10.99.0.1", "203.0.113.10", "2001:db8::10"]
flannel-backend: "wireguard-native"
cluster-cidr: "10.42.0.0/16"
service-cidr: "10.43.0.0/16"
token-file: "/etc/rancher/k3s/server-token"
agent-token-file: "/etc/rancher/k3s/agent-token"
write-kubeconfig-mode: "0600"
""",
    ("both, dual-stack", "w1"): """\
server: "https://10.99.0.1:6443"
node-name: "w1"
node-ip: "10.99.0.3,fd42:99::3"
flannel-iface: "wg0"
flannel-conf: "/etc/rancher/k3s/flannel.json"
token-file: "/etc/rancher/k3s/agent-token"
""",
}


def wireguard(mode: str) -> Fleet:
    where, families = mode.split(", ")
    nodes = HOME if where == "one network" else CLOUDS
    encrypt = "both" if where == "both" else "cni"
    return cluster(*nodes, encrypt=encrypt, flannel_backend="wireguard-native", **FAMILIES[families])


@pytest.mark.parametrize(("mode", "name"), WIREGUARD, ids=map(" ".join, WIREGUARD))
def test_with_wireguard_in_flannel(mode: str, name: str) -> None:
    machine = rendered(wireguard(mode))[NodeName(name)]
    assert lines(machine.settings.text) == WIREGUARD[mode, name].splitlines()
    rides = "wg-quick@wg0.service" in machine.unit.text
    assert rides is mode.startswith("both")


DEVICES = {"10.0.0.2": "eth1", "203.0.113.10": "eth0"}


def test_without_an_underlay_flannel_sends_from_where_the_machine_has_its_address() -> None:
    fleet = wireguard("one network, IPv4")
    devices = {CP1.name: {ip_address(one): device for one, device in DEVICES.items()}}
    found = render_cluster(fleet, weave(fleet, lock_of(fleet)), entries_of(fleet), devices)
    assert 'flannel-iface: "eth1"' in lines(found[CP1.name].settings.text)
    other = next(one for name, one in found.items() if name != CP1.name)
    assert "flannel-iface" not in other.settings.text


FLANNEL = {
    "IPv4": {"Network": "10.42.0.0/16", "EnableIPv4": True, "IPv6Network": "::/0", "EnableIPv6": False},
    "IPv6": {"Network": "0.0.0.0/0", "EnableIPv4": False, "IPv6Network": "fd00:42::/56", "EnableIPv6": True},
    "dual-stack": {
        "Network": "10.42.0.0/16",
        "EnableIPv4": True,
        "IPv6Network": "fd00:42::/56",
        "EnableIPv6": True,
    },
}


@pytest.mark.parametrize(("families", "expected"), FLANNEL.items(), ids=FLANNEL)
def test_two_wireguards_listen_apart(families: str, expected: dict[str, object]) -> None:
    for machine in rendered(wireguard(f"both, {families}")).values():
        [file] = machine.others
        assert (file.path, file.mode) == ("/etc/rancher/k3s/flannel.json", 0o644)
        backend = {"Type": "wireguard", "ListenPort": 51830, "ListenPortV6": 51831}
        assert json.loads(file.text) == expected | {"Backend": backend}


@pytest.mark.parametrize("mode", ["one network, IPv4", "clouds, dual-stack"])
def test_one_wireguard_has_the_ports_that_k3s_gives_it(mode: str) -> None:
    assert [one.others for one in rendered(wireguard(mode)).values()] == [()] * 3


def test_servers_with_a_database_meet_there() -> None:
    found = rendered(cluster(datastore="external"))
    for name in ("cp1", "cp2", "cp3"):
        machine = found[NodeName(name)]
        assert not {"server", "cluster-init", "datastore-endpoint"} & set(
            yaml.safe_load(machine.settings.text)
        )
        assert "\nEnvironmentFile=/etc/rancher/k3s/datastore.env\n" in machine.unit.text
    agent = found[NodeName("w1")]
    assert yaml.safe_load(agent.settings.text)["server"] == "https://10.99.0.1:6443"
    assert "datastore.env" not in agent.unit.text
    assert [one.entry.server for one in found.values()] == [None, "cp1", "cp1", "cp1"]


# docs.k3s.io/cli/server, "Critical configuration values": a server with others can't join.
CRITICAL = {
    "agent-token-file", "cluster-cidr", "cluster-dns", "cluster-domain", "disable-cloud-controller",
    "disable-helm-controller", "disable-network-policy", "disable", "egress-selector-mode", "flannel-backend",
    "flannel-external-ip", "flannel-ipv6-masq", "secrets-encryption", "service-cidr", "token-file",
}  # fmt: skip


FLEETS = {
    **{families: cluster(**options) for families, options in FAMILIES.items()},
    **{mode: wireguard(mode) for mode, _ in WIREGUARD},
    "a database": cluster(datastore="external"),
    "Cilium": cluster(cni="cilium", flannel_backend=None),
}


@pytest.mark.parametrize("fleet", FLEETS.values(), ids=FLEETS)
def test_what_is_critical_is_the_same_on_all_servers(fleet: Fleet) -> None:
    found = rendered(fleet).values()
    servers = [yaml.safe_load(one.settings.text) for one in found if one.role is Role.SERVER]
    critical = [{key: one[key] for key in one if key in CRITICAL} for one in servers]
    assert len(servers) > 1
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
