import pytest

from wireloom.report.trouble import gather_troubles
from wireloom.values import NodeName
from wireloom.verify.claim import Claim, PacketSeen, Verdict


def claim(source, target, verdict=Verdict.FALSIFIED, detail="seen", packets=()):
    return Claim("answers", NodeName(source), target and NodeName(target), verdict, detail, packets)


def told(*claims, unasked=()):
    return [
        (
            one.verdict.value,
            one.detail,
            [(", ".join(it.sources), ", ".join(it.targets)) for it in one.subjects],
        )
        for one in gather_troubles(claims, set(unasked))
    ]


@pytest.mark.parametrize(
    ("subjects", "pairs"),
    [
        pytest.param([("a", "b, c")], [("a", "b"), ("a", "c")], id="from one node"),
        pytest.param([("a, b", "c")], [("a", "c"), ("b", "c")], id="to one node"),
        pytest.param([("a", "b"), ("b", "a")], [("a", "b"), ("b", "a")], id="there and back"),
        pytest.param([("a, b", "")], [("a", None), ("b", None)], id="about nodes alone"),
    ],
)
def test_what_was_seen_alike_is_told_once(subjects, pairs):
    assert told(*(claim(*pair) for pair in pairs)) == [("falsified", "seen", subjects)]


def test_what_holds_is_left_out_and_the_falsified_comes_first():
    assert told(
        claim("a", "b", Verdict.HOLDS), claim("a", "c", Verdict.UNKNOWN, "cut short"), claim("a", "d")
    ) == [("falsified", "seen", [("a", "d")]), ("unknown", "cut short", [("a", "c")])]


def test_claims_of_a_node_that_could_not_be_asked_are_left_out():
    assert told(claim("a", "b", Verdict.UNKNOWN), claim("b", "a"), unasked=["a"]) == [
        ("falsified", "seen", [("b", "a")])
    ]


def test_what_others_found_wrong_with_a_node_that_could_not_be_asked_is_told():
    assert told(claim("a", None, detail="not Ready"), unasked=["a"]) == [
        ("falsified", "not Ready", [("a", "")])
    ]


def test_some_packets_of_all_are_shown_and_the_rest_counted():
    packets = tuple(PacketSeen(at, NodeName("a"), "eth0", True, "UDP", 100) for at in range(10))
    (trouble,) = gather_troubles([claim("a", "b", packets=packets), claim("a", "c", packets=packets)], set())
    assert (trouble.packets, trouble.more_packets) == ((*packets, *packets[:2]), 8)
