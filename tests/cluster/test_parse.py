"""What the probes of k3s print, read: machines as they may be, nothing at all, and garbage.

``recordings/``: ``bare`` is a machine before k3s, ``server`` one that runs it, with all that may go with
it, ``held`` one that somebody else has. They are put together from what the programs print.
"""

import contextlib
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wireloom.cluster.parse import (
    choose_role,
    parse_bytes,
    parse_cgroups,
    parse_digest,
    parse_holders,
    parse_kernel,
    parse_leftovers,
    parse_machine,
    parse_members,
    parse_modes,
    parse_ran,
    parse_seen,
    parse_stamp,
    parse_units,
    parse_version,
)
from wireloom.cluster.places import AGENT_TOKEN, SERVER_TOKEN, SETTINGS, STATE, Role
from wireloom.cluster.probe import PROBES
from wireloom.cluster.seen import K3sSeen, K3sStamp, Leftover, Member, Rival
from wireloom.observe.probes import split_sections
from wireloom.values import NodeName, PublicKey

RECORDINGS = Path(__file__).parent / "recordings"
NAMES = ["bare", "server", "held"]
KEY = PublicKey("vczH6YJzRo7zAvOJMtW3w5TSG21zUFpNCs4u2G9Sjl0=")


def recorded(name: str) -> dict[str, str]:
    return split_sections((RECORDINGS / f"{name}.txt").read_text(), "NONCE")


def seen(name: str) -> K3sSeen:
    return parse_seen(NodeName("a"), recorded(name))


def members() -> dict[NodeName, Member]:
    found = parse_members(recorded("server")["members"])
    assert found is not None
    return found


# ---- whole answers


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_a_recording_is_garbled(name: str) -> None:
    assert seen(name).garbled == ()


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_answers_every_probe(name: str) -> None:
    told = [section for section in recorded(name) if not section.startswith("file ")]
    assert told == [*(probe.name for probe in PROBES), "end"]


