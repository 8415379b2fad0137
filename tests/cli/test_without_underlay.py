"""Every verb with a fleet whose network plugin alone encrypts, and whose file has no `underlay:`."""

import json
from pathlib import Path

import pytest

from wireloom.cli.main import run

Printed = pytest.CaptureFixture[str]

ACROSS = """\
fleet: across
sites: { fsn: { private: [10.0.0.0/16] }, ams: {} }
nodes:
  cp1: { site: fsn, ssh: root@127.0.0.1:1, public: [203.0.113.10], private: [10.0.0.2], roles: [k3s-server] }
  w1: { site: ams, ssh: root@127.0.0.1:2, public: [198.51.100.21], roles: [k3s-agent] }
kubernetes: { version: v1.34.2+k3s1, encrypt: cni }
"""


OTHERS = ACROSS.replace("version: v1.34.2+k3s1, ", "")
"""Somebody else installs k3s there."""


@pytest.fixture(autouse=True)
def across(here: Path) -> Path:
    """The directory with that file in it; no machine of it answers."""
    (here / "fleet.yaml").write_text(ACROSS)
    return here


def test_check_says_that_none_is_made(capsys: Printed) -> None:
    assert run(["check"]) == 0
    made = "no underlay (`encrypt: cni`), k3s v1.34.2+k3s1 on 1 server and 1 agent"
    assert capsys.readouterr() == (f"fleet.yaml: fine. 2 nodes in 2 sites, {made}\n", "")


@pytest.mark.parametrize("words", [["check", "--json"], ["graph", "--json"]], ids=" ".join)
def test_the_network_as_data_is_flannels(words: list[str], capsys: Printed) -> None:
    assert run(words) == 0
    document = json.loads(capsys.readouterr().out)
    network = document.get("network", document)
    assert (network["interface"], network["ranges"]) == ("flannel-wg", ["10.42.0.0/16"])
    assert [one["endpoint"] for one in network["nodes"]["cp1"]["peers"]] == ["198.51.100.21:51820"]


def test_graph_draws_flannels_tunnels(capsys: Printed) -> None:
    assert run(["graph", "--format", "dot"]) == 0
    drawn = capsys.readouterr().out
    assert r"flannel-wg · pods 10.42.0.0/16\nUDP 51820 · MTU 1420\n2 nodes · 1 tunnel" in drawn
    assert '"node cp1" -> "node w1"' in drawn


NOT_MADE = {
    "export -o files --keys keys": "flannel makes its tunnels and keys itself, and `wireloom graph` draws",
    "recover": "what the lock has of such a fleet comes back by itself",
    "rollback": "what an earlier one left is left alone, and k3s does not go back",
}


@pytest.mark.parametrize(("words", "hint"), NOT_MADE.items(), ids=NOT_MADE)
def test_what_is_about_an_underlay_is_refused_before_anything_is_done(
    words: str, hint: str, across: Path, capsys: Printed
) -> None:
    assert run(words.split()) == 1
    told = capsys.readouterr().err
    assert told.startswith("fleet.yaml: error: no underlay is made (`encrypt: cni`)\n")
    assert hint in told
    assert [one.name for one in across.iterdir()] == ["fleet.yaml"]


ABOUT_UNDERLAYS = {
    "an audit": (["--audit", "30s"], ["--audit"]),
    "a disruption": (["--disrupt", "cp1"], ["--disrupt"]),
    "both": (["--audit", "30s", "--disrupt", "nobody"], ["--audit", "--disrupt"]),
}


@pytest.mark.parametrize(("words", "refused"), ABOUT_UNDERLAYS.values(), ids=ABOUT_UNDERLAYS)
def test_verify_takes_no_option_that_is_about_an_underlay(
    words: list[str], refused: list[str], capsys: Printed
) -> None:
    assert run(["verify", "--json", *words]) == 1
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert [one["where"] for one in errors] == refused
    assert {one["what"] for one in errors} == {"this is about an underlay, and none is made (`encrypt: cni`)"}


TO_MACHINES = {
    "check --nodes": 1,
    "plan": 1,
    "apply --yes": 1,
    "verify": 1,
    "status": 1,
    "history": 1,
    "exporter --once": 0,
    "k3s status": 1,
    "k3s kubeconfig -o -": 1,
    "k3s remove w1 --yes": 1,
    "k3s uninstall --yes-i-mean across": 2,
}


@pytest.mark.parametrize(("words", "code"), TO_MACHINES.items(), ids=TO_MACHINES)
def test_what_is_for_machines_that_do_not_answer_says_so(words: str, code: int, capsys: Printed) -> None:
    assert run(words.split()) == code
    told = "".join(capsys.readouterr())
    assert "127.0.0.1" in told or "no server tells of the cluster" in told
    assert "wg0" not in told


def test_verify_says_when_there_was_nothing_to_test(across: Path, capsys: Printed) -> None:
    (across / "fleet.yaml").write_text(OTHERS)
    assert run(["verify"]) == 1
    told = capsys.readouterr()
    assert "Verdict: unknown" in told.out
    assert "Nothing was tested: no underlay is made (`encrypt: cni`), and no cluster was found." in told.err


def test_status_names_the_verb_for_a_cluster_only_where_there_is_one(across: Path, capsys: Printed) -> None:
    for text, end in ((ACROSS, ": `wireloom k3s status` shows the cluster.\n"), (OTHERS, ".\n")):
        (across / "fleet.yaml").write_text(text)
        assert run(["status"]) == 1
        assert capsys.readouterr().err.endswith(f"No underlay is wanted (`encrypt: cni`){end}")
