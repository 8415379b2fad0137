"""The plan for k3s and how it ended, as a person and as a program reads them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cluster.test_fleet_plan import BLANK, DONE, blank, finding, plan, seen_with
from tests.report.samples import DB1, PLAN
from wireloom.apply.outcome import Ending, NodeOutcome, Outcome
from wireloom.cluster.seen import K3sSeen, Member
from wireloom.errors import Severity
from wireloom.preflight.finding import Check
from wireloom.report.clusters import show_cluster_plan
from wireloom.report.documents import outcome_document, plan_document
from wireloom.report.terminal import show_outcome
from wireloom.values import NodeName

CP1, CP2, CP3, W1 = (NodeName(name) for name in ("cp1", "cp2", "cp3", "w1"))
DRIFTED = DONE[W1]
assert isinstance(DRIFTED, K3sSeen)
NOT_READY = {CP2: Member(CP2, ready=False, reason="KubeletNotReady")}
HINT = "on cp2: journalctl -u k3s -e; then apply again, it goes on from here"
CLUSTER = (
    NodeOutcome(CP1, Ending.CHANGED),
    NodeOutcome(CP2, Ending.FAILED, "k3s ends by itself: no", HINT, "ready"),
    NodeOutcome(CP3, Ending.PENDING, "waits for cp2"),
    NodeOutcome(W1, Ending.UNCHANGED),
)
NODES = (NodeOutcome(CP1, Ending.CHANGED), NodeOutcome(DB1, Ending.UNCHANGED))

SHOWN: dict[str, Callable[[], None]] = {
    "from nothing": lambda: show_cluster_plan(plan({**BLANK})),
    "one agent": lambda: show_cluster_plan(plan({**DONE, W1: replace(DRIFTED, active="failed")})),
    "two servers": lambda: show_cluster_plan(plan(seen_with(**blank("cp2"), **blank("cp3")))),
    "nothing, and a note": lambda: show_cluster_plan(plan(DONE, members=NOT_READY)),
    "refused": lambda: show_cluster_plan(
        plan({**BLANK}, finding(Check.DISK), finding(Check.CLOCK, Severity.WARNING))
    ),
    "a server away, nothing begun": lambda: show_cluster_plan(plan(seen_with("cp2", of={**BLANK}))),
    "outcome": lambda: show_outcome(Outcome(5, NODES, cluster=CLUSTER)),
    "outcome of the cluster alone": lambda: show_outcome(Outcome(5, (), cluster=CLUSTER[:1])),
}


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_in_a_pipe(
    show: Callable[[], None], capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    show()
    printed = capsys.readouterr()
    assert snapshot == f"{printed.out}--- stderr\n{printed.err}"


def test_a_plan_with_a_cluster() -> None:
    got = plan_document(PLAN, plan({**DONE, W1: replace(DRIFTED, active="failed")}, members=NOT_READY))
    assert got == plan_document(PLAN, None) | {
        "cluster": {
            "changes": [
                {
                    "node": "w1",
                    "action": "start",
                    "target": "unit k3s-agent",
                    "reason": "not running: failed",
                    "risk": "none",
                }
            ],
            "refusals": [],
            "notes": [
                {
                    "severity": "warning",
                    "what": "the cluster says that it is not Ready: KubeletNotReady",
                    "where": "cp2",
                    "hint": "on cp2: journalctl -u k3s -e",
                }
            ],
        }
    }


def test_changes_are_in_the_order_of_their_steps() -> None:
    changes = plan_document(PLAN, plan({**BLANK}))["cluster"]["changes"]
    assert list(dict.fromkeys(one["node"] for one in changes)) == ["cp1", "cp2", "cp3", "w1"]


def test_refusals_of_the_cluster_are_its_own() -> None:
    got = plan_document(PLAN, plan({**BLANK}, finding(Check.DISK)))["cluster"]
    assert got == {
        "changes": [],
        "refusals": [{"severity": "error", "what": "it is so", "where": "w1", "hint": "mend it"}],
        "notes": [],
    }


def test_an_outcome_with_a_cluster() -> None:
    got = outcome_document(Outcome(5, NODES, cluster=CLUSTER))
    assert got["failed"] is True
    assert got["cluster"][1:3] == [
        {
            "node": "cp2",
            "ending": "failed",
            "step": "ready",
            "detail": "k3s ends by itself: no",
            "hint": HINT,
        },
        {"node": "cp3", "ending": "pending", "step": "", "detail": "waits for cp2", "hint": ""},
    ]
    assert [one["node"] for one in got["nodes"]] == ["cp1", "db1"]


def test_without_a_cluster_there_is_no_such_key() -> None:
    assert "cluster" not in outcome_document(Outcome(5, NODES))
    assert "cluster" not in plan_document(PLAN, None)
