"""The fleet's nodes and the cluster's, side by side."""

from ipaddress import ip_address

import pytest

from tests.cluster import fleets
from tests.cluster.samples import away, cluster_of, machine, member, roster_of
from wireloom.cluster.places import Role
from wireloom.cluster.seen import ClusterSeen, K3sStamp


def wrong(seen: ClusterSeen) -> dict[str, tuple[str, ...]]:
    return {row.name: row.wrong for row in roster_of(seen).rows if row.wrong}


def test_where_all_is_well_nothing_is_wrong() -> None:
    roster = roster_of(cluster_of())
    assert [(row.name, row.service, bool(row.member)) for row in roster.rows] == [
        ("cp1", "active", True),
        ("cp2", "active", True),
        ("cp3", "active", True),
        ("w1", "active", True),
    ]
    assert wrong(cluster_of()) == {}
    assert (roster.servers, str(roster.quorum), roster.whole) == (3, "3 voters, one may fail", True)


WRONG = {
    "not installed": (cluster_of({"w1": machine("w1", role=None)}, {"w1": None}), "k3s is not installed"),
    "not started": (cluster_of({"w1": machine("w1", active="failed")}), "k3s is failed"),
    "not at boot": (cluster_of({"w1": machine("w1", enabled=False)}), "k3s is not started at boot"),
    "not known": (cluster_of(members={"w1": None}), "the cluster does not know it"),
    "not Ready": (
        cluster_of(members={"w1": member("w1", ready=False, reason="KubeletNotReady: cni")}),
        "not Ready: KubeletNotReady: cni",
    ),
    "cordoned": (
        cluster_of(members={"w1": member("w1", schedulable=False)}),
        "cordoned: it gets no new pods",
    ),
    "another address": (
        cluster_of(members={"w1": member("w1", internal=(ip_address("203.0.113.11"),))}),
        "the cluster has it at 203.0.113.11, and the fleet at 10.99.0.5",
    ),
    "another version": (
        cluster_of(members={"w1": member("w1", version="v1.33.1+k3s1")}),
        "it runs v1.33.1+k3s1, and the fleet file says v1.34.2+k3s1",
    ),
    "the other role": (
        cluster_of({"w1": machine("w1", role=Role.SERVER)}, {"w1": member("w1", server=True)}),
        "it has the unit k3s, and in the fleet file the role k3s-agent",
        "the cluster has it as a server",
    ),
    "another backend": (
        cluster_of(members={"w1": member("w1", flannel_backend="host-gw")}),
        "flannel carries its pods by host-gw; the fleet file says vxlan",
    ),
    "another fleet's": (
        cluster_of({"w1": machine("w1", stamp=K3sStamp("other"))}),
        "its k3s is the fleet `other`'s",
    ),
    "unreachable": (cluster_of({"w1": away("w1")}), "no answer from w1"),
    "unreachable and not Ready": (
        cluster_of({"w1": away("w1")}, {"w1": member("w1", ready=False)}),
        "no answer from w1",
        "not Ready",
    ),
    "garbled": (cluster_of({"w1": machine("w1", garbled=("units",))}), "no sense in: units"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_is_not_as_it_should_be(case: tuple[ClusterSeen, str]) -> None:
    seen, *expected = case
    assert wrong(seen) == {"w1": tuple(expected)}


def test_a_server_without_a_vote() -> None:
    assert wrong(cluster_of(members={"cp3": member("cp3", etcd_voter=False)})) == {
        "cp3": ("it has no vote in etcd yet",)
    }


@pytest.mark.parametrize(
    ("name", "words"), [("old1", "is not in the fleet file"), ("db1", "has no role in the fleet file")]
)
def test_a_node_that_the_fleet_has_no_word_about(name: str, words: str) -> None:
    roster = roster_of(cluster_of(members={name: member(name, ready=False)}))
    stray = roster.rows[-1]
    assert (stray.name, stray.role, stray.service, stray.wrong) == (
        name,
        None,
        "not asked",
        (words, "not Ready"),
    )


def test_where_no_server_tells_nobody_is_said_to_be_missing() -> None:
    roster = roster_of(cluster_of(told_by=None))
    assert (roster.whole, roster.servers, roster.rows[3].wrong) == (False, 0, ())


ENCRYPTED = {
    "underlay": ("underlay", "vxlan", "10.42.0.0/16", ("wg0",)),
    "cni": ("cni", "wireguard-native", "10.42.0.0/16", ("flannel-wg",)),
    "cni, both families": (
        "cni",
        "wireguard-native",
        "10.42.0.0/16 fd42:42::/56",
        ("flannel-wg", "flannel-wg-v6"),
    ),
    "both": ("both", "wireguard-native", "10.42.0.0/16", ("wg0", "flannel-wg")),
}


@pytest.mark.parametrize(("encrypt", "backend", "pods", "devices"), ENCRYPTED.values(), ids=ENCRYPTED)
def test_by_what_pods_are_encrypted(encrypt: str, backend: str, pods: str, devices: tuple[str, ...]) -> None:
    fleet = fleets.cluster(pods=pods, encrypt=encrypt, flannel_backend=backend)
    assert roster_of(cluster_of(), fleet).devices == devices


@pytest.mark.parametrize(("published", "told"), [("wireguard", False), ("vxlan", True)])
def test_flannel_has_a_name_of_its_own_for_wireguard(published: str, told: bool) -> None:
    fleet = fleets.cluster(encrypt="both", flannel_backend="wireguard-native")
    names = ("cp1", "cp2", "cp3", "w1")
    seen = cluster_of(members={name: member(name, flannel_backend=published) for name in names})
    assert any("flannel" in words for row in roster_of(seen, fleet).rows for words in row.wrong) is told
