"""Whether a node may leave the cluster, and how; whether k3s may go off machines."""

from dataclasses import replace

import pytest

from tests.cluster.samples import FLEET, away, cluster_of, machine, member
from wireloom.cluster.removal import Removal, plan_removal, refuse_teardown, refuse_uninstall
from wireloom.cluster.seen import ClusterSeen, K3sStamp
from wireloom.errors import UserError
from wireloom.values import NodeName

CP1, CP2, CP3, W1 = map(NodeName, ("cp1", "cp2", "cp3", "w1"))
NO_K3S = {"role": None, "active": "inactive", "stamp": None, "ran": None, "data": False, "version": None}


def plan(seen: ClusterSeen, name: str, *, force: bool = False) -> Removal:
    return replace(plan_removal(FLEET, seen, NodeName(name), force=force), notes=())


def lame(*names: str) -> dict[str, object]:
    return {name: member(name, ready=False) for name in names}


HOW = {
    "an agent": (cluster_of(), "w1", Removal(W1, CP1, drain=True, machine=True)),
    "a server": (cluster_of(), "cp2", Removal(CP2, CP1, drain=True, voter=True, machine=True)),
    "who told of the cluster": (cluster_of(), "cp1", Removal(CP1, CP2, drain=True, voter=True, machine=True)),
    "a dead agent": (
        cluster_of({"w1": away("w1")}, {"w1": member("w1", ready=False)}),
        "w1",
        Removal(W1, CP1),
    ),
    "a dead server": (
        cluster_of({"cp3": away("cp3")}, {"cp3": member("cp3", ready=False)}),
        "cp3",
        Removal(CP3, CP1, voter=True),
    ),
    "an agent whose k3s has stopped": (
        cluster_of({"w1": machine("w1", active="inactive")}, {"w1": member("w1", ready=False)}),
        "w1",
        Removal(W1, CP1, machine=True),
    ),
    "a machine without k3s": (
        cluster_of({"w1": machine("w1", **NO_K3S)}, {"w1": member("w1", ready=False)}),
        "w1",
        Removal(W1, CP1),
    ),
    "a machine with somebody else's k3s": (
        cluster_of({"w1": machine("w1", stamp=K3sStamp("other"))}, {"w1": member("w1", ready=False)}),
        "w1",
        Removal(W1, CP1),
    ),
    "one that has left, and its machine has not": (
        cluster_of(members={"w1": None}),
        "w1",
        Removal(W1, machine=True),
    ),
    "one that has left altogether": (
        cluster_of({"w1": machine("w1", **NO_K3S)}, {"w1": None}),
        "w1",
        Removal(W1),
    ),
    "one that the fleet does not have": (
        cluster_of(members={"old1": member("old1", ready=False)}),
        "old1",
        Removal(NodeName("old1"), CP1, voter=True),
    ),
    "a server without etcd": (
        cluster_of(members={name: member(name, etcd_voter=None) for name in ("cp1", "cp2", "cp3")}),
        "cp3",
        Removal(CP3, CP1, drain=True, machine=True),
    ),
    "a learner": (
        cluster_of(members={"cp3": member("cp3", etcd_voter=False)}),
        "cp3",
        Removal(CP3, CP1, drain=True, voter=True, machine=True),
    ),
    "the last but one": (
        cluster_of({"cp3": away("cp3")}, {"cp3": None}),
        "cp2",
        Removal(CP2, CP1, drain=True, voter=True, needed=True, machine=True),
    ),
}


@pytest.mark.parametrize(("seen", "name", "expected"), HOW.values(), ids=HOW)
def test_how_a_node_leaves(seen: ClusterSeen, name: str, expected: Removal) -> None:
    assert plan(seen, name) == expected


ALONE = cluster_of({"cp2": away("cp2"), "cp3": away("cp3")}, {"cp2": None, "cp3": None})
REFUSED = {
    "nobody of that name, and nobody to ask": (
        replace(cluster_of(), members=None),
        "w9",
        "w9: is not in the fleet file, and no server tells of the cluster",
    ),
    "nobody of that name": (cluster_of(), "w9", "w9: is neither in the fleet file nor in the cluster"),
    "no server tells": (cluster_of(told_by=None), "w1", "no server tells of the cluster"),
    "the last server": (ALONE, "cp1", "cp1: is the last server: without it there is no cluster"),
    "the others dead": (
        cluster_of(members=lame("cp2", "cp3")),  # type: ignore[arg-type]
        "cp1",
        "cp1: etcd has no majority to let it go: 1 of 3 voters ready, 2 needed",
    ),
    "one of the others dead": (
        cluster_of(members=lame("cp3")),  # type: ignore[arg-type]
        "cp1",
        "cp1: etcd would have no majority without it: 1 of 2 voters ready, 2 needed",
    ),
    "a Ready node that nobody reaches": (
        cluster_of({"w1": away("w1")}),
        "w1",
        "w1: is Ready, and its machine can't be reached",
    ),
    "no server to ask": (
        cluster_of({"cp2": away("cp2"), "cp3": machine("cp3", active="failed")}),
        "cp1",
        "cp1: no other server answers",
    ),
}


@pytest.mark.parametrize(("seen", "name", "expected"), REFUSED.values(), ids=REFUSED)
def test_who_must_not_leave(seen: ClusterSeen, name: str, expected: str) -> None:
    with pytest.raises(UserError) as error:
        plan(seen, name)
    assert expected in str(error.value)


