"""The documents of ``--json``: programs stand on these names, so each is spelled out here."""

import json
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from tests.plan.machine import Machine
from tests.report.graph_fleets import net, small
from tests.report.samples import DB1, EVIDENCE, FINDINGS, HISTORY, OUTCOME, PLAN, SILENT
from wireloom.apply.outcome import Outcome
from wireloom.errors import Diagnostic, Severity
from wireloom.lock.lock import Lock, LockedNode
from wireloom.observe.state import Unreachable
from wireloom.plan.plan import Plan
from wireloom.preflight.install import Installation
from wireloom.preflight.packages import DEBIAN
from wireloom.report.documents import (
    errors_document,
    evidence_document,
    history_document,
    network_document,
    outcome_document,
    plan_document,
    print_document,
    readiness_document,
    recovery_document,
    status_document,
)
from wireloom.report.standing import NodeStanding
from wireloom.values import NodeName

WHEN = "2026-01-01T00:00:00+00:00"


def test_a_plan() -> None:
    assert plan_document(PLAN, None) == {
        "fleet": "shop",
        "generation": 5,
        "changes": [
            {
                "node": "cp1",
                "action": "update",
                "target": "mtu of wg0",
                "reason": "1420 → 1440",
                "risk": "brief",
            },
            {"node": "cp1", "action": "create", "target": "peer w1", "reason": "new", "risk": "none"},
            {
                "node": "w1",
                "action": "start",
                "target": "interface wg0",
                "reason": "gone",
                "risk": "none",
            },
        ],
        "unreachable": [{"node": "nas1", "what": "no answer", "hint": "is it up?"}],
        "refusals": [{"severity": "error", "what": "not ours", "where": "w1", "hint": "take it away"}],
        "notes": [{"severity": "warning", "what": "no `ssh`", "where": "nas1", "hint": ""}],
        "steps": [],
    }


def test_a_plan_of_nothing() -> None:
    lists = ("changes", "unreachable", "refusals", "notes", "steps")
    assert plan_document(Plan("shop", 1, ()), None) == {"fleet": "shop", "generation": 1} | {
        one: [] for one in lists
    }


def test_readiness() -> None:
    network = net(small())
    installed = Installation(Machine(DB1).seen(), DEBIAN, ("nftables", "wireguard-tools"))
    document = readiness_document(network, FINDINGS[:2], [installed])
    assert document == {
        "ok": False,
        "network": network_document(network),
        "findings": [
            {
                "node": "cp1",
                "check": "range",
                "severity": "error",
                "what": "eth1 has 10.99.7.7/24",
                "hint": "ip address del 10.99.7.7/24 dev eth1",
            },
            {
                "node": "cp1",
                "check": "tools",
                "severity": "warning",
                "what": "tcpdump not found",
                "hint": "apt-get",
            },
        ],
        "installed": [{"node": "db1", "packages": ["nftables", "wireguard-tools"]}],
    }


def test_warnings_are_no_reason_not_to_be_ready() -> None:
    assert readiness_document(net(small()), FINDINGS[1:4], [])["ok"] is True


def test_evidence_of_nodes_that_could_not_be_asked() -> None:
    document = evidence_document(SILENT, WHEN)
    assert document["unasked"][0] == {"node": "cp1", "what": "no answer", "hint": "is it up?"}
    assert document["claims"][0]["detail"] == "no answer"


def test_evidence() -> None:
    document = evidence_document(EVIDENCE, WHEN)
    kinds = document.pop("kinds")
    assert list(kinds) == ["answers", "handshake", "mtu"]
    assert kinds["handshake"]["claimed"] == "each has a live session with the planned key and endpoint"
    seen = {"at": 5.0, "node": "w1", "device": "eth0", "direction": "out", "what": "ICMP", "bytes": 700}
    assert document == {
        "at": WHEN,
        "traffic": None,
        "verdict": "falsified",
        "sampled": True,
        "roomier_mtu": None,
        "pairs": {"tested": 2, "all": 6},
        "unasked": [],
        "claims": [
            {
                "claim": "answers",
                "from": "cp1",
                "to": "w1",
                "verdict": "holds",
                "detail": "3 of 3",
                "packets": [],
            },
            {
                "claim": "handshake",
                "from": "cp1",
                "to": "w1",
                "verdict": "unknown",
                "detail": "cut short",
                "packets": [],
            },
            {
                "claim": "mtu",
                "from": "w1",
                "to": "cp1",
                "verdict": "falsified",
                "detail": "1300 of 1500",
                "packets": [seen],
            },
        ],
    }


