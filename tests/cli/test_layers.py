"""``advise`` and ``coverage`` as a user has them, and what the other verbs say to what they take."""

import json
from pathlib import Path

import pytest

from tests.cli.command import FLEET
from tests.cli.test_streams import ASCII, shell
from wireloom.cli.main import run
from wireloom.report.documents import evidence_document
from wireloom.report.evidence import write_verdicts
from wireloom.values import NodeName
from wireloom.verify.claim import Claim, Evidence, Verdict

Printed = pytest.CaptureFixture[str]
VERBS = ["advise", "coverage"]


@pytest.mark.parametrize("verb", VERBS)
def test_they_touch_nothing(verb: str, fleet: Path, capsys: Printed) -> None:
    assert run([verb]) == 0
    printed = capsys.readouterr()
    assert (bool(printed.out), printed.err) == (True, "")
    assert list(fleet.parent.iterdir()) == [fleet]


@pytest.mark.parametrize("verb", VERBS)
def test_quietly_they_say_nothing(verb: str, fleet: Path, capsys: Printed) -> None:
    assert run([verb, "-q"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verb", VERBS)
def test_without_unicode_they_are_readable_too(verb: str, fleet: Path) -> None:
    fleet.write_text(f"{FLEET}kubernetes: {{}}\n")
    done = shell(f"wireloom {verb}", fleet.parent, **ASCII)
    told = done.stdout.decode("ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "pod -> internet" in told
    assert "?" not in told


LATER = {
    "underlay, cni: calico": "`calico` is not supported yet",
    "underlay, cni: cilium": "`cilium` is not supported yet",
    "cni, datastore: embedded, cni: cilium": "`cilium` is not supported yet",
}


@pytest.mark.parametrize(("keys", "refused"), LATER.items(), ids=LATER)
def test_what_wireloom_can_not_make_yet_is_taken_by_them_and_refused_by_who_acts(
    keys: str, refused: str, fleet: Path, capsys: Printed
) -> None:
    fleet.write_text(f"{FLEET}kubernetes: {{ encrypt: {keys} }}\n")
    for verb in VERBS:
        assert run([verb]) == 0
    for verb in ("check", "plan", "apply", "verify", "status", "graph", "export"):
        capsys.readouterr()
        assert run([verb, *(["-o", "out"] if verb == "export" else [])]) == 1
        assert f"error: {refused}" in capsys.readouterr().err


def test_what_a_verb_that_acts_refuses_it_says_who_takes(fleet: Path, capsys: Printed) -> None:
    fleet.write_text(f"{FLEET}kubernetes: {{ cni: calico }}\n")
    run(["check"])
    assert capsys.readouterr().err == (
        "fleet.yaml:8:20: error: `calico` is not supported yet\n"
        "    supported: flannel; `wireloom advise` and `wireloom coverage` take it already\n"
    )


def test_advice_on_another_fleet_than_the_one_there_is(fleet: Path, capsys: Printed) -> None:
    assert run(["advise", "--json", "--what-if", "cni=calico", "--what-if", "encrypt=cni"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == 1
    assert (document["recommended"], document["chosen"]) == ("underlay", "cni")
    assert document["assumed"] == {"cni": "calico", "encrypt": "cni"}


def test_the_mtu_is_the_fleets_own(fleet: Path, capsys: Printed) -> None:
    fleet.write_text(f"{FLEET.replace('/24 }', '/24, mtu: 1380 }', 1)}kubernetes: {{}}\n")
    run(["advise", "--json"])
    costs = json.loads(capsys.readouterr().out)["costs"]
    assert {one["way"]: one["pod_mtu"] for one in costs if one["encrypt"] == "underlay"} == {
        "vxlan": 1330,
        "host-gw": 1380,
    }


def test_a_wrong_assumption_is_an_error_with_a_hint(fleet: Path, capsys: Printed) -> None:
    assert run(["advise", "--what-if", "mesh=istio_strict"]) == 1
    assert capsys.readouterr().err.startswith(
        "--what-if: error: `istio_strict` is not a value of mesh: did you mean `istio-strict`?\n"
        "    one of: none, linkerd, "
    )


def test_all_columns(fleet: Path, capsys: Printed) -> None:
    assert run(["coverage", "--all", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["columns"]) == 8
    assert [one["column"] for one in document["columns"] if one["own"]] == ["underlay-vxlan"]


# What verify left behind

EVIDENCE = {
    "at": "2026-11-25T19:00:00Z",
    "verdict": "holds",
    "claims": {"canary": {"holds": 6, "falsified": 0, "unknown": 0}},
}


def leave(directory: Path, evidence: str, under: str = ".wireloom") -> Path:
    path = directory / under / "verified" / "clitest.json"
    path.parent.mkdir(parents=True)
    path.write_text(evidence)
    return path


@pytest.mark.parametrize(
    ("proven", "roles"),
    [
        (["node-to-node"], ["", "", ""]),
        (["node-to-node"], ["k3s-server", "k3s-agent", "k3s-agent"]),
        (["node-to-node", "node-to-outside"], ["k3s-server", "k3s-agent", ""]),
    ],
    ids=["machines", "all in Kubernetes", "one outside"],
)
def test_what_verify_left_is_shown_of_what_this_fleet_has(
    proven: list[str], roles: list[str], fleet: Path, capsys: Printed
) -> None:
    text = FLEET
    for name, role in zip(("cp1", "w1", "db1"), roles, strict=True):
        text = text.replace(f"{name}: {{", f"{name}: {{ roles: [{role}],")
    fleet.write_text(text)
    leave(fleet.parent, json.dumps(EVIDENCE))
    assert run(["coverage", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    told = {one["traffic"]: one["proven"] for one in rows if one["proven"] is not None}
    assert told == {one: {"verdict": "holds", "at": EVIDENCE["at"], "pairs": 6} for one in proven}


@pytest.mark.parametrize(
    "evidence", ["", "{", "[]", "{}", "[" * 100_000, '{"at": "x", "claims": {"canary": 1}}']
)
def test_evidence_that_makes_no_sense_proves_nothing_and_says_so(
    evidence: str, fleet: Path, capsys: Printed
) -> None:
    path = leave(fleet.parent, evidence)
    assert run(["coverage"]) == 0
    printed = capsys.readouterr()
    assert "Not proven here" in printed.out
    assert printed.err.startswith(
        f"{path.relative_to(fleet.parent)}: warning: the verdicts of the last verify can't be read"
    )
    assert "`wireloom verify` writes it anew" in printed.err


def test_what_verify_writes_is_what_coverage_reads(fleet: Path, capsys: Printed) -> None:
    pair = (NodeName("cp1"), NodeName("w1"))
    evidence = Evidence((Claim("canary", *pair, Verdict.HOLDS, "24 of 24"),), 1, 1)
    written = evidence_document(evidence, "2026-11-25T19:00:00+00:00")
    write_verdicts(fleet.parent / ".wireloom" / "verified" / "clitest.json", written)
    assert run(["coverage"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "2026-11-25T19:00:00+00:00: holds, on 1 pair of nodes." in printed.out


def test_what_is_proven_of_a_twin_is_not_proven_of_the_fleet(fleet: Path, capsys: Printed) -> None:
    leave(fleet.parent, json.dumps(EVIDENCE), ".wireloom/lab")
    for words, proven in (([], False), (["--lab"], True)):
        assert run(["coverage", *words]) == 0
        assert ("holds, 2026-11-25" in capsys.readouterr().out) is proven


def test_evidence_that_can_not_be_read_is_no_traceback(fleet: Path, capsys: Printed) -> None:
    (fleet.parent / ".wireloom" / "verified" / "clitest.json").mkdir(parents=True)
    assert run(["coverage"]) == 0
    assert "Is a directory" in capsys.readouterr().err
