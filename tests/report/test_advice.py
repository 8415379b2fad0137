"""The text of ``advise`` on terminals and in a pipe, and its JSON."""

import json

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.advise.fleets import HOME, MACHINES, PRIVATE, PUBLIC, advice_on, cluster
from wireloom.advise.advice import Advice
from wireloom.advise.choice import Layer
from wireloom.report.advice import MEANINGS, advice_document, draw_advice, show_advice

SHOWN: dict[str, tuple[Advice, dict[str, str]]] = {
    "public": (advice_on(PUBLIC), {}),
    "private": (advice_on(PRIVATE, "egress_firewall=yes"), {"egress_firewall": "yes"}),
    "a choice that does not work": (advice_on(cluster(HOME, "encrypt: cni")), {}),
    "both on Cilium": (
        advice_on(cluster(PUBLIC, "cni: cilium"), "two_layers=yes"),
        {"two_layers": "yes"},
    ),
    "machines": (advice_on(MACHINES), {}),
}


def draw(name: str, width: int | None) -> str:
    return "\n".join(line.plain for line in draw_advice(*SHOWN[name], width)) + "\n"


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("name", SHOWN)
def test_on_a_terminal(name: str, width: int, snapshot: SnapshotAssertion) -> None:
    assert snapshot == draw(name, width)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", SHOWN)
def test_no_line_is_too_long_but_for_an_address_that_is(name: str, width: int) -> None:
    assert [
        line for line in draw(name, width).splitlines() if len(line) > width and "https://" not in line
    ] == []


@pytest.mark.parametrize("name", SHOWN)
def test_in_a_pipe_nothing_is_wrapped(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_advice(*SHOWN[name])
    printed = capsys.readouterr().out
    assert printed == draw(name, None)
    assert printed.split() == draw(name, 60).split()


def test_the_answer_comes_first() -> None:
    assert draw("private", None).splitlines()[:3] == [
        "Use cni: WireGuard in Kubernetes' network plugin.",
        "The fleet has encrypt: underlay.",
        "Assumed: egress_firewall=yes.",
    ]


def test_a_choice_that_is_ruled_out_is_called_so() -> None:
    assert "The fleet has encrypt: cni, which does not work here." in draw(
        "a choice that does not work", None
    )
    agreed = draw("public", None)
    assert "The fleet has it so: encrypt: underlay." in agreed


def test_every_layer_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Layer)


# JSON


def test_the_document(snapshot: SnapshotAssertion) -> None:
    assert snapshot == json.dumps(advice_document("private", *SHOWN["private"]), indent=2)


@pytest.mark.parametrize("name", SHOWN)
def test_what_the_document_names_it_also_spells_out(name: str) -> None:
    document = advice_document("x", *SHOWN[name])
    assert document["rules"]
    for one in (*document["rules"], *document["costs"]):
        assert one["sources"]
        assert set(one["sources"]) <= set(document["sources"])
    assert json.loads(json.dumps(document)) == document
