"""From what a node said to verdicts: a claim holds only where there is evidence that it does."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apply.pair import OTHER_KEY
from tests.verify.test_ping import (
    ANSWERED,
    BUSYBOX,
    BUSYBOX_TOO_LONG,
    NO_SESSION,
    NO_SUMMARY,
    SILENCE,
    TOO_LONG_HERE,
    TOO_LONG_THERE,
)
from tests.verify.test_probe import DUAL, SINGLE, WAITING, peer
from wireloom.network.network import Network, Peer
from wireloom.values import NodeName, PublicKey
from wireloom.verify.claim import Claim, Verdict
from wireloom.verify.judge import judge, read_report, unknown

A = NodeName("a")
THIRD_KEY = PublicKey("dGhpcyBpcyBub2JvZHkncyBrZXkgYXQgYWxsLCAzMmI=")
NOW = 1_700_000_000


def line(text: str) -> str:
    return text.replace("\n", " ")


def peer_line(*, key: object = OTHER_KEY, endpoint: str = "192.0.2.2:51820", age: int | None = 5) -> str:
    handshake = 0 if age is None else NOW - age
    return "\t".join([f"peer {key}", "(none)", endpoint, "10.99.0.2/32", str(handshake), "1", "2", "off"])


GOOD = {
    "ping": f"ping 0 {line(ANSWERED)}",
    "full": f"full 0 {line(ANSWERED)}",
    "small": f"small 0 {line(ANSWERED)}",
    "peer": peer_line(),
    "listed": "listed 1 peers",
    "now": f"now {NOW} seconds",
}
B = peer("b", "10.99.0.2")


def network_of(peers: tuple[Peer, ...], mtu: int = 1440) -> Network:
    return Network("shop", "wg0", 51820, mtu, (), (), None, {}, {A: peers})


def claims(*lines: str, peers: tuple[Peer, ...] = (B,), mtu: int = 1440) -> dict[str, Claim]:
    report = read_report("\n".join(lines))
    return {one.claim: one for one in judge(A, peers, report, network_of(peers, mtu))}


def told(kind: str, **changed: str) -> tuple[str, str]:
    """The verdict and detail of one claim, where the rest of the report is good."""
    claim = claims(*(GOOD | changed).values())[kind]
    return str(claim.verdict), claim.detail


ANSWERS = {
    "all": (("holds", "3 of 3 answered, 0.1 ms"), f"ping 0 {line(ANSWERED)}"),
    "all, by another way": (
        ("falsified", "goes by eth1 and not by the underlay, as `ip route get` says there"),
        f"ping 0 astray eth1 {line(ANSWERED)}",
    ),
    "some": (("holds", "2 of 3 answered, 0.1 ms"), f"ping 0 {line(BUSYBOX)}"),
    "none": (("falsified", "0 of 3 answered"), f"ping 0 {line(SILENCE)}"),
    "no session": (("falsified", "0 of 3 answered"), f"ping 0 {line(NO_SESSION)}"),
    "no route": (("falsified", NO_SUMMARY["the fence"]), f"ping 0 {NO_SUMMARY['the fence']}"),
    "no network": (("falsified", NO_SUMMARY["no network"]), f"ping 0 {NO_SUMMARY['no network']}"),
    "no ping there": (("unknown", NO_SUMMARY["not there"]), f"ping 0 {NO_SUMMARY['not there']}"),
    "ping not allowed": (
        ("unknown", line(NO_SUMMARY["not allowed"])),
        f"ping 0 {line(NO_SUMMARY['not allowed'])}",
    ),
    "cut": (("unknown", NO_SUMMARY["cut"]), f"ping 0 {NO_SUMMARY['cut']}"),
    "said nothing": (("unknown", "ping said nothing"), "ping 0 "),
    "nothing sent": (("unknown", "no ping was sent"), "ping 0 0 packets transmitted, 0 received"),
    "not run": (("unknown", "the pings were not run"), ""),
    "garbled": (("unknown", "the pings were not run"), "ping zero 3 packets transmitted, 3 received"),
}

HANDSHAKES = {
    "fresh": (("holds", "5 s ago with 192.0.2.2:51820"), peer_line()),
    "just alive": (("holds", "180 s ago with 192.0.2.2:51820"), peer_line(age=180)),
    "dead": (("falsified", "the last handshake is 181 s old: the session is dead"), peer_line(age=181)),
    "of the future": (("holds", "0 s ago with 192.0.2.2:51820"), peer_line(age=-3)),
    "never": (("falsified", "no handshake ever"), peer_line(age=None)),
    "no such peer": (("falsified", f"no peer with the key {OTHER_KEY} on the interface"), ""),
    "elsewhere": (
        ("falsified", "goes to 198.51.100.9:51820, planned was 192.0.2.2:51820: apply mends it"),
        peer_line(endpoint="198.51.100.9:51820"),
    ),
    "nowhere": (
        ("falsified", "goes nowhere, planned was 192.0.2.2:51820: apply mends it"),
        peer_line(endpoint="(none)"),
    ),
    "garbled": (("unknown", "a part of the answer makes no sense"), f"peer {OTHER_KEY}\tnonsense"),
}

SMALL_LOST = f"small 0 {line(SILENCE)}"
MTUS = {
    "carried": (("holds", "the path carries 1500 bytes"), {}),
    "carried once of twice": (("holds", "the path carries 1500 bytes"), {"full": f"full 0 {line(BUSYBOX)}"}),
    "with room for more": (
        ("holds", "the path carries 1500 bytes, and 9001: room for `mtu: 8941`"),
        {"large": f"large 0 9001 {line(ANSWERED)}"},
    ),
    "more than the path carries": (
        ("holds", "the path carries 1500 bytes"),
        {"large": f"large 0 9001 {line(SILENCE)}"},
    ),
    "too little, and room for more": (
        ("falsified", "the path carries only 1300 of 1500 bytes: set `mtu: 1240` under `underlay:`"),
        {"full": f"full 0 {line(TOO_LONG_HERE)}", "large": f"large 0 9001 {line(ANSWERED)}"},
    ),
    "refused here": (
        ("falsified", "the path carries only 1300 of 1500 bytes: set `mtu: 1240` under `underlay:`"),
        {"full": f"full 0 {line(TOO_LONG_HERE)}"},
    ),
    "refused on the way": (
        ("falsified", "the path carries only 1400 of 1500 bytes: set `mtu: 1340` under `underlay:`"),
        {"full": f"full 0 {line(TOO_LONG_THERE)}"},
    ),
    "refused without a number": (
        ("falsified", "the path carries less than 1500 bytes"),
        {"full": f"full 0 {line(BUSYBOX_TOO_LONG)}"},
    ),
    "a black hole": (
        ("falsified", "1500 bytes get lost, small packets pass: a black hole; a smaller `mtu:` mends it"),
        {"full": f"full 0 {line(SILENCE)}"},
    ),
    "no ICMP at all": (
        ("unknown", "nothing answers to ICMP beside the tunnel: the size was not tested"),
        {"full": f"full 0 {line(SILENCE)}", "small": SMALL_LOST},
    ),
    "full not run": (("unknown", "the pings beside the tunnel were not run"), {"full": ""}),
    "small not run": (("unknown", "the pings beside the tunnel were not run"), {"small": ""}),
    "full cut": (
        ("unknown", "the pings beside the tunnel were not run"),
        {"full": f"full 0 {NO_SUMMARY['cut']}"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "ping"), ANSWERS.values(), ids=ANSWERS)
def test_answers(expected: tuple[str, str], ping: str) -> None:
    assert expected == told("answers", ping=ping)


@pytest.mark.parametrize(("expected", "seen"), HANDSHAKES.values(), ids=HANDSHAKES)
def test_handshakes(expected: tuple[str, str], seen: str) -> None:
    assert expected == told("handshake", peer=seen)


@pytest.mark.parametrize(("expected", "changed"), MTUS.values(), ids=MTUS)
def test_sizes(expected: tuple[str, str], changed: dict[str, str]) -> None:
    assert expected == told("mtu", **changed)


def test_a_handshake_can_not_be_dated_without_the_time() -> None:
    assert told("handshake", now="") == ("unknown", "the answer was cut short")


def test_a_peer_without_a_known_key_is_not_judged() -> None:
    keyless = Peer(NodeName("b"), None, B.endpoint, B.allowed_ips)
    claim = claims(*GOOD.values(), peers=(keyless,))["handshake"]
    assert (str(claim.verdict), claim.detail) == ("unknown", "the lock has no key for it yet: apply first")


def test_while_the_port_changes_a_peer_may_be_at_either() -> None:
    assert B.endpoint is not None
    other = peer_line(endpoint=f"{B.endpoint.address}:4500")
    report = read_report("\n".join([*GOOD.values(), other]))
    verdicts = [
        str(one.verdict)
        for also in (None, 4500)
        for one in judge(A, [B], report, replace(network_of((B,)), also=also))
        if one.claim == "handshake"
    ]
    assert verdicts == ["falsified", "holds"]


def test_who_is_not_dialled_may_come_from_anywhere() -> None:
    roamed = peer_line(endpoint="198.51.100.9:4711")
    assert str(claims(*GOOD.values(), roamed, peers=(WAITING,))["handshake"].verdict) == "holds"


def test_who_is_not_dialled_has_no_path_to_be_measured() -> None:
    assert set(claims(*GOOD.values(), peers=(WAITING,))) == {"answers", "handshake", "peers"}


BOTH = {
    "both": ("holds", ANSWERED, ANSWERED),
    "only IPv4": ("falsified", ANSWERED, SILENCE),
    "only IPv6": ("falsified", SILENCE, ANSWERED),
    "one silent, one not told": ("falsified", SILENCE, NO_SUMMARY["cut"]),
    "one good, one not told": ("unknown", ANSWERED, NO_SUMMARY["cut"]),
}


@pytest.mark.parametrize(("expected", "first", "second"), BOTH.values(), ids=BOTH)
def test_each_family_must_answer(expected: str, first: str, second: str) -> None:
    lines = (f"ping 0 {line(first)}", f"ping 0 {line(second)}")
    assert expected == str(claims(*lines, peers=(DUAL,))["answers"].verdict)


def test_one_family_that_was_not_tested_leaves_it_open() -> None:
    assert str(claims(GOOD["ping"], peers=(DUAL,))["answers"].verdict) == "unknown"


def test_an_ipv6_path_is_measured_with_its_own_overhead() -> None:
    too_long = line(TOO_LONG_THERE)
    claim = claims(f"full 0 {too_long}", GOOD["small"], peers=(DUAL,), mtu=1420)["mtu"]
    assert claim.detail == "the path carries only 1400 of 1500 bytes: set `mtu: 1320` under `underlay:`"


PEERS = {
    "as planned": (("holds", "1 peer, all of the plan"), GOOD["peer"]),
    "a stranger": (
        (
            "falsified",
            f"{THIRD_KEY} at 192.0.2.9:51820, last handshake 7 s ago, 1 byte received:"
            " none of the plan's; apply takes it away",
        ),
        f"{GOOD['peer']}\n{peer_line(key=THIRD_KEY, endpoint='192.0.2.9:51820', age=7)}",
    ),
    "a stranger that was never there": (
        (
            "falsified",
            f"{THIRD_KEY} at no endpoint, never a handshake: none of the plan's; apply takes it away",
        ),
        peer_line(key=THIRD_KEY, endpoint="(none)", age=None),
    ),
    "a line cut short": (("unknown", "a part of the answer is missing"), "peer abc"),
    "none of one": (("unknown", "a part of the answer is missing"), ""),
}


@pytest.mark.parametrize(("expected", "lines"), PEERS.values(), ids=PEERS)
def test_peers(expected: tuple[str, str], lines: str) -> None:
    assert told("peers", peer=lines) == expected


def test_each_peer_is_judged_by_its_own_lines() -> None:
    report = read_report("\n".join([*GOOD.values(), f"ping 1 {line(SILENCE)}"]))
    found = {
        (one.target, str(one.verdict))
        for one in judge(A, (B, SINGLE), report, network_of((B, SINGLE)))
        if one.claim == "answers"
    }
    assert found == {("b", "holds"), ("c", "falsified")}


def test_a_node_that_can_not_be_asked_leaves_its_claims_open() -> None:
    found = list(unknown(A, (B, WAITING), "no answer"))
    assert [(one.claim, one.target) for one in found] == [
        ("answers", "b"), ("handshake", "b"), ("mtu", "b"), ("answers", "d"), ("handshake", "d"),
        ("peers", None),
    ]  # fmt: skip
    assert {(one.verdict, one.detail) for one in found} == {(Verdict.UNKNOWN, "no answer")}


def test_silence_is_no_evidence() -> None:
    assert {one.verdict for one in claims(peers=(B,)).values()} == {Verdict.UNKNOWN}


REPORT_LINES = st.lists(
    st.sampled_from(
        [
            *GOOD.values(),
            f"ping 0 {line(SILENCE)}",
            f"full 0 {line(TOO_LONG_HERE)}",
            f"full 0 {line(SILENCE)}",
            SMALL_LOST,
            peer_line(age=500),
            peer_line(endpoint="198.51.100.9:1"),
            "ping 0 nonsense",
            "peer nonsense",
            "nonsense",
        ]
    ),
    unique=True,
    max_size=8,
)


def cut(report: dict[str, str], length: int) -> dict[str, Claim]:
    return claims("\n".join(report.values())[:length])


@given(st.integers(0, len("\n".join(GOOD.values())) - 1))
def test_a_good_report_cut_anywhere_leaves_open_what_is_missing(length: int) -> None:
    found = {kind: claim.verdict for kind, claim in cut(GOOD, length).items()}
    assert set(found.values()) <= {Verdict.HOLDS, Verdict.UNKNOWN}
    assert found["handshake"] is Verdict.UNKNOWN


BAD = {
    "ping": f"ping 0 {line(SILENCE)}",
    "full": f"full 0 {line(SILENCE)}",
    "small": GOOD["small"],
    "peer": peer_line(age=500),
    "now": GOOD["now"],
}


@given(st.integers(0, len("\n".join(BAD.values()))))
def test_a_bad_report_cut_anywhere_never_holds(length: int) -> None:
    assert Verdict.HOLDS not in {claim.verdict for claim in cut(BAD, length).values()}


@given(REPORT_LINES, st.integers(0, 7))
def test_taking_a_line_away_never_makes_an_open_claim_hold(lines: list[str], place: int) -> None:
    """What an unknown lacks is not had by having less; lines that say the opposite come one to a kind."""
    one_of_each: dict[str, str] = {}
    for one in lines:
        one_of_each.setdefault(one.split(" ")[0], one)
    before = claims(*one_of_each.values())
    fewer = [one for number, one in enumerate(one_of_each.values()) if number != place]
    for kind, claim in claims(*fewer).items():
        assert claim.verdict is not Verdict.HOLDS or before[kind].verdict is Verdict.HOLDS


@given(st.text())
def test_no_report_breaks_it(text: str) -> None:
    assert {one.verdict for one in claims(text).values()} <= set(Verdict)


@given(
    st.text(alphabet="\t :./0123456789abcdef[]()=nopeiglru"), st.sampled_from(["peer", "ping", "now", "full"])
)
def test_no_line_breaks_it(rest: str, kind: str) -> None:
    assert set(claims(f"{kind} {rest}")) == {"answers", "handshake", "mtu", "peers"}
