"""K3s on all machines: the order of steps, what keeps a cluster from being begun, and one name for it all."""

from dataclasses import replace

import pytest

from tests.cluster.fleets import CP1, CP2, CP3, VERSION, W1, cluster
from tests.network.fleets import lock_of
from wireloom.cluster.digest import digest_plans
from wireloom.cluster.fleet import make_cluster_plan
from wireloom.cluster.places import AGENT_TOKEN, SERVER_TOKEN
from wireloom.cluster.plan import ClusterPlan, K3sNodePlan
from wireloom.cluster.seen import ClusterSeen, FileSeen, K3sSeen, Member
from wireloom.errors import Diagnostic, Severity
from wireloom.intent.fleet import Fleet
from wireloom.network.topology import weave
from wireloom.observe.state import Unreachable
from wireloom.plan.plan import Plan
from wireloom.preflight.finding import Check, Finding
from wireloom.values import NodeName

FLEET = cluster(CP1, CP2, CP3, W1)
NAMES = tuple(FLEET.nodes)
BLANK = {name: K3sSeen(name) for name in NAMES}
AWAY = "does not answer"


def plan(
    seen: dict[NodeName, K3sSeen | Unreachable],
    *findings: Finding,
    fleet: Fleet = FLEET,
    members: dict[NodeName, Member] | None = None,
) -> ClusterPlan:
    network = weave(fleet, lock_of(fleet))
    return make_cluster_plan(fleet, network, ClusterSeen(seen, members), findings)


def after(one: K3sNodePlan, **different: object) -> K3sSeen:
    """What is seen of a machine once its plan was carried out, but for this."""
    seen = K3sSeen(
        one.name,
        version=VERSION,
        role=one.role,
        enabled=True,
        active="active",
        files={file.path: FileSeen(file.text, file.mode) for file in one.desired.files},
        ran=one.role,
        data=True,
        tokens=frozenset({SERVER_TOKEN, AGENT_TOKEN}),
        stamp=one.desired.stamp,
    )
    return replace(seen, **different)  # type: ignore[arg-type]


DONE: dict[NodeName, K3sSeen | Unreachable] = {one.name: after(one) for one in plan({**BLANK}).nodes}


def seen_with(
    *away: str, of: dict[NodeName, K3sSeen | Unreachable] = DONE, **blank: K3sSeen
) -> dict[NodeName, K3sSeen | Unreachable]:
    """Everybody as after an apply, some of them away and some blank."""
    gone = {NodeName(name): Unreachable(NodeName(name), AWAY) for name in away}
    return {**of, **gone, **{NodeName(name): one for name, one in blank.items()}}


def blank(name: str) -> dict[str, K3sSeen]:
    return {name: K3sSeen(NodeName(name))}


def order(got: ClusterPlan) -> list[str]:
    return [one.name for one in got.nodes]


def begins(got: ClusterPlan) -> list[str]:
    return [one.name for one in got.nodes if one.begins]


def test_servers_come_first_and_the_first_of_the_file_begins() -> None:
    got = plan({**BLANK})
    assert order(got) == ["cp1", "cp2", "cp3", "w1"]
    assert begins(got) == ["cp1"]
    assert ([one.name for one in got.servers], [one.name for one in got.agents]) == (
        ["cp1", "cp2", "cp3"],
        ["w1"],
    )


def test_an_agent_that_stands_before_servers_in_the_file_comes_after_them() -> None:
    got = plan({**BLANK}, fleet=cluster(W1, CP2, CP1, CP3))
    assert order(got) == ["cp2", "cp1", "cp3", "w1"]
    assert begins(got) == ["cp2"]


def test_a_plan_after_an_apply_is_empty() -> None:
    got = plan(DONE)
    assert got.empty
    assert order(got) == ["cp1", "cp2", "cp3", "w1"]


def test_servers_of_the_cluster_come_before_those_that_join_it() -> None:
    """A server that was replaced gets its token from one that runs: the others must be up for that."""
    stopped = {name: replace(one, active="failed") for name, one in DONE.items() if isinstance(one, K3sSeen)}
    got = plan(seen_with(of={**stopped}, **blank("cp1")))
    assert order(got) == ["cp2", "cp3", "cp1", "w1"]
    assert begins(got) == []


