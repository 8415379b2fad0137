# ruff: noqa: E501 - a row of a table stays a row
"""A table of fleets and the advice on each: the rules that fire, all of them, and the answer."""

import pytest

from tests.advise.fleets import (
    CLOUDS,
    HOME,
    LAN,
    MACHINES,
    OUTSIDE,
    PRIVATE,
    PUBLIC,
    SPREAD,
    UNGUARDED,
    advice_on,
    cluster,
    facts_of,
)
from wireloom.advise.advice import recommend
from wireloom.advise.choice import Layer
from wireloom.advise.rules import RULES

ALWAYS = {"control-plane", "keys-and-routes"}
BELOW = ALWAYS | {"mtu-first"}
FENCED = "egress_firewall=yes"

# name: (the answer, the rules that fire, the fleet, what is assumed of it)
TABLE: dict[str, tuple[str, set[str], str, list[str]]] = {
    # The article's four.
    "public addresses": ("underlay", BELOW | {"public-addresses"}, PUBLIC, []),
    "several clouds over the internet": ("underlay", BELOW | {"public-addresses", "several-sites"}, CLOUDS, []),
    "one private network behind NAT and an egress firewall": ("cni", BELOW | {"fenced-in"}, PRIVATE, [FENCED]),
    "complexity: the work is what speaks against machines": ("underlay", BELOW, LAN, []),
    # What else the article names.
    "a host outside Kubernetes, even there": ("underlay", BELOW | {"fenced-in", "outside-kubernetes"}, OUTSIDE, [FENCED]),
    "a failure domain of its own, even there": ("underlay", BELOW | {"fenced-in", "own-failure-domain"}, PRIVATE, [FENCED, "independent=yes"]),
    "nobody said that there is a firewall": ("underlay", BELOW, PRIVATE, []),
    "there is none": ("underlay", BELOW, PRIVATE, ["egress_firewall=no"]),
    "Istio, STRICT": ("underlay", BELOW | {"istio-strict"}, LAN, ["mesh=istio-strict"]),
    "Istio, STRICT, where nobody is let in": ("cni", BELOW | {"fenced-in", "istio-strict"}, PRIVATE, [FENCED, "mesh=istio-strict"]),
    "no mesh": ("underlay", BELOW, LAN, ["mesh=none"]),
    "no Kubernetes at all": ("underlay", {"no-kubernetes"}, MACHINES, []),
    # What contradicts itself.
    "wireguard-native, a node behind NAT": ("underlay", BELOW | {"public-addresses", "several-sites", "nat-without-address"}, cluster(HOME, "encrypt: cni"), []),
    "behind NAT together is no trouble": ("cni", ALWAYS | {"fenced-in"}, cluster(PRIVATE, "encrypt: cni"), [FENCED]),
    "Calico behind NAT: nothing was read of it": ("underlay", ALWAYS | {"public-addresses", "several-sites", "calico-hosts"}, cluster(HOME, "encrypt: cni, cni: calico"), []),
    "etcd across sites under k3s alone": ("underlay", BELOW | {"public-addresses", "several-sites", "etcd-across-sites", "etcd-latency"}, cluster(SPREAD, "encrypt: cni"), []),
    "an external datastore instead": ("underlay", BELOW | {"public-addresses", "several-sites", "external-datastore"}, cluster(SPREAD, "datastore: external"), []),
    "flannel-external-ip over vxlan": ("underlay", BELOW | {"public-addresses", "external-ip-in-clear"}, PUBLIC, ["flannel_external_ip=yes"]),
    "flannel-external-ip over wireguard-native": ("cni", ALWAYS | {"fenced-in"}, PRIVATE, [FENCED, "flannel_external_ip=yes", "encrypt=cni"]),
    "a cloud controller and node-ip": ("underlay", BELOW | {"public-addresses", "cloud-controller"}, PUBLIC, ["cloud_controller=yes"]),
    "a cloud controller under a plugin": ("cni", ALWAYS | {"fenced-in"}, PRIVATE, [FENCED, "encrypt=cni", "cloud_controller=yes"]),
    "Istio, PERMISSIVE": ("underlay", BELOW | {"istio-permissive"}, LAN, ["mesh=istio-permissive"]),
    "Linkerd": ("underlay", BELOW | {"linkerd"}, LAN, ["mesh=linkerd"]),
    "two layers, for a reason": ("both", BELOW | {"public-addresses", "two-layers", "twice"}, PUBLIC, ["two_layers=yes"]),
    "two layers on one port": ("both", BELOW | {"two-layers", "twice", "ports-apart"}, LAN, ["two_layers=yes"]),
    "two layers on one port, which wireloom keeps apart": ("both", BELOW | {"two-layers", "twice"}, cluster(LAN, "version: v1.34.2+k3s1"), ["two_layers=yes"]),
    "two layers on Calico's port": ("both", ALWAYS | {"two-layers", "twice", "ports-apart", "calico-hosts"}, LAN, ["two_layers=yes", "cni=calico"]),
    "two layers apart on Cilium": ("both", ALWAYS | {"two-layers", "twice"}, LAN, ["two_layers=yes", "cni=cilium"]),
    "two layers on Cilium's port": ("both", ALWAYS | {"public-addresses", "two-layers", "twice", "ports-apart"}, PUBLIC.replace("51900", "51871"), ["two_layers=yes", "cni=cilium"]),
    "two layers without a reason": ("underlay", BELOW | {"public-addresses", "twice"}, cluster(PUBLIC, "encrypt: both"), []),
    "vxlan on a public address, unguarded": ("underlay", BELOW | {"public-addresses", "open-vxlan"}, UNGUARDED, []),
    "host-gw there": ("underlay", BELOW | {"public-addresses"}, cluster(UNGUARDED, "flannel_backend: host-gw"), []),
    "Calico on an underlay": ("underlay", ALWAYS | {"public-addresses"}, cluster(PUBLIC, "cni: calico"), []),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "rules", "fleet", "what_if"), TABLE.values(), ids=TABLE)
