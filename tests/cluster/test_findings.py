"""What keeps machines from k3s: for each rule a machine that it finds, and one that it lets pass."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from tests.cluster.shop import CP1, CP2, CP3, W1, network, shop
from wireloom.cluster.findings import inspect_cluster
from wireloom.cluster.places import AGENT_TOKEN, SETTINGS, Role
from wireloom.cluster.seen import ClusterSeen, FileSeen, K3sSeen, K3sStamp, Leftover, Member, Rival
from wireloom.intent.fleet import Fleet
from wireloom.observe.state import Unreachable
from wireloom.preflight.finding import Finding
from wireloom.values import NodeName

OURS, OTHERS = "a" * 64, "b" * 64
PODS, SERVICES = (ip_network("10.42.0.0/16"),), (ip_network("10.43.0.0/16"),)
STAMP = K3sStamp("shop", PODS, SERVICES)
MARK = "# Written by wireloom for cp1, a node of the fleet shop: change fleet.yaml, not this file.\n"
THEIR_MARK = MARK.replace("shop", "blog")

BARE = K3sSeen(
    NodeName("?"),
    controllers=frozenset({"cpu", "cpuacct", "cpuset", "memory", "pids"}),
    memory=4 * 10**9,
    kernel=frozenset({"overlay", "bridge", "br_netfilter", "vxlan", "wireguard"}),
)
"""A machine before k3s, with nothing wrong."""

Changes = Mapping[str, object]
Line = tuple[str, str, str, str]


def bare(name: NodeName, **changes: object) -> K3sSeen:
    return replace(BARE, name=name, **changes)  # type: ignore[arg-type]


def live(name: NodeName, **changes: object) -> K3sSeen:
    """A machine in the cluster, as it should be."""
    role = Role.AGENT if name == W1 else Role.SERVER
    return replace(
        bare(
            name,
            version="v1.34.2+k3s1",
            role=role,
            enabled=True,
            active="active",
            files={role.unit_path: FileSeen(MARK, 0o644)},
            ran=role,
            data=True,
            cluster=OURS,
            stamp=STAMP,
            kernel=None,
        ),
        **changes,  # type: ignore[arg-type]
    )


def member(name: str, address: str, **changes: object) -> Member:
    one = Member(
        NodeName(name),
        ready=True,
        internal=(ip_address(address),),
        server=name != "w1",
        etcd_voter=name != "w1" or None,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


MEMBERS = {
    CP1: member("cp1", "10.99.0.1"),
    CP2: member("cp2", "10.99.0.2"),
    CP3: member("cp3", "10.99.0.3"),
    W1: member("w1", "10.99.0.4"),
}


def lines(findings: tuple[Finding, ...]) -> list[Line]:
    return [(one.node, str(one.check), str(one.severity), one.what) for one in findings]


def find(seen: ClusterSeen, fleet: Fleet | None = None) -> tuple[Finding, ...]:
    fleet = fleet or shop()
    return inspect_cluster(fleet, network(fleet), seen)


def of_bare(changes: Changes, name: NodeName = CP1, fleet: Fleet | None = None) -> list[Line]:
    """What is found of one machine before k3s, with these changes."""
    return lines(find(ClusterSeen({name: bare(name, **changes)}), fleet))


def of_live(
    changes: Mapping[NodeName, Changes], *, members: Mapping[NodeName, Member] = MEMBERS
) -> tuple[Finding, ...]:
    """What is found in a cluster of four some of whose machines were seen otherwise."""
    nodes = {name: live(name, **changes.get(name, {})) for name in (CP1, CP2, CP3, W1)}
    return find(ClusterSeen(nodes, members, CP2))


def blank(name: NodeName) -> Changes:
    """All that a machine in the cluster has and a new one has not."""
    new = bare(name)
    return {field: getattr(new, field) for field in K3sSeen.__slots__ if field != "name"}


def test_bare_machines_are_ready() -> None:
    assert find(ClusterSeen({name: bare(name) for name in (CP1, CP2, CP3, W1)})) == ()


def test_a_cluster_as_it_should_be() -> None:
    assert of_live({}) == ()


def test_no_version_no_k3s_of_ours() -> None:
    fleet = shop("kubernetes: { version: v1.34.2+k3s1 }", "kubernetes: {}")
    assert find(ClusterSeen({CP1: bare(CP1, systemd=False)}), fleet) == ()


def test_a_machine_that_did_not_answer_is_told_by_others() -> None:
    assert find(ClusterSeen({CP1: Unreachable(CP1, "no route to host")})) == ()


# ---- what k3s needs of a machine

GROUND: dict[str, tuple[Changes, tuple[str, str, str]]] = {
    "no systemd": (
        {"systemd": False},
        ("system", "error", "k3s is run by systemd, and this machine has none: not supported yet"),
    ),
    "no release": ({"architecture": "riscv64"}, ("system", "error", "k3s has no release for riscv64")),
    "no memory controller": (
        {"controllers": BARE.controllers - {"memory"}},
        ("cgroup", "error", "the cgroup controllers memory are not enabled"),
    ),
    "no controllers at all": (
        {"controllers": frozenset()},
        ("cgroup", "error", "the cgroup controllers cpu, cpuset, memory, pids are not enabled"),
    ),
    "a memory controller that the host keeps": (
        {"controllers": BARE.controllers - {"memory"}, "withheld": frozenset({"memory", "cpu"})},
        ("cgroup", "warning", "the cgroup controllers memory are not at the root of this machine's cgroups"),
    ),
    "no cpuacct in cgroup v1": (
        {"cgroup": 1, "controllers": BARE.controllers - {"cpuacct"}},
        ("cgroup", "error", "the cgroup controllers cpuacct are not enabled"),
    ),
    "little memory": (
        {"memory": 10**9},
        ("memory", "warning", "1000 MB of memory: a k3s-server wants 2000, without its pods"),
    ),
    "too little memory": (
        {"memory": 5 * 10**8},
        ("memory", "error", "500 MB of memory: a k3s-server wants 2000, without its pods"),
    ),
    "swap": (
        {"swap": 2 * 10**9},
        (
            "memory",
            "warning",
            "2000 MB of swap: k3s starts all the same, and pods slow down before they are moved elsewhere",
        ),
    ),
    "no vxlan": (
        {"kernel": frozenset({"overlay", "bridge", "br_netfilter"})},
        ("kernel", "error", "its kernel lacks vxlan"),
    ),
    "6443 taken": (
        {"holders": {6443: "haproxy (process 7)"}},
        ("port", "error", "TCP port 6443 is taken by haproxy (process 7)"),
    ),
    "2379 taken": (
        {"holders": {2379: "etcd (process 8)"}},
        ("port", "error", "TCP port 2379 is taken by etcd (process 8)"),
    ),
    "10250 taken by nobody knows whom": (
        {"holders": {10250: ""}},
        ("port", "error", "TCP port 10250 is taken by somebody"),
    ),
    "firewalld": (
        {"disturbers": frozenset({"firewalld"})},
        ("firewall", "warning", "firewalld is on, and keeps pods and nodes apart unless told otherwise"),
    ),
    "ufw": (
        {"disturbers": frozenset({"ufw"})},
        ("firewall", "warning", "ufw is on, and keeps pods and nodes apart unless told otherwise"),
    ),
    "nm-cloud-setup": (
        {"disturbers": frozenset({"nm-cloud-setup"})},
        ("firewall", "error", "nm-cloud-setup is on: it takes the routes of pods away"),
    ),
    "garbage": (
        {"garbled": ("units", "ports")},
        ("probes", "error", "the answer to units, ports makes no sense"),
    ),
}
PASSED: dict[str, Changes] = {
    "a virtual machine that was sold with 2 GB": {"memory": 1_930_000_000},
    "cgroup v1 with all it needs": {"cgroup": 1},
    "cgroup v2 has no cpuacct": {"controllers": frozenset({"cpu", "cpuset", "memory", "pids"})},
    "a kernel without WireGuard, which vxlan does not want": {
        "kernel": BARE.kernel and BARE.kernel - {"wireguard"}
    },
    "a port that is not k3s'": {"holders": {9000: "x"}},
    "an ARM that is new enough": {"architecture": "armv7l"},
}


@pytest.mark.parametrize(("changes", "found"), GROUND.values(), ids=GROUND)
def test_what_a_machine_lacks(changes: Changes, found: tuple[str, str, str]) -> None:
    assert of_bare(changes) == [(CP1, *found)]


@pytest.mark.parametrize("changes", PASSED.values(), ids=PASSED)
def test_what_is_enough(changes: Changes) -> None:
    assert of_bare(changes) == []


def test_what_a_k3s_that_ended_left_is_its_own() -> None:
    left = {"active": "failed", "holders": {10250: "k3s-agent (process 7)"}}
    assert of_live({W1: left}) == ()
    assert [one.what for one in of_live({W1: {**left, "holders": {10250: "kubelet (process 7)"}}})] == [
        "TCP port 10250 is taken by kubelet (process 7)"
    ]
    assert len(of_bare({"holders": {10250: "k3s-agent (process 7)"}})) == 1


SOURCE = "--add-source=10.42.0.0/16"
SERVERS = "; ".join(f"ufw allow {port}/tcp" for port in (6443, 2379, 2380, 10250))
DOORS = {
    "firewalld, on an underlay": ("firewalld", "underlay", f"--zone=trusted --add-interface=wg0 {SOURCE} "),
    "ufw, on an underlay": ("ufw", "underlay", "there: ufw allow in on wg0; ufw allow from 10.42.0.0/16; "),
    "firewalld": (
        "firewalld",
        "cni",
        "there: firewall-cmd --permanent --add-port=51820/udp --add-port=6443/tcp --add-port=2379/tcp"
        f" --add-port=2380/tcp --add-port=10250/tcp; firewall-cmd --permanent --zone=trusted {SOURCE} ",
    ),
    "ufw": ("ufw", "cni", f"there: ufw allow 51820/udp; {SERVERS}; ufw allow from 10.42.0.0/16; "),
}


@pytest.mark.parametrize(("wall", "layer", "hint"), DOORS.values(), ids=DOORS)
def test_what_is_to_be_let_in(wall: str, layer: str, hint: str) -> None:
    fleet = replace(shop(), kubernetes=replace(shop().kubernetes, encrypt=layer))  # type: ignore[type-var]
    seen = ClusterSeen({CP1: bare(CP1, disturbers=frozenset({wall}))})
    [found] = inspect_cluster(fleet, network(fleet), seen)
    assert hint in found.hint


def test_an_agent_wants_less() -> None:
    assert of_bare({"memory": 500_000_000, "holders": {6443: "x", 2379: "y"}}, W1) == []


def test_ports_of_etcd_matter_where_it_is_embedded() -> None:
    fleet = replace(shop(), kubernetes=replace(shop().kubernetes, datastore="external"))  # type: ignore[type-var]
    assert of_bare({"holders": {2379: "etcd (process 8)"}}, fleet=fleet) == []


def test_wireguard_native_wants_it_in_the_kernel() -> None:
    fleet = replace(shop(), kubernetes=replace(shop().kubernetes, flannel_backend="wireguard-native"))  # type: ignore[type-var]
    without = BARE.kernel and BARE.kernel - {"wireguard", "vxlan"}
    assert of_bare({"kernel": without}, fleet=fleet) == [
        (CP1, "kernel", "error", "its kernel lacks wireguard")
    ]


CGROUP_V1 = {"v1.34.2+k3s1": 0, "v1.35.0+k3s1": 1, "v1.36.1+k3s2": 1}


@pytest.mark.parametrize(("version", "found"), CGROUP_V1.items())
def test_cgroup_v1_is_refused_from_one_version_on(version: str, found: int) -> None:
    fleet = shop("v1.34.2+k3s1", version)
    assert len(of_bare({"cgroup": 1}, fleet=fleet)) == found


def test_what_runs_disproves_what_is_said_of_the_ground() -> None:
    wrong = {"controllers": frozenset(), "memory": 10**8, "swap": 1, "disturbers": frozenset({"firewalld"})}
    assert of_live({CP1: wrong}) == ()


# ---- whose it is

UNIT = Role.SERVER.unit_path
BELONGING: dict[str, tuple[Changes, tuple[str, str, str]]] = {
    "data of a k3s without a word of wireloom": (
        {"ran": Role.SERVER, "cluster": OTHERS},
        ("cluster", "error", "a k3s is here that wireloom did not install, perhaps another cluster's"),
    ),
    "a unit that is not wireloom's": (
        {"role": Role.SERVER, "files": {UNIT: FileSeen("", 0o644)}},
        ("cluster", "error", "a k3s is here that wireloom did not install, perhaps another cluster's"),
    ),
    "the stamp of another fleet": (
        {"ran": Role.SERVER, "stamp": K3sStamp("blog")},
        ("cluster", "error", "its k3s is that of the fleet `blog`, not of `shop`"),
    ),
    "the unit of another fleet": (
        {"role": Role.SERVER, "files": {UNIT: FileSeen(THEIR_MARK, 0o644)}},
        ("cluster", "error", "its k3s is that of the fleet `blog`, not of `shop`"),
    ),
    "settings that are somebody's": (
        {"files": {SETTINGS: FileSeen("", 0o600)}},
        ("cluster", "error", "/etc/rancher/k3s/config.yaml is not wireloom's and is never overwritten"),
    ),
    "kubeadm": (
        {"leftovers": (Leftover(Rival.KUBEADM, "/etc/kubernetes/admin.conf"),)},
        ("kubernetes", "error", "kubeadm has been here (/etc/kubernetes/admin.conf)"),
    ),
    "RKE2": (
        {"leftovers": (Leftover(Rival.RKE2, "/etc/rancher/rke2"),)},
        ("kubernetes", "error", "RKE2 has been here (/etc/rancher/rke2)"),
    ),
    "MicroK8s": (
        {"leftovers": (Leftover(Rival.MICROK8S, "/snap/microk8s"),)},
        ("kubernetes", "error", "MicroK8s is here (/snap/microk8s)"),
    ),
    "k0s": (
        {"leftovers": (Leftover(Rival.K0S, "/var/lib/k0s"),)},
        ("kubernetes", "error", "k0s has been here (/var/lib/k0s)"),
    ),
    "another pod network": (
        {"leftovers": (Leftover(Rival.NETWORK, "cni0"),)},
        ("kubernetes", "error", "the interface of another pod network is here (cni0)"),
    ),
    "Docker": (
        {"leftovers": (Leftover(Rival.DOCKER, "/run/docker.pid"),)},
        (
            "kubernetes",
            "warning",
            "Docker runs here: k3s brings a containerd of its own, and both write firewall rules",
        ),
    ),
    "a token that all can read": (
        {"open_tokens": frozenset({AGENT_TOKEN})},
        ("cluster", "warning", f"not only root can read {AGENT_TOKEN}"),
    ),
}
OWN: dict[str, Changes] = {
    "a unit of ours, not yet started": {"role": Role.SERVER, "files": {UNIT: FileSeen(MARK, 0o644)}},
    "data of ours, the stamp of which was lost": {
        "ran": Role.SERVER,
        "role": Role.SERVER,
        "data": True,
        "files": {UNIT: FileSeen(MARK, 0o644)},
    },
    "settings of ours": {"files": {SETTINGS: FileSeen(MARK, 0o600)}},
    "a binary alone": {"version": "v1.20.0+k3s1"},
    "a token that names no cluster": {"tokens": frozenset({AGENT_TOKEN})},
}


@pytest.mark.parametrize(("changes", "found"), BELONGING.values(), ids=BELONGING)
def test_what_is_somebody_elses(changes: Changes, found: tuple[str, str, str]) -> None:
    assert of_bare(changes) == [(CP1, *found)]


@pytest.mark.parametrize("changes", OWN.values(), ids=OWN)
def test_what_is_ours(changes: Changes) -> None:
    assert of_bare(changes) == []


def test_docker_beside_a_k3s_that_lives_is_known_to_do_no_harm() -> None:
    assert of_live({W1: {"leftovers": (Leftover(Rival.DOCKER, "/run/docker.pid"),)}}) == ()


def test_the_unit_of_the_other_role_must_go() -> None:
    found = of_live({W1: {"leftovers": (Leftover(Rival.SECOND, "k3s.service"),)}})
    assert lines(found) == [
        (W1, "kubernetes", "error", "k3s.service is there beside the unit of k3s that counts")
    ]


def test_a_machine_of_another_cluster() -> None:
    [one] = of_live({W1: {"cluster": OTHERS}})
    assert lines((one,)) == [
        (W1, "cluster", "error", "it is in another cluster than cp1: their CA certificates differ")
    ]
    assert "wireloom k3s uninstall w1" in one.hint


def test_what_is_another_fleets_is_judged_no_further() -> None:
    found = of_live(
        {W1: {"stamp": K3sStamp("blog"), "cluster": OTHERS, "ran": Role.SERVER, "version": "v1.0.0"}}
    )
    assert lines(found) == [(W1, "cluster", "error", "its k3s is that of the fleet `blog`, not of `shop`")]


def test_the_cluster_is_that_of_the_servers_that_run() -> None:
    found = of_live({CP1: {"cluster": OTHERS, "active": "failed", "kernel": None}})
    assert [(one.node, str(one.check)) for one in found] == [(CP1, "cluster")]


def test_who_comes_back_to_a_cluster_that_was_begun_anew_is_wrong() -> None:
    found = of_live({CP1: {"cluster": OTHERS}})
    assert [(one.node, str(one.check)) for one in found] == [(CP1, "cluster")]


def test_a_token_of_another_cluster() -> None:
    new = {**blank(W1), "token_cas": frozenset({OTHERS})}
    known = {name: one for name, one in MEMBERS.items() if name != W1}
    found = of_live({W1: new}, members=known)
    assert lines(found) == [(W1, "cluster", "error", "its join token is of another cluster than cp1's")]


def test_a_token_of_this_cluster_and_one_that_was_used_already() -> None:
    known = {name: one for name, one in MEMBERS.items() if name != W1}
    assert of_live({W1: {**blank(W1), "token_cas": frozenset({OURS})}}, members=known) == ()
    assert of_live({W1: {"token_cas": frozenset({OTHERS})}}) == ()


# ---- who the cluster thinks it is


def test_a_replaced_server() -> None:
    [one] = of_live({CP2: blank(CP2)})
    assert lines((one,)) == [
        (
            CP2,
            "cluster",
            "error",
            "the cluster has an etcd member of this name, and this machine has not been in it",
        )
    ]
    assert one.hint == "take the old one out first: wireloom k3s remove cp2"


def test_a_replaced_agent() -> None:
    found = of_live({W1: blank(W1)})
    assert [one.what for one in found] == [
        "the cluster has an agent of this name, and this machine has not been in it"
    ]


def test_a_new_machine_that_the_cluster_does_not_know() -> None:
    known = {name: one for name, one in MEMBERS.items() if name != CP3}
    assert of_live({CP3: blank(CP3)}, members=known) == ()


def test_a_machine_at_the_address_of_another_node() -> None:
    old = NodeName("old3")
    known = {name: one for name, one in MEMBERS.items() if name != CP3} | {old: member("old3", "10.99.0.3")}
    assert lines(of_live({CP3: blank(CP3)}, members=known)) == [
        (CP2, "cluster", "warning", "the cluster has a node `old3` that has no role in the fleet file"),
        (CP3, "cluster", "error", "the cluster has its address 10.99.0.3 as that of the node `old3`"),
    ]


def test_nobody_is_missed_where_no_server_can_tell() -> None:
    nodes = {name: live(name) for name in (CP1, CP2, CP3)} | {W1: bare(W1)}
    assert find(ClusterSeen(nodes, None, None, "cp1: refused")) == ()


# ---- what lasts


@pytest.mark.parametrize("name", [CP1, W1])
def test_a_role_that_was_changed(name: NodeName) -> None:
    other = {CP1: Role.AGENT, W1: Role.SERVER}[name]
    [one] = of_live({name: {"ran": other, "role": other}})
    assert (one.node, str(one.check), one.is_error) == (name, "role", True)
    assert one.hint == f"take it out of the cluster first: wireloom k3s remove {name}; then apply"


VERSIONS = {
    "older than wanted": ("v1.33.9+k3s1", "upgrades are not there yet"),
    "an older build": ("v1.34.2-rc1+k3s1", "upgrades are not there yet"),
    "newer than wanted": ("v1.34.3+k3s1", "which is older: k3s can't go back"),
    "a newer build": ("v1.34.2+k3s2", "which is older: k3s can't go back"),
    "ten is more than nine": ("v1.34.10+k3s1", "which is older: k3s can't go back"),
}


@pytest.mark.parametrize(("version", "why"), VERSIONS.values(), ids=VERSIONS)
def test_another_version(version: str, why: str) -> None:
    [one] = of_live({CP1: {"version": version}})
    assert (one.node, str(one.check), one.is_error) == (CP1, "version", True)
    assert one.what.endswith(why)
    assert f"write `version: {version}`" in one.hint


def test_a_binary_that_says_nothing_is_the_plans_to_mend() -> None:
    assert of_live({CP1: {"version": ""}, CP2: {"version": None}}) == ()


def test_a_range_that_was_changed_is_told_once() -> None:
    begun = K3sStamp("shop", (ip_network("10.44.0.0/16"),), SERVICES)
    found = of_live({name: {"stamp": begun} for name in (CP1, CP2, CP3, W1)})
    assert lines(found) == [
        (
            CP1,
            "range",
            "error",
            "the cluster has its pods in 10.44.0.0/16, and the fleet file says 10.42.0.0/16",
        )
    ]
    assert found[0].hint.startswith("write `pods: [10.44.0.0/16]` under `kubernetes:`")


SETTLED = {
    "as wanted": ("cluster-cidr: 10.42.0.0/16\nservice-cidr: 10.43.0.0/16\n", []),
    "other services": ("service-cidr: 10.53.0.0/16\n", ["range"]),
    "in quotes": ('cluster-cidr: "10.52.0.0/16"\n', ["range"]),
    "two families": ("cluster-cidr: 10.42.0.0/16,fd42:1::/56\n", ["range"]),
    "garbage": ("cluster-cidr: 10.42/::\n", []),
    "nothing": ("", []),
}


@pytest.mark.parametrize(("text", "checks"), SETTLED.values(), ids=SETTLED)
def test_where_no_stamp_tells_the_settings_do(text: str, checks: list[str]) -> None:
    files = {SETTINGS: FileSeen(MARK + text, 0o600)}
    changes = {name: {"stamp": None, "files": files} for name in (CP1, CP2, CP3, W1)}
    assert [str(one.check) for one in of_live(changes)] == checks


def test_errors_come_before_warnings_in_the_order_of_the_file() -> None:
    nodes = {W1: bare(W1, swap=1), CP2: bare(CP2, swap=1, systemd=True, controllers=frozenset())}
    assert [(one.node, one.is_error) for one in find(ClusterSeen(nodes))] == [
        (CP2, True),
        (CP2, False),
        (W1, False),
    ]


def test_every_hint_says_what_to_do() -> None:
    rows = [*GROUND.values(), *BELONGING.values()]
    assert all(one.hint for changes, _ in rows for one in find(ClusterSeen({CP1: bare(CP1, **changes)})))


# How a machine was set up, and is no more

SET_UP = MARK + 'node-ip: "10.99.0.1"\nflannel-backend: "vxlan"\n'
SETTLED: dict[str, tuple[str, list[str]]] = {
    "as it was": (SET_UP, []),
    "nothing is told": (MARK, []),
    "another address": (
        SET_UP.replace("10.99.0.1", "10.98.0.1"),
        ["the cluster knows it at 10.98.0.1, and it is to be at 10.99.0.1"],
    ),
    "another backend": (
        SET_UP.replace("vxlan", "host-gw"),
        ["the cluster carries pods by host-gw, and the fleet file wants vxlan: not supported yet"],
    ),
}


@pytest.mark.parametrize(("text", "wanted"), SETTLED.values(), ids=SETTLED)
def test_an_address_and_a_backend_stay_as_long_as_the_cluster_lives(text: str, wanted: list[str]) -> None:
    files = {Role.SERVER.unit_path: FileSeen(MARK, 0o644), SETTINGS: FileSeen(text, 0o600)}
    found = of_live({CP1: {"files": files}})
    assert [one.what for one in found] == wanted
    assert all(one.is_error and one.hint for one in found)


def test_a_machine_that_is_not_in_it_yet_may_have_other_settings() -> None:
    text = SET_UP.replace("vxlan", "host-gw")
    files = {Role.SERVER.unit_path: FileSeen(MARK, 0o644), SETTINGS: FileSeen(text, 0o600)}
    assert of_live({CP1: {"files": files, "data": False}}) == ()
