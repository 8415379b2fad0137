"""The text that Prometheus reads."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.exporter.samples import CP1, DB1, NAS1, SNAPSHOT, UNVERIFIED, W1
from wireloom import __version__
from wireloom.exporter.metrics import METRICS, PEER, render
from wireloom.exporter.snapshot import Snapshot
from wireloom.exporter.verified import NoReport

Values = dict[tuple[str, ...], float]


def read(snapshot: Snapshot | None = SNAPSHOT, *, per_peer: bool = True) -> dict[str, Values]:
    """The samples of each name, by the values of their labels but for the fleet's."""
    found: dict[str, Values] = {}
    for family in text_string_to_metric_families(render(snapshot, per_peer=per_peer).decode()):
        values = found.setdefault(family.name, {})
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("fleet", "shop") == "shop"
            values[tuple(labels.values())] = sample.value
            found[sample.name] = values
    return found


def by_node(name: str) -> dict[str, float]:
    return {node: value for (node, _), value in read()[name].items()}


OF_NODES: dict[str, dict[str, float]] = {
    "wireloom_node_reachable": {CP1: 1, W1: 1, DB1: 0},
    "wireloom_node_interface_up": {CP1: 1, W1: 0},
    "wireloom_node_generation": {CP1: 7},
    "wireloom_node_drift_changes": {CP1: 0, W1: 2},
    "wireloom_node_plan_errors": {CP1: 0, W1: 0},
    "wireloom_node_peers": {CP1: 3, W1: 3, DB1: 3, NAS1: 3},
    "wireloom_node_peers_fresh": {CP1: 1, W1: 0},
    "wireloom_node_peers_unanswered": {CP1: 1, W1: 0},
    "wireloom_node_handshake_newest_age_seconds": {CP1: 12.5},
    "wireloom_node_handshake_oldest_age_seconds": {CP1: 180.5},
    "wireloom_node_received_bytes_total": {CP1: 4096},
    "wireloom_node_sent_bytes_total": {CP1: 2**53},
}


@pytest.mark.parametrize(("name", "expected"), OF_NODES.items(), ids=OF_NODES)
def test_what_is_not_known_of_a_node_is_no_sample(name: str, expected: dict[str, float]) -> None:
    assert by_node(name) == expected


OF_PEERS: dict[str, dict[str, float]] = {
    "wireloom_peer_fresh": {W1: 1, DB1: 0, NAS1: 0},
    "wireloom_peer_handshake_age_seconds": {W1: 12.5, DB1: 180.5},
    "wireloom_peer_received_bytes_total": {W1: 1000, DB1: 7},
    "wireloom_peer_sent_bytes_total": {W1: 2000, DB1: 8},
}


@pytest.mark.parametrize(("name", "expected"), OF_PEERS.items(), ids=OF_PEERS)
def test_pairs_are_told_by_the_names_of_both(name: str, expected: dict[str, float]) -> None:
    assert read()[name] == {(CP1, peer, "fsn"): value for peer, value in expected.items()}


def test_pairs_are_told_only_where_asked_for() -> None:
    assert set(read()) - set(read(per_peer=False)) >= set(OF_PEERS)
    assert {metric.name for metric in METRICS if metric.by_pair} == set(OF_PEERS)
    assert all(metric.labels == PEER for metric in METRICS if metric.by_pair)


def test_without_pairs_there_are_so_many_series_for_each_node() -> None:
    lines = [line for line in render(SNAPSHOT, per_peer=False).decode().splitlines() if 'node="cp1"' in line]
    assert len(lines) == len(OF_NODES)


OF_FLEET: dict[str, float] = {
    "wireloom_snapshot_timestamp_seconds": 1.8e9,
    "wireloom_snapshot_duration_seconds": 1.25,
    "wireloom_fleet_file_valid": 1,
    "wireloom_fleet_generation": 7,
    "wireloom_verify_timestamp_seconds": 1.7e9,
}


@pytest.mark.parametrize(("name", "expected"), OF_FLEET.items(), ids=OF_FLEET)
def test_what_is_told_of_the_fleet(name: str, expected: float) -> None:
    assert read()[name] == {(): expected}


def test_a_file_that_can_not_be_read_is_told() -> None:
    assert read(replace(SNAPSHOT, file_valid=False))["wireloom_fleet_file_valid"] == {(): 0}


def test_the_last_verify() -> None:
    found = read()
    assert found["wireloom_verify_report"] == {("present",): 1, ("absent",): 0, ("garbled",): 0}
    assert found["wireloom_verify_verdict"] == {("holds",): 0, ("falsified",): 0, ("unknown",): 1}
    assert found["wireloom_verify_claims"] == {
        ("canary", "holds"): 71,
        ("canary", "falsified"): 0,
        ("canary", "unknown"): 1,
    }
    assert found["wireloom_verify_claims_timestamp_seconds"] == {("canary",): 1.6e9}


@pytest.mark.parametrize("state", NoReport)
def test_without_a_report_there_is_no_verdict(state: NoReport) -> None:
    found = read(replace(UNVERIFIED, verified=state))
    assert [name for (name,), value in found["wireloom_verify_report"].items() if value] == [state]
    for name in ("verdict", "claims", "timestamp_seconds", "claims_timestamp_seconds"):
        assert found[f"wireloom_verify_{name}"] == {}


def test_before_the_first_look_there_is_the_version_alone() -> None:
    assert read(None) == {"wireloom_build_info": {(__version__,): 1}}


def names(snapshot: Snapshot) -> Iterator[str]:
    for line in render(snapshot, per_peer=True).decode().splitlines():
        if not line.startswith("#"):
            yield re.split(r"[{ ]", line)[0]


def test_every_metric_has_a_sample_here() -> None:
    assert set(names(SNAPSHOT)) == {metric.name for metric in METRICS} | {"wireloom_build_info"}


def test_a_value_of_a_label_can_not_break_out_of_its_quotes() -> None:
    odd = replace(SNAPSHOT, fleet='a"} 1\nwireloom_evil{x="')
    assert len(list(names(odd))) == len(list(names(SNAPSHOT)))