def test_another_server_may_let_it_go_and_no_less_may_be_done() -> None:
    shown = plan(cluster_of(), "w1")
    assert shown.same_as(replace(shown, via=CP2))
    for other in ({"via": None}, {"drain": False}, {"voter": True}, {"machine": False}):
        assert not shown.same_as(replace(shown, **other))  # type: ignore[arg-type]


def test_by_force_also_a_ready_node_that_nobody_reaches() -> None:
    assert plan(cluster_of({"w1": away("w1")}), "w1", force=True) == Removal(W1, CP1, drain=True)


@pytest.mark.parametrize("force", [False, True])
def test_force_breaks_no_majority(force: bool) -> None:
    for name, seen in (("cp1", ALONE), ("cp1", cluster_of(members=lame("cp3")))):  # type: ignore[arg-type]
        with pytest.raises(UserError):
            plan(seen, name, force=force)


def test_a_name_that_is_nearly_one_is_guessed() -> None:
    with pytest.raises(UserError, match=r"did you mean w1\?"):
        plan(cluster_of(), "w11")


NOTES = {
    "a server of three": (cluster_of(), "cp3", ["etcd will have 2 voters, none may fail"]),
    "a dead agent": (
        cluster_of({"w1": away("w1")}, {"w1": member("w1", ready=False)}),
        "w1",
        [
            "its machine can't be reached: what k3s has left there stays",
            "it is not Ready: its pods are not waited for",
        ],
    ),
    "a foreign k3s": (
        cluster_of({"w1": machine("w1", stamp=K3sStamp("other"))}, {"w1": member("w1", ready=False)}),
        "w1",
        [
            "the k3s on its machine is the fleet `other`'s: it is not touched",
            "it is not Ready: its pods are not waited for",
        ],
    ),
    "an agent": (cluster_of(), "w1", []),
}


@pytest.mark.parametrize(("seen", "name", "expected"), NOTES.values(), ids=NOTES)
def test_what_is_to_be_known_about_it(seen: ClusterSeen, name: str, expected: list[str]) -> None:
    assert [one.what for one in plan_removal(FLEET, seen, NodeName(name)).notes] == expected


ALL = [CP1, CP2, CP3, W1]
UNINSTALLED = {
    "all": (cluster_of(), ALL, []),
    "all servers": (cluster_of(), [CP1, CP2, CP3], []),
    "one of a cluster that goes on": (
        cluster_of(),
        [W1],
        ["w1: is in the cluster, which goes on without it, on cp1, cp2, cp3"],
    ),
    "one that is not in the cluster": (cluster_of(members={"w1": None}), [W1], []),
    "one of a cluster that nobody tells of": (cluster_of(told_by=None), [W1], []),
    "before anybody looks": (None, [W1], []),
}


@pytest.mark.parametrize(("seen", "chosen", "expected"), UNINSTALLED.values(), ids=UNINSTALLED)
def test_where_k3s_must_stay(seen: ClusterSeen | None, chosen: list[NodeName], expected: list[str]) -> None:
    assert [f"{one.where}: {one.what}" for one in refuse_uninstall(FLEET, chosen, seen)] == expected


def test_what_is_protected_stays() -> None:
    assert FLEET.kubernetes
    fleet = replace(FLEET, kubernetes=replace(FLEET.kubernetes, protected=True))
    assert [one.what for one in refuse_uninstall(fleet, ALL)] == ["this cluster is protected"]


RIDES, MAY_RIDE = "k3s rides on the network", "k3s is there, and not wireloom's: it may ride on the network"
# what was seen; for whom the network must stay
RIDDEN = {
    "all in the cluster": (cluster_of(), [f"{name}: {RIDES}" for name in ALL]),
    "one that has left": (
        cluster_of({"w1": machine("w1", **NO_K3S)}),
        [f"{name}: {RIDES}" for name in ALL[:3]],
    ),
    "k3s that has stopped": (
        cluster_of({"w1": machine("w1", active="inactive")}),
        [f"{name}: {RIDES}" for name in ALL],
    ),
    "k3s of somebody's": (
        cluster_of({name: machine(name, **NO_K3S) for name in ALL[:3]} | {"w1": machine("w1", stamp=None)}),
        [f"w1: {MAY_RIDE}"],
    ),
    "one that can't be asked": (
        cluster_of({name: machine(name, **NO_K3S) for name in ALL[:3]} | {"w1": away("w1")}),
        [f"w1: whether k3s runs there can't be told: {away('w1').what}"],
    ),
}


@pytest.mark.parametrize(("seen", "expected"), RIDDEN.values(), ids=RIDDEN)
def test_where_the_network_must_stay(seen: ClusterSeen, expected: list[str]) -> None:
    assert [f"{one.where}: {one.what}" for one in refuse_teardown(FLEET, seen, ALL)] == expected


def test_where_k3s_does_not_ride_the_network_may_go() -> None:
    """wireloom's own counts whatever is said, unless its fleet has no underlay."""
    assert FLEET.kubernetes
    seen = cluster_of({"w1": machine("w1", stamp=None), "cp3": away("cp3")})
    assert [one.where for one in refuse_teardown(FLEET, seen, [])] == [CP1, CP2]
    without = replace(FLEET, kubernetes=replace(FLEET.kubernetes, encrypt="cni"))
    assert not without.has_underlay
    assert list(refuse_teardown(without, seen, [])) == []
    assert [one.where for one in refuse_teardown(without, seen, [CP1])] == [CP1]
