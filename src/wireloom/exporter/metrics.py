"""Snapshot → Prometheus' text: every metric there is, in tables. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wireloom import __version__
from wireloom.exporter.snapshot import NodeReading, PeerReading, Snapshot
from wireloom.exporter.verified import NoReport, Verified
from wireloom.verify.claim import Verdict

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The text format that every Prometheus reads."""

FLEET = ("fleet",)
NODE = ("fleet", "node", "site")
PEER = ("fleet", "node", "site", "peer")

Sample = tuple[tuple[str, ...], float | None]
"""The labels' values, and the value; None for what is not known, which is left out."""


@dataclass(frozen=True, slots=True)
class Description:
    """What is told of a metric; its name tells whether it is a counter."""

    name: str
    help: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metric(Description):
    """A metric, and how its samples are read from a snapshot.

    ``by_pair``: it has one for each ordered pair of nodes.
    """

    read: Callable[[Snapshot], Iterator[Sample]]
    by_pair: bool = False


def render(snapshot: Snapshot | None, *, per_peer: bool) -> bytes:
    """All metrics as text; before the first look only what needs none."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(snapshot, per_peer))
    return generate_latest(registry)


@dataclass(frozen=True, slots=True, eq=False)
class _Collector:
    """What prometheus_client asks for samples."""

    snapshot: Snapshot | None
    per_peer: bool

    def collect(self) -> "Iterator[Family]":
        """A family for each metric that has samples."""
        yield _family(BUILD, [((__version__,), 1)])
        if self.snapshot is None:
            return
        for metric in METRICS:
            if self.per_peer or not metric.by_pair:
                yield _family(metric, metric.read(self.snapshot))


def _family(metric: Description, samples: Iterable[Sample]) -> "Family":
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    make = CounterMetricFamily if metric.name.endswith("_total") else GaugeMetricFamily
    family = make(metric.name, metric.help, labels=metric.labels)
    for labels, value in samples:
        if value is not None:
            family.add_metric(labels, value)
    return family


def _of_fleet(name: str, text: str, read: Callable[[Snapshot], float | None]) -> Metric:
    return Metric(name, text, FLEET, lambda snapshot: iter([((snapshot.fleet,), read(snapshot))]))


def _of_node(name: str, text: str, read: Callable[[NodeReading], float | None]) -> Metric:
    return Metric(
        name,
        text,
        NODE,
        lambda snapshot: (((snapshot.fleet, node.name, node.site), read(node)) for node in snapshot.nodes),
    )


def _of_peer(name: str, text: str, read: Callable[[PeerReading], float | None]) -> Metric:
    return Metric(
        name,
        text,
        PEER,
        lambda snapshot: (
            ((snapshot.fleet, node.name, node.site, peer.name), read(peer))
            for node in snapshot.nodes
            for peer in node.peers or ()
        ),
        by_pair=True,
    )


def _report_states(snapshot: Snapshot) -> Iterator[Sample]:
    state = "present" if isinstance(snapshot.verified, Verified) else str(snapshot.verified)
    for one in ("present", *map(str, NoReport)):
        yield (snapshot.fleet, one), one == state


def _verdicts(snapshot: Snapshot) -> Iterator[Sample]:
    if isinstance(snapshot.verified, Verified):
        for one in Verdict:
            yield (snapshot.fleet, str(one)), one is snapshot.verified.verdict


def _claims(snapshot: Snapshot) -> Iterator[Sample]:
    if isinstance(snapshot.verified, Verified):
        for kind, tested in snapshot.verified.claims.items():
            for verdict, number in tested.verdicts.items():
                yield (snapshot.fleet, kind, str(verdict)), number


def _tested_at(snapshot: Snapshot) -> Iterator[Sample]:
    if isinstance(snapshot.verified, Verified):
        for kind, tested in snapshot.verified.claims.items():
            yield (snapshot.fleet, kind), tested.at


def _verified_at(snapshot: Snapshot) -> float | None:
    return snapshot.verified.at if isinstance(snapshot.verified, Verified) else None


BUILD = Description("wireloom_build_info", "Always 1; the label tells the version.", ("version",))

METRICS = (
    _of_fleet(
        "wireloom_snapshot_timestamp_seconds",
        "When the last look at the machines ended, in seconds since 1970.",
        lambda snapshot: snapshot.taken,
    ),
    _of_fleet(
        "wireloom_snapshot_duration_seconds",
        "How long the last look at the machines took.",
        lambda snapshot: snapshot.seconds,
    ),
    _of_fleet(
        "wireloom_fleet_file_valid",
        "1: fleet file and lock can be read. 0: they can't, and what they said before is used.",
        lambda snapshot: snapshot.file_valid,
    ),
    _of_fleet(
        "wireloom_fleet_generation",
        "The generation of the last apply, by the lock.",
        lambda snapshot: snapshot.generation,
    ),
    _of_node(
        "wireloom_node_reachable",
        "1: the node answered over SSH. Nodes without `ssh` have no sample.",
        lambda node: node.reachable,
    ),
    _of_node(
        "wireloom_node_interface_up",
        "1: the WireGuard interface is up. 0: it is down, or not there.",
        lambda node: node.up,
    ),
    _of_node(
        "wireloom_node_generation",
        "The generation that the node is at: the last one that changed it.",
        lambda node: node.generation,
    ),
    _of_node(
        "wireloom_node_drift_changes",
        "How many changes `wireloom plan` would make to the network on the node.",
        lambda node: node.drift,
    ),
    _of_node(
        "wireloom_node_plan_errors",
        "How many errors keep `wireloom plan` from the node; it then has no sample of drift.",
        lambda node: node.errors,
    ),
    _of_node(
        "wireloom_node_peers",
        "How many peers the node should have.",
        lambda node: node.planned,
    ),
    _of_node(
        "wireloom_node_peers_fresh",
        "How many of them it has a live session with. A tunnel without traffic has none, and need not.",
        lambda node: node.fresh,
    ),
    _of_node(
        "wireloom_node_peers_unanswered",
        "How many of them it has sent to since the look before, without a live session then or now.",
        lambda node: node.unanswered,
    ),
    _of_node(
        "wireloom_node_handshake_newest_age_seconds",
        "The age of the newest of the last handshakes with each peer.",
        lambda node: min(node.handshake_ages, default=None),
    ),
    _of_node(
        "wireloom_node_handshake_oldest_age_seconds",
        "The age of the oldest of the last handshakes with each peer; one that never was does not count.",
        lambda node: max(node.handshake_ages, default=None),
    ),
    _of_node(
        "wireloom_node_received_bytes_total",
        "Bytes that came in by the interface since it was made.",
        lambda node: node.received,
    ),
    _of_node(
        "wireloom_node_sent_bytes_total",
        "Bytes that went out by the interface since it was made.",
        lambda node: node.sent,
    ),
    _of_peer(
        "wireloom_peer_fresh",
        "1: the node has a live session with the peer.",
        lambda peer: peer.fresh,
    ),
    _of_peer(
        "wireloom_peer_handshake_age_seconds",
        "The age of the last handshake with the peer.",
        lambda peer: peer.handshake_age,
    ),
    _of_peer(
        "wireloom_peer_received_bytes_total",
        "Bytes received from the peer, WireGuard's own included, as `wg show` counts them.",
        lambda peer: peer.received,
    ),
    _of_peer(
        "wireloom_peer_sent_bytes_total",
        "Bytes sent to the peer, WireGuard's own included, as `wg show` counts them.",
        lambda peer: peer.sent,
    ),
    Metric(
        "wireloom_verify_report",
        "1 for the state that the report of the last `wireloom verify` is in: present, absent or garbled.",
        ("fleet", "state"),
        _report_states,
    ),
    _of_fleet(
        "wireloom_verify_timestamp_seconds",
        "When `wireloom verify` was last run, in seconds since 1970.",
        _verified_at,
    ),
    Metric(
        "wireloom_verify_verdict",
        "1 for the verdict of the last `wireloom verify`: holds, falsified or unknown.",
        ("fleet", "verdict"),
        _verdicts,
    ),
    Metric(
        "wireloom_verify_claims",
        "How many claims of each kind had each verdict when they were last tested.",
        ("fleet", "kind", "verdict"),
        _claims,
    ),
    Metric(
        "wireloom_verify_claims_timestamp_seconds",
        "When the claims of each kind were last tested, in seconds since 1970.",
        ("fleet", "kind"),
        _tested_at,
    ),
)