ONE_CLUSTER = {
    "all blank": ({**BLANK}, ["cp1"]),
    "the first server is new": (seen_with(**blank("cp1")), []),
    "two servers are new": (seen_with(**blank("cp1"), **blank("cp2")), []),
    "only the first is there": ({**BLANK, NodeName("cp1"): DONE[NodeName("cp1")]}, []),
    "only an agent is there": ({**BLANK, NodeName("w1"): DONE[NodeName("w1")]}, ["cp1"]),
}


@pytest.mark.parametrize(("seen", "wanted"), ONE_CLUSTER.values(), ids=ONE_CLUSTER)
def test_a_cluster_is_begun_where_there_is_none(
    seen: dict[NodeName, K3sSeen | Unreachable], wanted: list[str]
) -> None:
    assert begins(plan(seen)) == wanted


def test_who_was_to_begin_stays_it_although_the_file_has_another_first_by_now() -> None:
    """The apply was cut off after the tokens: whether k3s was started, nobody knows yet."""
    one = plan({**BLANK}).nodes[0]
    cut = after(one, active="inactive", data=False, ran=None)
    seen: dict[NodeName, K3sSeen | Unreachable] = {**BLANK, NodeName("cp1"): cut}
    assert begins(plan(seen, fleet=cluster(CP2, CP3, CP1, W1))) == ["cp1"]
    assert order(plan(seen, fleet=cluster(CP2, CP3, CP1, W1))) == ["cp1", "cp2", "cp3", "w1"]
    before_tokens = {**seen, NodeName("cp1"): replace(cut, tokens=frozenset())}
    assert begins(plan(before_tokens, fleet=cluster(CP2, CP3, CP1, W1))) == ["cp2"]


def test_who_was_to_begin_joins_where_another_has_begun_by_now() -> None:
    """Its data was taken away, its settings and tokens were not: those are of a cluster that is no more."""
    one = plan({**BLANK}).nodes[0]
    wiped = after(one, active="inactive", data=False, ran=None)
    got = plan(seen_with(cp1=wiped))
    assert begins(got) == []
    assert [(one.name, one.desired.entry.server) for one in got.nodes if one.joins] == [("cp1", "cp2")]


# Who did not answer


UNSEEN = {
    "the first server, nothing begun": (seen_with("cp1", of={**BLANK}), ["cp1"]),
    "another server, nothing begun": (seen_with("cp2", of={**BLANK}), ["cp2"]),
    "all servers": (seen_with("cp1", "cp2", "cp3"), ["cp1", "cp2", "cp3"]),
    "the first server of a cluster": (seen_with("cp1"), []),
    "two servers of a cluster": (seen_with("cp1", "cp3"), []),
    "an agent, nothing begun": (seen_with("w1", of={**BLANK}), []),
}


@pytest.mark.parametrize(("seen", "refused"), UNSEEN.values(), ids=UNSEEN)
def test_a_second_cluster_is_not_begun_beside_one_that_is_not_seen(
    seen: dict[NodeName, K3sSeen | Unreachable], refused: list[str]
) -> None:
    got = plan(seen)
    assert [one.where for one in got.refusals] == refused
    assert all(AWAY in one.hint and "is not begun beside it" in one.what for one in got.refusals)
    assert bool(got.nodes) is not bool(refused)


def test_who_does_not_answer_stays_as_it_is_and_the_others_go_on() -> None:
    got = plan(seen_with("cp1", **blank("w1")))
    assert order(got) == ["cp2", "cp3", "w1"]
    assert [one.name for one in got.agents] == ["w1"]
    assert got.agents[0].desired.entry.server == "cp2"


# Findings