def test_a_bare_machine() -> None:
    assert seen("bare") == K3sSeen(
        NodeName("a"),
        controllers=frozenset({"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}),
        memory=2014636 * 1024,
        kernel=frozenset({"overlay", "br_netfilter", "bridge", "vxlan", "wireguard"}),
    )


def test_a_server_that_runs() -> None:
    one = seen("server")
    assert (one.version, one.role, one.enabled, one.active, one.running) == (
        "v1.34.2+k3s1",
        Role.SERVER,
        True,
        "active",
        True,
    )
    assert (one.ran, one.data, one.cluster[:4], one.architecture) == (Role.SERVER, True, "3b0f", "aarch64")
    assert (one.cgroup, one.controllers) == (1, frozenset({"cpu", "cpuacct", "memory"}))
    assert (one.memory, one.swap) == (4014636 * 1024, 1048572 * 1024)
    assert one.leftovers == (Leftover(Rival.DOCKER, "/run/docker.pid"),)
    assert one.disturbers == {"firewalld"}
    assert one.kernel is None


def test_the_files_of_a_server() -> None:
    one = seen("server")
    assert {path: file.mode for path, file in one.files.items()} == {
        SETTINGS: 0o600,
        Role.SERVER.unit_path: 0o644,
    }
    assert one.files[SETTINGS].text.endswith("\nnode-name: cp1\n")
    assert one.tokens == {SERVER_TOKEN, AGENT_TOKEN}
    assert one.open_tokens == {AGENT_TOKEN}
    pods = (ip_network("10.42.0.0/16"), ip_network("fd42:1::/56"))
    assert one.stamp == K3sStamp("shop", pods, (ip_network("10.43.0.0/16"),))


def test_a_machine_that_somebody_else_has() -> None:
    one = seen("held")
    assert (one.version, one.role, one.active, one.ran, one.data) == (
        "",
        Role.AGENT,
        "failed",
        Role.AGENT,
        True,
    )
    assert one.leftovers == (
        Leftover(Rival.KUBEADM, "/etc/kubernetes/admin.conf"),
        Leftover(Rival.NETWORK, "vxlan.calico"),
        Leftover(Rival.SECOND, "k3s.service"),
    )
    assert one.controllers == one.kernel == frozenset()
    assert one.withheld == {"cpu", "memory"}
    assert one.disturbers == {"ufw"}
    assert one.holders == {6443: "", 10250: "kubelet (process 811)"}
    assert not one.systemd


def test_data_of_the_other_role_is_not_this_ones() -> None:
    one = parse_seen(NodeName("a"), {**recorded("server"), "ran": "agent\n"})
    assert (one.role, one.ran, one.data) == (Role.SERVER, Role.AGENT, False)


# ---- the nodes of the cluster


def test_a_node_of_the_cluster() -> None:
    assert members()[NodeName("cp1")] == Member(
        NodeName("cp1"),
        ready=True,
        internal=(ip_address("10.99.0.1"), ip_address("fd42:99::1")),
        external=(ip_address("203.0.113.10"),),
        server=True,
        etcd_voter=True,
        version="v1.34.2+k3s1",
        pods=(ip_network("10.42.0.0/24"), ip_network("fd42:1::/64")),
        flannel_backend="vxlan",
    )


def test_a_learner_is_no_voter_yet() -> None:
    assert members()[NodeName("cp2")].etcd_voter is False


def test_an_agent_that_is_not_ready() -> None:
    one = members()[NodeName("w1")]
    assert (one.ready, one.schedulable, one.server, one.etcd_voter) == (False, False, False, None)
    assert one.reason == "KubeletNotReady: container runtime network not ready: cni plugin not initialized"
    assert (one.flannel_backend, one.flannel_key) == ("wireguard", KEY)


def test_a_node_that_has_not_reported_yet() -> None:
    one = members()[NodeName("w2")]
    assert (one.ready, one.internal, one.pods, one.reason) == (False, (), (), "")


def test_a_cluster_without_nodes_is_one() -> None:
    assert parse_members("told\n\n") == {}


def test_nobody_was_asked() -> None:
    assert parse_members("\n") is None


UNTOLD = {
    "kubectl's last word": (
        "failed\nE1130 memcache.go\nUnable to connect: timeout\n",
        "Unable to connect: timeout",
    ),
    "no word": ("failed\n\n", "kubectl gave no answer"),
    "an order to the terminal": ("failed\n\x1b[2Jno\n", "?[2Jno"),
    "half a line": ("told\nnode\tcp1\t\n", "what kubectl says of the nodes makes no sense"),
    "no address": (
        "told\nnode\ta\t\tInternalIP=x \t\tv1\t\t\t\t\tTrue\t\t\n",
        "what kubectl says of the nodes makes no sense",
    ),
    "no key": (
        'told\nnode\ta\t\t\t\tv1\t\t\twireguard\t{"PublicKey":"x"}\tTrue\t\t\n',
        "what kubectl says of the nodes makes no sense",
    ),
}


@pytest.mark.parametrize(("text", "why"), UNTOLD.values(), ids=UNTOLD)
def test_what_is_not_told_says_why(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_members(text)
    assert str(caught.value) == why


# ---- one probe


def test_the_unit_that_runs_counts_before_that_which_is_enabled() -> None:
    units = {"k3s.service": ("inactive", True), "k3s-agent.service": ("active", False)}
    assert choose_role(units) == (Role.AGENT, (Leftover(Rival.SECOND, "k3s.service"),))


def test_the_second_hierarchy_counts_where_it_is_the_only_one() -> None:
    assert parse_cgroups("cgroup 2 cpu memory\n") == (2, frozenset({"cpu", "memory"}))
    assert parse_cgroups("") == (2, frozenset())


NOTHING: dict[str, tuple[Callable[[str], object], object]] = {
    "version": (parse_version, None),
    "units": (parse_units, {}),
    "modes": (parse_modes, {}),
    "ran": (parse_ran, None),
    "cluster": (parse_digest, ""),
    "stamp": (parse_stamp, None),
    "leftovers": (parse_leftovers, ()),
    "ports": (parse_holders, {}),
    "kernel": (parse_kernel, None),
    "members": (parse_members, None),
}


@pytest.mark.parametrize(("parser", "found"), NOTHING.values(), ids=NOTHING)
def test_nothing_at_all(parser: Callable[[str], object], found: object) -> None:
    assert parser("") == parser("\n") == found


GARBAGE: dict[str, tuple[str, str]] = {
    "machine": ("machine", ""),
    "a unit without a state": ("units", "k3s.service\n"),
    "a mode that is none": ("modes", "rw- 1 /etc/rancher/k3s/config.yaml\n"),
    "a role that is none": ("ran", "master\n"),
    "a digest that is none": ("cluster", "sha256sum: no such file\n"),
    "a stamp without a fleet": (f"file {STATE}", "pods=10.42.0.0/16\n"),
    "a stamp with half a range": (f"file {STATE}", "fleet=shop\npods=10.42.0.0/\n"),
    "a rival that is none": ("leftovers", "windows C:\n"),
    "no memory": ("resources", "swap 0\n"),
    "a hierarchy without a number": ("resources", "memory 1\nswap 1\ncgroup two cpu\n"),
    "a port that is none of k3s'": ("ports", "taken 0016\n"),
    "a port that is none": ("ports", "taken x\n"),
    "modules that nobody asked for": ("kernel", "overlay\n"),
}


@pytest.mark.parametrize(("probe", "text"), GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_named_and_the_rest_is_read(probe: str, text: str) -> None:
    one = parse_seen(NodeName("a"), {**recorded("server"), probe: text})
    assert one.garbled == (probe,)


@settings(max_examples=300)
@given(st.sampled_from([probe.name for probe in PROBES] + [f"file {STATE}"]), st.text())
def test_no_garbage_is_a_traceback(probe: str, text: str) -> None:
    parse_seen(NodeName("a"), {**recorded("server"), probe: text})
    with contextlib.suppress(ValueError):
        parse_members(text)


def test_a_process_can_not_give_orders_to_the_terminal() -> None:
    text = 'taken 192B\nLISTEN 0 1 *:6443 *:* users:(("\x1b[2Jx",pid=1,fd=2))\n'
    assert parse_holders(text) == {6443: "?[2Jx (process 1)"}


def test_memory_is_told_in_bytes() -> None:
    assert parse_bytes("memory 2\nswap 1\n", "memory") == 2048


def test_a_machine_without_systemd() -> None:
    assert parse_machine("x86_64\n") == ("x86_64", False)