def test_an_outcome() -> None:
    assert outcome_document(OUTCOME) == {
        "generation": 5,
        "failed": True,
        "nodes": [
            {"node": "cp1", "ending": "rolled back", "step": "", "detail": "", "hint": ""},
            {"node": "w1", "ending": "failed", "step": "stage", "detail": "no space", "hint": "make some"},
            {"node": "nas1", "ending": "pending", "step": "", "detail": "no answer", "hint": ""},
            {"node": "db1", "ending": "unchanged", "step": "", "detail": "", "hint": ""},
        ],
        "steps_left": [],
    }


def test_steps_that_are_left() -> None:
    assert plan_document(Plan("shop", 1, (), steps=("one", "two")), None)["steps"] == ["one", "two"]
    assert outcome_document(Outcome(1, (), ("two",)))["steps_left"] == ["two"]


def test_a_history() -> None:
    silent = Diagnostic("no answer", "nas1", "is it up?", Severity.WARNING)
    assert history_document({DB1: HISTORY[DB1]}, [silent]) == {
        "nodes": [
            {
                "node": "db1",
                "generations": [
                    {
                        "generation": 1,
                        "when": "2026-05-01T12:00:00+00:00",
                        "who": "ada@laptop",
                        "what": "start interface wg0",
                        "present": False,
                    },
                    {
                        "generation": 3,
                        "when": "2026-05-02T12:00:00+00:00",
                        "who": "eve@desk",
                        "what": "create peer w1",
                        "present": True,
                    },
                ],
            }
        ],
        "unasked": [{"node": "nas1", "what": "no answer", "hint": "is it up?"}],
    }


def test_a_recovered_lock() -> None:
    nodes = {
        DB1: LockedNode(ipv4=IPv4Address("10.99.0.4"), ipv6=IPv6Address("fd42::4")),
        NodeName("old"): LockedNode(ipv4=IPv4Address("10.99.0.9"), released=2),
    }
    assert recovery_document(Lock("shop", 3, "beef", nodes), [DB1], []) == {
        "generation": 3,
        "nodes": {"db1": ["10.99.0.4", "fd42::4"]},
        "unseen": ["db1"],
        "unknown": [],
    }


def test_a_history_of_nothing() -> None:
    assert history_document({DB1: []}, []) == {"nodes": [{"node": "db1", "generations": []}], "unasked": []}


def test_errors() -> None:
    found = [Diagnostic("wrong", "fleet.yaml:1:2", "right it"), Diagnostic("odd", severity=Severity.WARNING)]
    assert errors_document(found) == {
        "errors": [
            {"severity": "error", "what": "wrong", "where": "fleet.yaml:1:2", "hint": "right it"},
            {"severity": "warning", "what": "odd", "where": "", "hint": ""},
        ]
    }


def test_status() -> None:
    up = NodeStanding(
        NodeName("cp1"), "fsn", (ip_address("10.99.0.1"),), "up", 5, "kernel", 7, 4, 31, 1000, 2000, "fine"
    )
    assert status_document([up]) == {
        "nodes": [
            {
                "node": "cp1",
                "site": "fsn",
                "addresses": ["10.99.0.1"],
                "state": "up",
                "implementation": "kernel",
                "generation": 7,
                "peers": {"fresh": 4, "all": 5},
                "oldest_handshake_seconds": 31,
                "received_bytes": 1000,
                "sent_bytes": 2000,
                "detail": "fine",
            }
        ]
    }


def test_a_network() -> None:
    document = network_document(net(small()))
    assert {key: value for key, value in document.items() if key != "nodes"} == {
        "fleet": "shop",
        "interface": "wg0",
        "port": 51820,
        "mtu": 1440,
        "ranges": ["10.99.0.0/16"],
    }
    assert list(document["nodes"]) == ["cp1", "w1", "db1", "db2", "nas1", "nas2"]
    nas1 = document["nodes"]["nas1"]
    assert {key: value for key, value in nas1.items() if key != "peers"} == {
        "site": "office",
        "addresses": ["10.99.0.5/16"],
        "public_key": None,
        "nat": True,
    }
    assert nas1["peers"][0] == {
        "node": "cp1",
        "endpoint": "203.0.113.10:51820",
        "allowed_ips": ["10.99.0.1/32"],
        "keepalive": 25,
    }


def test_a_peer_that_is_not_dialled_has_no_endpoint() -> None:
    peers = network_document(net(small()))["nodes"]["cp1"]["peers"]
    assert {peer["node"]: peer["endpoint"] for peer in peers}["nas1"] is None


def test_what_is_printed_is_one_object_with_its_version_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_document(plan_document(PLAN, None))
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert next(iter(document)) == "version"
    assert document == {"version": 1, **plan_document(PLAN, None)}
    assert printed.err == ""


def test_a_refused_machine_is_not_told_as_unreachable() -> None:
    """Such are in ``refusals``; the plan's own list holds the silent ones only."""
    plan = Plan("shop", 1, (), unreachable=(Unreachable(NodeName("a"), "no answer"),))
    assert [one["node"] for one in plan_document(plan, None)["unreachable"]] == ["a"]