def finding(check: Check, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(NodeName("w1"), check, "it is so", "mend it", severity)


def test_an_error_keeps_the_whole_cluster_as_it_is() -> None:
    got = plan({**BLANK}, finding(Check.DISK))
    assert got.nodes == ()
    assert got.refusals == (Diagnostic("it is so", "w1", "mend it"),)


def test_a_machine_that_does_not_answer_is_no_such_error() -> None:
    assert plan(seen_with("w1", of={**BLANK}), finding(Check.ANSWER)).refusals == ()


def test_a_warning_is_a_note() -> None:
    got = plan({**BLANK}, finding(Check.DISK, Severity.WARNING))
    assert len(got.nodes) == 4
    assert got.notes == (Diagnostic("it is so", "w1", "mend it", Severity.WARNING),)


def test_a_node_that_runs_and_is_not_ready_is_noted() -> None:
    told = {NodeName(name): Member(NodeName(name), ready=name != "cp2", reason="no CNI") for name in NAMES}
    got = plan(DONE, members=told)
    assert [(one.where, one.what, one.hint) for one in got.notes] == [
        ("cp2", "the cluster says that it is not Ready: no CNI", "on cp2: journalctl -u k3s -e")
    ]
    assert got.empty


def test_a_cluster_that_nobody_tells_of_is_noted() -> None:
    """systemd says that k3s is active, and it has no API: etcd has no majority."""
    [note] = make_note(seen_with(), trouble="cp1: ServiceUnavailable")
    assert note.where == "cp1"
    assert note.what == "no server tells of the cluster that it is in: cp1: ServiceUnavailable"
    assert "k3s server --cluster-reset` on cp1" in note.hint


def test_a_cluster_whose_other_servers_do_not_answer_is_noted() -> None:
    """The second one was joining when the first was lost."""
    joining = after(plan(seen_with(**blank("cp2"))).nodes[2], active="activating")
    [note] = make_note(seen_with("cp1", "cp3", cp2=joining))
    assert (note.where, note.what) == ("cp2", "no server tells of the cluster that it is in")


def test_servers_that_are_all_here_and_stand_still_are_no_riddle() -> None:
    stopped = {name: replace(one, active="failed") for name, one in DONE.items() if isinstance(one, K3sSeen)}
    assert make_note({**stopped}) == ()


def make_note(seen: dict[NodeName, K3sSeen | Unreachable], trouble: str = "") -> tuple[Diagnostic, ...]:
    network = weave(FLEET, lock_of(FLEET))
    return make_cluster_plan(FLEET, network, ClusterSeen(seen, trouble=trouble), ()).notes


# One name


UNDERLAY = Plan("shop", 1, ())


def digest(got: ClusterPlan) -> str:
    return digest_plans(UNDERLAY, got)


def test_equal_plans_have_one_name() -> None:
    assert digest(plan({**BLANK})) == digest(plan({**BLANK}))
    assert len(digest(plan({**BLANK}))) == 64


def test_reasons_and_notes_do_not_count() -> None:
    got = plan({**BLANK})
    first = got.nodes[0]
    reworded = replace(first, changes=tuple(replace(one, reason="because") for one in first.changes))
    assert digest(replace(got, nodes=(reworded, *got.nodes[1:]))) == digest(got)
    assert digest(replace(got, notes=(Diagnostic("by the way"),))) == digest(got)


def test_a_plan_with_nothing_to_do_is_named_as_if_there_were_none() -> None:
    assert digest(plan(DONE)) == digest(ClusterPlan())


def test_who_needs_nothing_does_not_count() -> None:
    """A saved plan is good as long as it would do the same: a bystander may go and come."""
    one = seen_with(**blank("w1"))
    assert digest(plan(one)) == digest(plan({**one, **seen_with("cp3", **blank("w1"))}))


OTHERS = {
    "a machine less": seen_with("w1", of={**BLANK}),
    "a machine is in": {**BLANK, NodeName("cp1"): DONE[NodeName("cp1")]},
    "a binary is there": {**BLANK, NodeName("w1"): K3sSeen(NodeName("w1"), version=VERSION)},
    "it runs already": {**DONE, NodeName("w1"): replace(DONE[NodeName("w1")], active="failed")},  # type: ignore[type-var]
}


@pytest.mark.parametrize("seen", OTHERS.values(), ids=OTHERS)
def test_other_plans_have_other_names(seen: dict[NodeName, K3sSeen | Unreachable]) -> None:
    others = [digest(plan(one)) for one in ({**BLANK}, seen)]
    assert others[0] != others[1]


def test_another_version_or_underlay_is_another_plan() -> None:
    newer = replace(FLEET, kubernetes=replace(FLEET.kubernetes, version="v1.35.0+k3s1"))  # type: ignore[type-var]
    assert digest(plan({**BLANK}, fleet=newer)) != digest(plan({**BLANK}))
    assert digest_plans(replace(UNDERLAY, generation=2), plan({**BLANK})) != digest(plan({**BLANK}))
