"""The JSON of ``--json``: every document is an object with ``version``; keys are only ever added."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wireloom.apply.outcome import NodeOutcome, Outcome
from wireloom.cluster.plan import ClusterPlan
from wireloom.errors import Diagnostic
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.observe.state import Generation, Unreachable
from wireloom.plan.plan import Change, Plan
from wireloom.preflight.finding import Finding
from wireloom.preflight.install import Installation
from wireloom.report.hint import complete
from wireloom.report.standing import NodeStanding
from wireloom.values import NodeName
from wireloom.verify.claim import KINDS, Evidence, Traffic

VERSION = 1
Document = dict[str, Any]


def print_document(document: Mapping[str, Any]) -> None:
    """Write a document to stdout, one value per line and indented."""
    sys.stdout.write(json.dumps({"version": VERSION, **document}, indent=2) + "\n")
    sys.stdout.flush()


def diagnostic_document(one: Diagnostic) -> Document:
    """``{"severity", "what", "where", "hint"}``."""
    return {"severity": str(one.severity), "what": one.what, "where": one.where, "hint": complete(one.hint)}


def _unreachable_document(one: Unreachable) -> Document:
    """``{"node", "what", "hint"}``."""
    return {"node": one.name, "what": one.what, "hint": complete(one.hint)}


def errors_document(diagnostics: Iterable[Diagnostic]) -> Document:
    """What a verb prints instead of its own document when it stops with exit code 1."""
    return {"errors": [diagnostic_document(one) for one in diagnostics]}


def readiness_document(
    network: Network, findings: Sequence[Finding], installed: Iterable[Installation]
) -> Document:
    """Whether every machine is ready, all that was found, and what was installed before the last look."""
    return {
        "ok": not any(one.is_error for one in findings),
        "network": network_document(network),
        "findings": [
            {
                "node": one.node,
                "check": str(one.check),
                "severity": str(one.severity),
                "what": one.what,
                "hint": complete(one.hint),
            }
            for one in findings
        ],
        "installed": [{"node": one.node, "packages": list(one.packages)} for one in installed],
    }


def plan_document(plan: Plan, cluster: ClusterPlan | None) -> Document:
    """``changes`` in order, and what kept nodes out of the plan; ``cluster`` is the same of k3s, if any."""
    document = _underlay_document(plan)
    return document if cluster is None else {**document, "cluster": _cluster_document(cluster)}


def _cluster_document(plan: ClusterPlan) -> Document:
    """Machines in the order of their steps."""
    return {
        "changes": [
            _change_document(one.name, change)
            for one in (*plan.servers, *plan.agents)
            for change in one.changes
        ],
        "refusals": [diagnostic_document(one) for one in plan.refusals],
        "notes": [diagnostic_document(one) for one in plan.notes],
    }


def _change_document(name: NodeName, change: Change) -> Document:
    return {
        "node": name,
        "action": str(change.action),
        "target": change.target,
        "reason": change.reason,
        "risk": str(change.risk),
    }


def _underlay_document(plan: Plan) -> Document:
    return {
        "fleet": plan.fleet,
        "generation": plan.generation,
        "changes": [_change_document(name, change) for name, change in plan.changes()],
        "unreachable": [_unreachable_document(one) for one in plan.unreachable],
        "refusals": [diagnostic_document(one) for one in plan.refusals],
        "notes": [diagnostic_document(one) for one in plan.notes],
        "steps": list(plan.steps),
    }


def outcome_document(outcome: Outcome) -> Document:
    """How an apply ended, node by node; ``cluster``: for k3s, where there is something of it to tell."""
    document = {
        "generation": outcome.generation,
        "failed": outcome.failed,
        "nodes": list(map(_ending_document, outcome.nodes)),
        "steps_left": list(outcome.steps_left),
    }
    return document | ({"cluster": list(map(_ending_document, outcome.cluster))} if outcome.cluster else {})


def _ending_document(one: NodeOutcome) -> Document:
    return {
        "node": one.name,
        "ending": str(one.ending),
        "step": one.step,
        "detail": one.detail,
        "hint": complete(one.hint),
    }


def rotation_document(lock: Lock, names: Iterable[NodeName]) -> Document:
    """The generation that a rotation has led to, and the public keys that are new in it."""
    return {
        "generation": lock.generation,
        "nodes": [{"node": name, "public_key": str(lock.nodes[name].public_key)} for name in names],
    }


def recovery_document(lock: Lock, unseen: Iterable[NodeName], unknown: Iterable[NodeName]) -> Document:
    """What the lock has again; who was not seen, and whom nobody knows."""
    return {
        "generation": lock.generation,
        "nodes": {name: list(map(str, node.addresses)) for name, node in lock.members.items()},
        "unseen": list(unseen),
        "unknown": list(unknown),
    }


def history_document(
    histories: Mapping[NodeName, Iterable[Generation]], unasked: Iterable[Diagnostic]
) -> Document:
    """What every node keeps, oldest first, and who could not be asked."""
    return {
        "nodes": [
            {
                "node": name,
                "generations": [
                    {
                        "generation": one.number,
                        "when": one.when,
                        "who": one.who,
                        "what": one.what,
                        "present": one.present,
                    }
                    for one in history
                ],
            }
            for name, history in histories.items()
        ],
        "unasked": [{"node": one.where, "what": one.what, "hint": complete(one.hint)} for one in unasked],
    }


def evidence_document(evidence: Evidence, at: str) -> Document:
    """The verdict and every claim; ``at`` is when, in ISO 8601."""
    return {
        "at": at,
        "verdict": str(evidence.verdict),
        "sampled": evidence.sampled,
        "roomier_mtu": evidence.roomier_mtu,
        "pairs": {"tested": evidence.pairs, "all": evidence.all_pairs},
        "unasked": [_unreachable_document(one) for one in evidence.unasked],
        "kinds": {
            name: {"claimed": kind.claimed, "tested": kind.tested}
            for name, kind in KINDS.items()
            if any(one.claim == name for one in evidence.claims)
        },
        "claims": [
            {
                "claim": one.claim,
                "from": one.source,
                "to": one.target,
                "verdict": str(one.verdict),
                "detail": complete(one.detail),
                "packets": [
                    {
                        "at": packet.at,
                        "node": packet.node,
                        "device": packet.device,
                        "direction": "out" if packet.outgoing else "in",
                        "what": packet.what,
                        "bytes": packet.length,
                    }
                    for packet in one.packets
                ],
            }
            for one in evidence.claims
        ],
        "traffic": None if evidence.traffic is None else [_traffic_document(one) for one in evidence.traffic],
    }


def _traffic_document(traffic: Traffic) -> Document:
    return {
        "from": traffic.source,
        "to": traffic.target,
        "class": str(traffic.kind),
        "in_clear": traffic.kind.in_clear,
        "heard_by": traffic.heard_by,
        "packets": traffic.packets,
        "bytes": traffic.bytes,
        "ports": sorted(traffic.ports),
        "inside": sorted(traffic.inner),
        "processes": sorted(traffic.processes),
    }


def status_document(standings: Iterable[NodeStanding]) -> Document:
    """Every node as it stands."""
    return {
        "nodes": [
            {
                "node": one.name,
                "site": one.site,
                "addresses": [str(address) for address in one.addresses],
                "state": one.state,
                "implementation": one.implementation,
                "generation": one.generation,
                "peers": {"fresh": one.fresh_peers, "all": one.peers},
                "oldest_handshake_seconds": one.oldest_handshake,
                "received_bytes": one.received,
                "sent_bytes": one.sent,
                "detail": one.detail,
            }
            for one in standings
        ]
    }


def network_document(network: Network) -> Document:
    """The network as data: members, and for each the peers with their endpoints."""
    return {
        "fleet": network.fleet,
        "interface": network.interface,
        "port": network.port,
        "mtu": network.mtu,
        "ranges": [str(one) for one in network.ranges],
        "nodes": {name: _member_document(network, name) for name in network.members},
    }


def _member_document(network: Network, name: NodeName) -> Document:
    member = network.members[name]
    return {
        "site": member.site,
        "addresses": [str(one) for one in member.interfaces],
        "public_key": str(member.public_key) if member.public_key else None,
        "nat": member.nat,
        "peers": [
            {
                "node": peer.name,
                "endpoint": str(peer.endpoint) if peer.endpoint else None,
                "allowed_ips": [str(one) for one in peer.allowed_ips],
                "keepalive": peer.keepalive,
            }
            for peer in network.peers(name)
        ],
    }
