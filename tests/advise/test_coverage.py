"""Which columns are a fleet's, what is proven of them, and what is left unencrypted."""

import pytest

from tests.advise.fleets import PUBLIC, cluster, read
from wireloom.advise.choice import Choice, Layer, choice_of
from wireloom.advise.coverage import Coverage, cover, unencrypted
from wireloom.advise.matrix import COLUMNS, MATRIX
from wireloom.advise.proof import Outcome, Proof, read_proofs
from wireloom.advise.traffic import TrafficClass

CILIUM_BOTH = ["cilium-wireguard", "cilium-wireguard-nodes"]
COLUMNS_OF: dict[str, tuple[list[str], list[str], str]] = {
    "nothing said": (["underlay-vxlan"], [], ""),
    "vxlan": (["underlay-vxlan"], [], "flannel_backend: vxlan"),
    "host-gw": (["underlay-host-gw"], [], "flannel_backend: host-gw"),
    "cni": (["k3s-wireguard-native"], [], "encrypt: cni"),
    "both": (["underlay-wireguard-native"], [], "encrypt: both"),
    "calico below": (["underlay-vxlan"], ["read-for-flannel"], "cni: calico"),
    "calico": (["calico-wireguard"], [], "cni: calico, encrypt: cni"),
    "calico, both": (
        ["underlay-vxlan", "calico-wireguard"],
        ["each-by-itself", "read-for-flannel"],
        "cni: calico, encrypt: both",
    ),
    "cilium": (CILIUM_BOTH, ["two-modes"], "cni: cilium, encrypt: cni"),
    "cilium, both": (
        ["underlay-vxlan", *CILIUM_BOTH],
        ["each-by-itself", "read-for-flannel", "two-modes"],
        "cni: cilium, encrypt: both",
    ),
}


@pytest.mark.parametrize(("columns", "remarks", "keys"), COLUMNS_OF.values(), ids=COLUMNS_OF)
def test_the_columns_that_fit_a_fleet(columns: list[str], remarks: list[str], keys: str) -> None:
    coverage = cover(choice_of(read(cluster(PUBLIC, keys))), {})
    assert columns == [one.name for one in coverage.columns]
    assert remarks == [one.name for one in coverage.remarks]
    assert coverage.own == set(coverage.columns)


@pytest.mark.parametrize(("says", "column"), [(True, "cilium-wireguard-nodes"), (False, "cilium-wireguard")])
def test_where_it_is_known_whether_cilium_encrypts_nodes_there_is_one_column(says: bool, column: str) -> None:
    coverage = cover(Choice(Layer.CNI, "cilium", None, says), {})
    assert [one.name for one in coverage.columns] == [column]
    assert coverage.remarks == ()


def test_every_column_is_the_whole_matrix_and_still_knows_whose_it_is() -> None:
    coverage = cover(Choice(Layer.CNI, "flannel", "wireguard-native"), {}, every_column=True)
    assert coverage.columns == COLUMNS
    assert {row.traffic: row.cells for row in coverage.rows} == {
        traffic: tuple(cells.values()) for traffic, cells in MATRIX.items()
    }
    assert [one.name for one in coverage.own] == ["k3s-wireguard-native"]


def test_machines_without_kubernetes_have_one_class_of_traffic() -> None:
    coverage = cover(Choice(), {}, cluster=False)
    assert [row.traffic for row in coverage.rows] == [TrafficClass.NODE_TO_NODE]


def test_notes_and_sources_are_those_of_what_is_shown() -> None:
    coverage = cover(Choice(), {})
    assert [note.name for note in coverage.notes] == ["node-ip", "in-the-fleet"]
    shown = {one for row in coverage.rows for cell in row.cells for one in cell.sources}
    assert shown <= set(coverage.sources)
    assert len(set(coverage.sources)) == len(coverage.sources)


def classes(choice: Choice) -> dict[str, str]:
    return {str(traffic): str(cell.cover) for traffic, cell in unencrypted(cover(choice, {}))}


def test_of_two_layers_the_better_cell_counts() -> None:
    assert classes(Choice(Layer.BOTH, "calico", None)) == classes(Choice())


def test_of_two_modes_that_nobody_told_apart_the_worse_cell_counts() -> None:
    assert classes(Choice(Layer.CNI, "cilium", None)) == classes(Choice(Layer.CNI, "cilium", None, False))
    assert classes(Choice(Layer.CNI, "cilium", None)) != classes(Choice(Layer.CNI, "cilium", None, True))


# Proofs

AT = "2026-11-25T19:00:00Z"


def evidence(**canary: int) -> dict[str, object]:
    return {"at": AT, "verdict": "holds", "claims": {"canary": canary, "answers": {"holds": 72}}}