def test_the_advice_on_a_fleet(answer: str, rules: set[str], fleet: str, what_if: list[str]) -> None:
    advice = advice_on(fleet, *what_if)
    assert answer == advice.recommended
    assert rules == {one.rule.name for one in advice.fired}


FIRING = [frozenset(rules) for _, rules, _, _ in TABLE.values()]


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_every_rule_fires_in_one_fleet_of_the_table_and_is_silent_in_another(rule: str) -> None:
    assert {rule in fired for fired in FIRING} == {True, False}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_says_why_and_who_says_so(rule: object) -> None:
    assert rule.sources  # type: ignore[attr-defined]
    assert rule.says  # type: ignore[attr-defined]


def test_the_rules_have_names_of_their_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_what_a_rule_saw_names_the_first_nodes() -> None:
    seen = {one.rule.name: one.seen for one in advice_on(HOME).fired}
    assert seen["public-addresses"] == "cp1, w1 and w2 have public addresses"
    assert seen["nat-without-address"] == "desk1 is behind NAT"
    assert seen["several-sites"] == "4 nodes in 4 sites: fsn, ams, sin, home"
    many = CLOUDS + "  w3: { site: sin, public: [192.0.2.12] }\n"
    assert advice_on(many).fired[0].seen == "cp1, w1, w2 and 1 more have public addresses"


def test_what_would_change_the_answer_does() -> None:
    advice = advice_on(PRIVATE)
    changes = {f"{one.assumption.key}={one.value}": one.recommended for one in advice.changes}
    assert changes == {"egress_firewall=yes": Layer.CNI, "two_layers=yes": Layer.BOTH}
    for assumed, other in changes.items():
        assert recommend(facts_of(PRIVATE, assumed)) is other


def test_where_all_speaks_for_one_layer_no_single_thing_changes_it() -> None:
    assert [one.assumption.key for one in advice_on(CLOUDS).changes] == ["two_layers"]


def test_every_way_to_leave_the_private_network_is_a_change() -> None:
    changes = {f"{one.assumption.key}={one.value}" for one in advice_on(PRIVATE, FENCED).changes}
    assert changes == {
        "public=yes",
        "apart=yes",
        "servers_apart=yes",
        "nat=no",
        "egress_firewall=no",
        "outside=yes",
        "independent=yes",
        "two_layers=yes",
    }


def test_a_fleet_that_has_what_is_recommended_agrees() -> None:
    assert advice_on(PUBLIC).agrees
    assert not advice_on(PUBLIC, "encrypt=cni").agrees


def test_nodes_without_roles_are_in_kubernetes_where_the_file_has_it() -> None:
    assert "no-kubernetes" not in {one.rule.name for one in advice_on(cluster(MACHINES)).fired}
    assert "outside-kubernetes" not in {one.rule.name for one in advice_on(cluster(MACHINES)).fired}


MTUS = {
    "flannel": {
        ("underlay", "vxlan"): 1370,
        ("underlay", "host-gw"): 1420,
        ("cni", "wireguard-native"): 1420,
        ("both", "wireguard-native"): 1340,
    },
    "calico": dict.fromkeys((("underlay", "calico"), ("cni", "calico"), ("both", "calico"))),
}


@pytest.mark.parametrize(("plugin", "expected"), MTUS.items(), ids=MTUS)
def test_the_mtu_of_pods(plugin: str, expected: dict[tuple[str, str], int | None]) -> None:
    costs = advice_on(PUBLIC, f"cni={plugin}").costs
    assert expected == {(one.layer, one.way): one.mtu for one in costs}
    assert all(one.sources for one in costs)


def test_machines_alone_have_no_pods_to_cost_anything() -> None:
    advice = advice_on(MACHINES)
    assert advice.costs == ()
    assert [(one.layer, one.classes) for one in advice.left] == [(Layer.UNDERLAY, ())]


def test_what_stays_unencrypted_is_what_the_matrix_says() -> None:
    left = {
        one.layer: {traffic: str(cell.cover) for traffic, cell in one.classes}
        for one in advice_on(PUBLIC).left
    }
    assert left[Layer.UNDERLAY] == {"node-to-outside": "underlay", "pod-to-internet": "nothing"}
    assert left[Layer.BOTH] == left[Layer.UNDERLAY]
    assert left[Layer.CNI] == {
        "pod-to-node": "nothing",
        "node-to-pod": "cni",  # inferred only
        "node-to-node": "nothing",
        "kubelet-api-server": "tls",
        "api-server-etcd": "tls",
        "k3s-supervisor": "tls",
        "node-to-outside": "nothing",
        "pod-to-internet": "nothing",
        "node-port-second-hop": "cni",  # inferred only
    }
