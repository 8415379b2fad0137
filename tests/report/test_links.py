import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from tests.report.evidence import gather
from tests.report.graph_fleets import large, net, small
from wireloom.observe.state import Unreachable
from wireloom.report.layout import lay_out
from wireloom.report.links import judge_links
from wireloom.report.svg import print_svg
from wireloom.report.tally import Tally, tally
from wireloom.report.tunnels import Way, compose
from wireloom.values import NodeName
from wireloom.verify.claim import Claim, Evidence, Verdict

SVG = "{http://www.w3.org/2000/svg}"
FALSIFIED, UNKNOWN, HOLDS = Verdict.FALSIFIED, Verdict.UNKNOWN, Verdict.HOLDS
CP1, W1 = NodeName("cp1"), NodeName("w1")


def judge(one, *claims, unasked=()):
    """What becomes of a fleet in which all is well but for ``claims``: (kind, source, target, verdict)."""
    said = {claim[:3]: (claim[3], "seen") for claim in claims}
    evidence = gather(net(one), lambda *claim: said.get(claim), unasked)
    return judge_links(compose(net(one), one.sites), evidence)


def marked(links):
    return {key[1:]: state.verdict for key, state in links.lines.items() if state.verdict is not HOLDS}


@pytest.mark.parametrize(
    ("words", "verdicts"),
    [
        ("1 falsified, 2 unknown, 1 holds", [HOLDS, UNKNOWN, FALSIFIED, UNKNOWN]),
        ("2 hold, 1 not tested", [HOLDS, None, HOLDS]),
        ("", []),
    ],
)
def test_a_tally_is_told_in_words(words, verdicts):
    assert words == str(tally(verdicts))


@pytest.mark.parametrize(
    ("worst", "verdicts"),
    [
        (FALSIFIED, [HOLDS, FALSIFIED, UNKNOWN]),
        (UNKNOWN, [HOLDS, UNKNOWN]),
        (HOLDS, [HOLDS, None]),
        (None, [None]),
    ],
)
def test_the_worst_verdict_decides(worst, verdicts):
    assert worst is tally(verdicts).verdict


@pytest.mark.parametrize(("source", "target"), [("cp1", "db1"), ("db1", "cp1")])
def test_a_tunnel_is_as_bad_as_its_worst_claim_in_either_direction(source, target):
    links = judge(
        small(),
        ("mtu", "cp1", "db1", UNKNOWN),
        ("answers", source, target, FALSIFIED),
        ("dial", "cp1", "w1", UNKNOWN),
    )
    assert marked(links) == {("cp1", "db1"): FALSIFIED, ("cp1", "w1"): UNKNOWN}
    assert Tally(falsified=1, unknown=1, holds=13) == links.total


def test_a_tunnel_without_a_claim_was_not_tested():
    claim = Claim("answers", NodeName("cp1"), NodeName("w1"), HOLDS, "")
    links = judge_links(compose(net(small()), small().sites), Evidence((claim,), 1, 30))
    assert Tally(holds=1, untested=14) == links.total


def test_a_bundle_counts_its_tunnels():
    links = judge(large(3, 6), ("answers", "dc0-node-000", "dc1-node-000", FALSIFIED))
    assert Tally(falsified=1, holds=35) == links.lines[Way.PUBLIC, "dc0", "dc1"]
    assert Tally(holds=36) == links.lines[Way.PUBLIC, "dc1", "dc2"]


def test_tunnels_inside_a_site_belong_to_it():
    links = judge(large(3, 6), ("answers", "dc0-node-000", "dc0-node-001", UNKNOWN))
    assert marked(links) == {("dc0", "dc0"): UNKNOWN}


def test_the_line_of_each_of_two_sites_has_what_is_between_them_and_the_total_has_it_once():
    links = judge(large(11, 2, nat_sites=1), ("answers", "dc10-node-000", "dc1-node-000", FALSIFIED))
    assert marked(links) == {("dc10", ""): FALSIFIED, ("", "dc1"): FALSIFIED}
    assert Tally(falsified=1, holds=230) == links.total


@pytest.mark.parametrize(
    ("nodes", "claims"),
    [
        pytest.param({"cp1": FALSIFIED}, [("peers", "cp1", None, FALSIFIED)], id="a claim about it alone"),
        pytest.param({}, [("answers", "cp1", "db1", FALSIFIED)], id="one tunnel of many"),
        pytest.param(
            {"db1": FALSIFIED},
            [("answers", one, "db1", FALSIFIED) for one in ("cp1", "w1", "db2")],
            id="most of its tunnels",
        ),
    ],
)
def test_a_node_is_marked_for(nodes, claims):
    assert nodes == judge(small(), *claims).nodes


def test_a_node_that_could_not_be_asked_is_unknown():
    assert judge(small(), unasked=(Unreachable(NodeName("w1"), "no answer"),)).nodes == {"w1": UNKNOWN}


@pytest.mark.parametrize("one", [small(), large(3, 6), large(11, 2)], ids=["tunnels", "site pairs", "sites"])
def test_what_does_not_hold_has_a_mark_and_not_colour_alone(one):
    first, *_, last = one.nodes
    picture = compose(net(one), one.sites)
    evidence = gather(
        net(one), lambda *claim: (FALSIFIED, "seen") if claim == ("answers", first, last) else None
    )
    root = ElementTree.fromstring(print_svg(lay_out(picture), judge_links(picture, evidence)))
    lines = [path for path in root.iter(f"{SVG}path") if path.get("data-near") is not None]
    bad = [line for line in lines if "falsified" in line.get("class").split()]
    marks = [use for use in root.iter(f"{SVG}use") if use.get("href") == "#wireloom-falsified"]
    assert 1 <= len(bad) <= 2
    assert len(bad) + 1 == len(marks)  # and the legend
    assert all("falsified" in line.find(f"{SVG}title").text for line in bad)
    assert lines[-len(bad) :] == bad  # above all others
    assert "falsified: 1" in [text.text for text in root.iter(f"{SVG}text")]


def test_who_can_not_see_it_is_told_what_does_not_hold():
    picture = compose(net(small()), small().sites)
    evidence = gather(net(small()), lambda *claim: (FALSIFIED, "") if claim == ("mtu", "cp1", "w1") else None)
    root = ElementTree.fromstring(print_svg(lay_out(picture), judge_links(picture, evidence)))
    assert root.find(f"{SVG}desc").text.endswith("Tunnels: 1 falsified, 14 hold. falsified: cp1 ↔ w1.")


def test_where_flannel_makes_the_tunnels_claims_of_the_cluster_are_about_them():
    one = small()
    network = replace(net(one), under=False)
    claims = (
        Claim("pod-canary", CP1, W1, HOLDS, "seen"),
        Claim("pod-way", W1, CP1, FALSIFIED, "goes by eth0"),
        Claim("dns", CP1, None, FALSIFIED, "no answer"),
        Claim("pod-service", CP1, W1, UNKNOWN, "no answer"),
        Claim("flannel-keys", W1, None, UNKNOWN, "no answer"),
    )
    links = judge_links(compose(network, one.sites), Evidence(claims, 0, 0))
    assert marked(links)["cp1", "w1"] is FALSIFIED
    assert links.nodes == {W1: UNKNOWN}