def proven(coverage: Coverage) -> dict[TrafficClass, Proof]:
    return {row.traffic: row.proof for row in coverage.rows if row.proof is not None}


def test_a_canary_that_holds_proves_what_goes_between_machines_and_nothing_else() -> None:
    proofs = read_proofs(evidence(holds=72, falsified=0, unknown=0), outside=True)
    holds = Proof(Outcome.HOLDS, AT, 72)
    assert proven(cover(Choice(), proofs)) == {
        TrafficClass.NODE_TO_NODE: holds,
        TrafficClass.NODE_TO_OUTSIDE: holds,
    }


@pytest.mark.parametrize(
    "choice", [Choice(Layer.CNI, "flannel", "wireguard-native"), Choice(Layer.CNI, "cilium", None)]
)
def test_it_proves_nothing_where_the_machines_are_not_to_encrypt(choice: Choice) -> None:
    proofs = read_proofs(evidence(holds=72), outside=True)
    assert proven(cover(choice, proofs, every_column=True)) == {}


OUTCOMES: dict[str, tuple[Outcome, dict[str, int]]] = {
    "all hold": (Outcome.HOLDS, {"holds": 72}),
    "one is unknown": (Outcome.UNKNOWN, {"holds": 71, "unknown": 1}),
    "one is falsified": (Outcome.FALSIFIED, {"holds": 70, "falsified": 1, "unknown": 1}),
}


@pytest.mark.parametrize(("expected", "counts"), OUTCOMES.values(), ids=OUTCOMES)
def test_the_worst_of_all_pairs_counts(expected: Outcome, counts: dict[str, int]) -> None:
    proofs = read_proofs(evidence(**counts), outside=False)
    assert proofs == {TrafficClass.NODE_TO_NODE: Proof(expected, AT, 72)}


@pytest.mark.parametrize(
    ("expected", "audit"),
    [(Outcome.FALSIFIED, {"holds": 70, "falsified": 2}), (Outcome.HOLDS, {"unknown": 72})],
    ids=["saw it", "saw nothing"],
)
def test_an_audit_that_saw_machines_talk_in_clear_speaks_against_a_canary(
    expected: Outcome, audit: dict[str, int]
) -> None:
    left = {"at": AT, "verdict": "falsified", "claims": {"canary": {"holds": 72}, "clear": audit}}
    proofs = read_proofs(left, outside=False)
    assert proofs == {TrafficClass.NODE_TO_NODE: Proof(expected, AT, 72)}


PODS: dict[str, tuple[Choice, bool, set[TrafficClass]]] = {
    "on an underlay": (
        Choice(),
        True,
        {TrafficClass.POD_TO_POD, TrafficClass.POD_TO_NODE, TrafficClass.NODE_TO_POD},
    ),
    "where only flannel encrypts": (
        Choice(Layer.CNI, "flannel", "wireguard-native"),
        False,
        {TrafficClass.POD_TO_POD, TrafficClass.NODE_TO_POD},
    ),
}


@pytest.mark.parametrize(("choice", "underlay", "expected"), PODS.values(), ids=PODS)
def test_a_canary_of_pods_proves_what_goes_from_and_to_them(
    choice: Choice, underlay: bool, expected: set[TrafficClass]
) -> None:
    left = {"at": AT, "verdict": "holds", "claims": {"pod-canary": {"holds": 6}}}
    proofs = read_proofs(left, outside=False, underlay=underlay)
    assert proven(cover(choice, proofs)) == dict.fromkeys(expected, Proof(Outcome.HOLDS, AT, 6))


def test_an_audit_alone_proves_nothing() -> None:
    left = {"at": AT, "verdict": "holds", "claims": {"clear": {"holds": 72}}}
    assert read_proofs(left, outside=False) == {}


def test_no_canary_and_no_pair_prove_nothing() -> None:
    assert read_proofs({"at": AT, "verdict": "holds", "claims": {}}, outside=True) == {}
    assert read_proofs(evidence(holds=0, falsified=0, unknown=0), outside=True) == {}


GARBAGE: dict[str, object] = {
    "a list": [],
    "no time": {"claims": {}},
    "a number for a time": {"at": 7, "claims": {}},
    "no time but words": {"at": "yesterday\x1b[31m", "claims": {}},
    "no claims": {"at": AT},
    "claims a list": {"at": AT, "claims": []},
    "a canary without counts": {"at": AT, "claims": {"canary": "holds"}},
    "words": {"at": AT, "claims": {"canary": {"holds": "72"}}},
    "less than nothing": {"at": AT, "claims": {"canary": {"holds": -1}}},
    "a truth value": {"at": AT, "claims": {"canary": {"holds": True}}},
}


@pytest.mark.parametrize("document", GARBAGE.values(), ids=GARBAGE)
def test_evidence_that_makes_no_sense_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_proofs(document, outside=True)
