"""From what was captured on the machines to verdicts: nothing holds for lack of evidence."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verify.frames import DEVICES, ICMP, TCP, UDP, capture, frame, ipv4, udp
from tests.verify.test_probe import peer
from wireloom.network.network import Peer
from wireloom.values import NodeName
from wireloom.verify.canary import Canary, Chosen, Passport, Purpose, beside, inside
from wireloom.verify.claim import Claim, Verdict
from wireloom.verify.packets import DATA, Packet, read_capture
from wireloom.verify.wire import Sender, Watch, gather, judge_closed, judge_wire

A, B = NodeName("a"), NodeName("b")
CHOSEN = Chosen(bytes.fromhex("a55a001122334455"), 640, 50001)
FULL = 1440
PEERS = {
    A: peer("a", "10.99.0.1", endpoint="192.0.2.1:51820"),
    B: peer("b", "10.99.0.2", endpoint="192.0.2.2:51820"),
}
PROTOCOLS = {"icmp": ICMP, "tcp": TCP, "udp": UDP, "user": UDP}
USER = 1000


@dataclass(frozen=True, slots=True)
class Seen:
    """A packet in a capture, with what it is of: a canary of its sender, a message, or a fragment."""

    node: NodeName
    packet: Packet
    canary: Canary | None = None

    @property
    def beside(self) -> bool:
        return self.packet.device not in {"wg0", "lo"}


@dataclass(frozen=True, slots=True)
class Run:
    """Two nodes, what they sent, and what was captured."""

    senders: dict[NodeName, Sender]
    seen: tuple[Seen, ...]
    faults: dict[NodeName, str]
    watched: frozenset[NodeName] = frozenset({A, B})

    def claims(self, source: NodeName = A) -> dict[str, Claim]:
        watches = {
            node: Watch([one.packet for one in self.seen if one.node == node], self.faults.get(node, ""))
            for node in sorted(self.watched)
        }
        wire = gather("wg0", CHOSEN, watches, self.senders)
        target = B if source == A else A
        return {one.claim: one for one in judge_wire(source, [PEERS[target]], self.senders[source], wire)}

    def told(self, kind: str) -> tuple[str, str]:
        claim = self.claims()[kind]
        return str(claim.verdict), claim.detail

    def without(self, lost: Callable[[Seen], bool]) -> "Run":
        return replace(self, seen=tuple(one for one in self.seen if not lost(one)))

    def with_seen(self, *more: Seen) -> "Run":
        return replace(self, seen=(*self.seen, *more))

    def with_fault(self, node: NodeName, fault: str) -> "Run":
        return replace(self, faults={**self.faults, node: fault})

    def with_sender(self, **changed: Any) -> "Run":
        """What is known of a's sending is otherwise."""
        return replace(self, senders={**self.senders, A: replace(self.senders[A], **changed)})

    def refused(self, node: NodeName, why: str, *purposes: Purpose) -> "Run":
        """The kernel of a node takes nothing for these purposes."""
        sender = self.senders[node]
        mine = [one for one in sender.told if sender.canaries[one.number].purpose in purposes]
        marked = {sender.canaries[one.number] for one in mine}
        told = {**sender.told, **dict.fromkeys(mine, why)}
        spoilt = replace(self, senders={**self.senders, node: replace(sender, told=told)})
        return spoilt.without(lambda one: one.canary in marked)


def sender(node: NodeName, to: Peer) -> Sender:
    marker = CHOSEN.run + node.encode() * 24
    canaries = [
        *inside(to, marker, CHOSEN, [("tcp", 22)], FULL),
        *beside(to, marker[:-1] + b"!", CHOSEN, to.endpoint),
    ]
    told = {
        Passport(one.marker, number, USER if one.protocol == "user" else 0): ""
        for number, one in enumerate(canaries)
    }
    return Sender(canaries, told, {to.name: to.endpoint})


def sighting(
    node: NodeName, device: str, one: Canary, number: int, *, outgoing: bool, source: str, at: float = 1.0
) -> Seen:
    user = USER if one.protocol == "user" else 0
    payload = one.marker + number.to_bytes(4) + user.to_bytes(4)
    port = 50123 if one.port else 0
    packet = Packet(
        at, device, outgoing, ip_address(source), one.address, PROTOCOLS[one.protocol], port, one.port,
        one.length, payload, fragment=False,
    )  # fmt: skip
    return Seen(node, packet, one)


def message(node: NodeName, outgoing: bool, source: str, target: str) -> Seen:
    length = 60 + CHOSEN.length
    packet = Packet(
        1.0, "eth0", outgoing, ip_address(source), ip_address(target), UDP, 51820, 51820, length, DATA,
        fragment=False,
    )  # fmt: skip
    return Seen(node, packet)


def piece(node: NodeName, outgoing: bool, source: str, target: str, *, port: int) -> Seen:
    packet = Packet(
        1.0, "eth0", outgoing, ip_address(source), ip_address(target), UDP, port, port, 1500, b"",
        fragment=True,
    )  # fmt: skip
    return Seen(node, packet)


def good() -> Run:
    """Everything arrives, through the tunnel or beside it as it should."""
    senders = {A: sender(A, PEERS[B]), B: sender(B, PEERS[A])}
    seen: list[Seen] = []
    for source, target, ends in ((A, B, ("1", "2")), (B, A, ("2", "1"))):
        near, far = (f"192.0.2.{end}" for end in ends)
        for number, one in enumerate(senders[source].canaries):
            within = one.purpose.way == "inside"
            device, address = ("wg0", f"10.99.0.{ends[0]}") if within else ("eth0", near)
            seen.append(sighting(source, device, one, number, outgoing=True, source=address))
            seen.append(sighting(target, device, one, number, outgoing=False, source=address))
            if one.purpose is Purpose.INSIDE:
                seen.append(message(source, True, near, far))
                seen.append(message(target, False, near, far))
    return Run(senders, tuple(seen), {})


GOOD = good()


def of(source: NodeName, *purposes: Purpose, at: NodeName | None = None) -> Callable[[Seen], bool]:
    """What a node sent for a purpose, as it was seen everywhere or at one node."""
    mine = {one for one in GOOD.senders[source].canaries if one.purpose in purposes}
    return lambda one: one.canary in mine and (at is None or one.node == at)


def number_of(purpose: Purpose, protocol: str, port: int = 0) -> tuple[int, Canary]:
    return next(
        (number, one)
        for number, one in enumerate(GOOD.senders[A].canaries)
        if (one.purpose, one.protocol) == (purpose, protocol) and port in {0, one.port}
    )


def leak(purpose: Purpose, protocol: str, port: int = 0, *, node: NodeName = A, device: str = "eth0") -> Seen:
    number, one = number_of(purpose, protocol, port)
    return sighting(node, device, one, number, outgoing=node == A, source="192.0.2.1")


def only(protocol: str) -> Callable[[Seen], bool]:
    """What a capture with a filter for one protocol does not see on a."""
    return lambda one: one.node == A and one.packet.protocol != PROTOCOLS[protocol]


def is_message(one: Seen) -> bool:
    return one.packet.is_wireguard_data


TUNNEL_IN = "did not go into the tunnel at a"
LOST = "went into the tunnel at a and did not come out at b"
NO_CONTROL = "no control beside the tunnel was seen on"
TCP_22 = number_of(Purpose.INSIDE, "tcp", 22)[1]

CANARY = {
    "all is well": (
        "holds",
        "11 kinds of packets came out of the tunnel, 11 messages to 192.0.2.2:51820 carried them,"
        " nothing in clear",
        GOOD,
    ),
    "in clear where it left": (
        "falsified",
        "in clear on eth0 of a: tcp port 22",
        GOOD.with_seen(leak(Purpose.INSIDE, "tcp", 22)),
    ),
    "in clear where it arrived": (
        "falsified",
        "in clear on eth1 of b: icmp",
        GOOD.with_seen(leak(Purpose.INSIDE, "icmp", node=B, device="eth1")),
    ),
    "in clear as a user": (
        "falsified",
        "in clear on eth0 of a: udp as user 1000",
        GOOD.with_seen(leak(Purpose.INSIDE, "user")),
    ),
    "in clear if it is large": (
        "falsified",
        "in clear on eth0 of a: icmp",
        GOOD.with_seen(leak(Purpose.FULL, "icmp")),
    ),
    "in clear, many": (
        "falsified",
        "in clear on eth0 of a: icmp, udp port 50001, tcp port 22 and 1 more",
        GOOD.with_seen(
            leak(Purpose.INSIDE, "icmp"),
            leak(Purpose.INSIDE, "udp"),
            leak(Purpose.INSIDE, "tcp", 22),
            leak(Purpose.INSIDE, "tcp", 6443),
        ),
    ),
    "in clear, though nothing else is known": (
        "falsified",
        "in clear on eth0 of a: icmp",
        replace(GOOD.with_fault(A, "tcpdump lost 3 packets"), seen=(leak(Purpose.INSIDE, "icmp"),)),
    ),
    "in clear, and the sender's answer got lost": (
        "falsified",
        "in clear on eth0 of a: icmp",
        GOOD.with_seen(leak(Purpose.INSIDE, "icmp")).with_sender(told={}, fault="no answer within 30 s"),
    ),
    "the sender's answer got lost": (
        "unknown",
        "no answer within 30 s",
        replace(
            GOOD,
            senders={**GOOD.senders, A: replace(GOOD.senders[A], told={}, fault="no answer within 30 s")},
        ),
    ),
    "on the loopback": ("holds", None, GOOD.with_seen(leak(Purpose.INSIDE, "icmp", device="lo"))),
    "the sender failed half way": (
        "unknown",
        "the sender failed: killed",
        GOOD.with_sender(fault="the sender failed: killed"),
    ),
    "no control": (
        "unknown",
        f"{NO_CONTROL} a: its capture proves nothing",
        GOOD.without(of(A, Purpose.CONTROL, at=A)),
    ),
    "every control refused": (
        "unknown",
        f"{NO_CONTROL} a: its capture proves nothing",
        GOOD.refused(A, "Operation not permitted", Purpose.CONTROL),
    ),
    "a capture that sees pings alone": (
        "unknown",
        "no control over udp, no control over tcp was seen on a: its capture proves nothing",
        GOOD.without(only("icmp")),
    ),
    "a capture that sees no pings": (
        "unknown",
        "no control over icmp was seen on a: its capture proves nothing",
        GOOD.without(lambda one: one.node == A and one.packet.protocol == ICMP),
    ),
    "a capture that sees nothing": (
        "unknown",
        f"{NO_CONTROL} a: its capture proves nothing",
        GOOD.without(lambda one: one.node == A),
    ),
    "tcpdump ended early at the source": (
        "unknown",
        "a: tcpdump ended too early: killed",
        GOOD.with_fault(A, "tcpdump ended too early: killed"),
    ),
    "tcpdump ended early at the target": (
        "unknown",
        "b: tcpdump ended too early: killed",
        GOOD.with_fault(B, "tcpdump ended too early: killed"),
    ),
    "the source was not watched": ("unknown", "a was not watched", replace(GOOD, watched=frozenset({B}))),
    "the target was not watched": ("unknown", "b was not watched", replace(GOOD, watched=frozenset({A}))),
    "no control at the target": (
        "unknown",
        f"{NO_CONTROL} b",
        GOOD.without(of(B, Purpose.CONTROL, at=B)),
    ),
    "the target sent nothing": (
        "unknown",
        f"{NO_CONTROL} b",
        replace(GOOD, senders={A: GOOD.senders[A]}),
    ),
    "kept out": (
        "falsified",
        f"{TUNNEL_IN}: tcp port 22",
        GOOD.without(lambda one: one.canary == TCP_22),
    ),
    "refused": (
        "falsified",
        f"{TUNNEL_IN} (No route to host): icmp, udp port 50001, tcp port 50001 and 8 more",
        GOOD.refused(A, "No route to host", Purpose.INSIDE),
    ),
    "lost": (
        "falsified",
        f"{LOST}: tcp port 22",
        GOOD.without(lambda one: one.canary == TCP_22 and one.node == B),
    ),
    "no message of its size": (
        "unknown",
        "no WireGuard message of 672 bytes to 192.0.2.2:51820 was seen",
        GOOD.without(is_message),
    ),
    "nobody knows where the peer is": (
        "unknown",
        "no WireGuard message of 672 bytes to None was seen",
        GOOD.with_sender(found_at={B: None}),
    ),
}


@pytest.mark.parametrize(("verdict", "detail", "run"), CANARY.values(), ids=CANARY)
def test_canary(verdict: str, detail: str | None, run: Run) -> None:
    told = run.told("canary")
    assert told == (verdict, told[1] if detail is None else detail)


DIAL = {
    "arrived": ("holds", "arrived on eth0 of b from 192.0.2.1", GOOD),
    "did not arrive": (
        "falsified",
        "udp port 51820 left a and did not arrive: something between them drops it",
        GOOD.without(of(A, Purpose.DIAL, at=B)),
    ),
    "did not leave": (
        "falsified",
        "udp port 51820 did not leave a: a firewall there?",
        GOOD.without(of(A, Purpose.DIAL)),
    ),
    "refused": (
        "falsified",
        "udp port 51820 did not leave a: Operation not permitted",
        GOOD.refused(A, "Operation not permitted", Purpose.DIAL),
    ),
    "arrived, says a capture with a fault": (
        "holds",
        "arrived on eth0 of b from 192.0.2.1",
        GOOD.with_fault(B, "tcpdump lost 3 packets"),
    ),
    "not seen by a capture with a fault": (
        "unknown",
        "b: tcpdump lost 3 packets",
        GOOD.with_fault(B, "tcpdump lost 3 packets").without(of(A, Purpose.DIAL, at=B)),
    ),
    "not seen by a capture that sees nothing": (
        "unknown",
        f"{NO_CONTROL} b",
        GOOD.without(lambda one: one.node == B),
    ),
    "nobody sent it": (
        "unknown",
        "no datagram was sent",
        GOOD.with_sender(
            told={
                one: ""
                for one in GOOD.senders[A].told
                if GOOD.senders[A].canaries[one.number].purpose is not Purpose.DIAL
            }
        ).without(of(A, Purpose.DIAL)),
    ),
}


@pytest.mark.parametrize(("verdict", "detail", "run"), DIAL.values(), ids=DIAL)
def test_dial(verdict: str, detail: str, run: Run) -> None:
    assert run.told("dial") == (verdict, detail)


FRAGMENTS = {
    "none": ("holds", "full packets arrive, no fragment was seen", GOOD),
    "leaving": (
        "falsified",
        "messages to 192.0.2.2:51820 leave in fragments: a smaller `mtu:` under `underlay:` mends it",
        GOOD.with_seen(piece(A, True, "192.0.2.1", "192.0.2.2", port=51820)),
    ),
    "arriving": (
        "falsified",
        "messages from 192.0.2.1:51820 arrive in fragments on eth0 of b, made on the way:"
        " a smaller `mtu:` under `underlay:` mends it",
        GOOD.with_seen(piece(B, False, "192.0.2.1", "192.0.2.2", port=51820)),
    ),
    "of another program": (
        "holds",
        "full packets arrive, no fragment was seen",
        GOOD.with_seen(
            piece(A, True, "192.0.2.1", "192.0.2.2", port=2049),
            piece(A, True, "192.0.2.1", "192.0.2.2", port=0),
        ),
    ),
    "to another node": (
        "holds",
        "full packets arrive, no fragment was seen",
        GOOD.with_seen(piece(A, True, "192.0.2.1", "192.0.2.3", port=51820)),
    ),
    "a full one is lost": (
        "falsified",
        "a full packet does not arrive: a smaller `mtu:` under `underlay:`?",
        GOOD.without(of(A, Purpose.FULL, at=B)),
    ),
    "a full one is refused": (
        "falsified",
        "a full packet does not arrive (Message too long): a smaller `mtu:` under `underlay:`?",
        GOOD.refused(A, "Message too long", Purpose.FULL),
    ),
    "nothing arrives": (
        "unknown",
        "smaller packets don't arrive either",
        GOOD.without(of(A, Purpose.FULL, Purpose.INSIDE, at=B)),
    ),
    "no control": (
        "unknown",
        f"{NO_CONTROL} a: its capture proves nothing",
        GOOD.without(of(A, Purpose.CONTROL, at=A)),
    ),
    "tcpdump ended early at the target": (
        "unknown",
        "b: tcpdump ended too early: killed",
        GOOD.with_fault(B, "tcpdump ended too early: killed"),
    ),
}


@pytest.mark.parametrize(("verdict", "detail", "run"), FRAGMENTS.values(), ids=FRAGMENTS)
def test_fragments(verdict: str, detail: str, run: Run) -> None:
    assert run.told("fragments") == (verdict, detail)


def test_what_is_not_dialled_is_not_claimed() -> None:
    watches = {node: Watch([one.packet for one in GOOD.seen if one.node == node]) for node in (A, B)}
    wire = gather("wg0", CHOSEN, watches, GOOD.senders)
    waiting = replace(PEERS[B], endpoint=None)
    assert [one.claim for one in judge_wire(A, [waiting], GOOD.senders[A], wire)] == ["canary", "fragments"]


def test_a_verdict_shows_a_few_packets() -> None:
    found = GOOD.with_seen(*(leak(Purpose.INSIDE, "icmp") for _ in range(9))).claims()["canary"]
    assert [(one.node, one.device, one.what) for one in found.packets] == [
        ("a", "eth0", "ICMP 192.0.2.1 → 10.99.0.2")
    ] * 4


# --- for whatever is captured --------------------------------------------------------------------

# Fragments and marked packets in clear are left out of these: without what falsifies a claim it may hold.


@settings(max_examples=200)
@given(st.sets(st.integers(0, len(GOOD.seen) - 1)), st.sets(st.integers(0, len(GOOD.seen) - 1)))
def test_no_claim_comes_to_hold_by_seeing_less(lost: set[int], more: set[int]) -> None:
    some = replace(GOOD, seen=tuple(one for place, one in enumerate(GOOD.seen) if place not in lost))
    less = replace(GOOD, seen=tuple(one for place, one in enumerate(GOOD.seen) if place not in lost | more))
    before, after = some.claims(), less.claims()
    assert not [
        kind
        for kind in before
        if before[kind].verdict is not Verdict.HOLDS and after[kind].verdict is Verdict.HOLDS
    ]


CLEAR = [
    (node, number)
    for node in (A, B)
    for number, one in enumerate(GOOD.senders[A].canaries)
    if one.purpose.way == "inside"
]


@settings(max_examples=200)
@given(
    st.sampled_from(CLEAR),
    st.sampled_from(["eth0", "eth1", "wg1", "interface 9", "flannel.1"]),
    st.booleans(),
    st.sets(st.integers(0, len(GOOD.seen) - 1)),
    st.sampled_from(["", "tcpdump lost 3 packets"]),
)
def test_a_marked_packet_in_clear_falsifies_whatever_else_was_seen(
    where: tuple[NodeName, int], device: str, outgoing: bool, lost: Iterable[int], fault: str
) -> None:
    node, number = where
    one = sighting(
        node, device, GOOD.senders[A].canaries[number], number, outgoing=outgoing, source="192.0.2.1"
    )
    seen = tuple(each for place, each in enumerate(GOOD.seen) if place not in set(lost))
    claim = replace(GOOD, seen=(*seen, one), faults={A: fault, B: fault}).claims()["canary"]
    assert claim.verdict is Verdict.FALSIFIED
    assert f"on {device} of {node}" in claim.detail


@settings(max_examples=100)
@given(st.sampled_from([A, B]), st.sampled_from(["tcpdump lost 1 packet", "killed"]))
def test_no_capture_with_a_fault_proves_that_nothing_was_in_clear(node: NodeName, fault: str) -> None:
    claims = GOOD.with_fault(node, fault).claims()
    assert [claims[kind].verdict for kind in ("canary", "fragments")] == [Verdict.UNKNOWN] * 2


# --- evidence, and the closed interface ----------------------------------------------------------


def test_evidence_is_the_packets_that_verdicts_rest_on() -> None:
    """By node; what has nothing to do with it is left out."""
    number, one = number_of(Purpose.INSIDE, "icmp")
    stamp = one.marker + number.to_bytes(4) + bytes(4)
    data = capture(
        [
            frame(ipv4(udp(b"somebody else"))),
            frame(ipv4(udp(stamp))),
            frame(ipv4(udp(DATA + bytes(28 + CHOSEN.length)))),
            frame(ipv4(b"piece", offset=1400)),
        ]
    )
    watch = Watch(list(read_capture(data, DEVICES)))
    wire = gather("wg0", CHOSEN, {A: watch, B: Watch(())}, GOOD.senders)
    (kept,) = wire.evidence({A: data, B: b""}).values()
    assert [one.at for one in read_capture(kept, DEVICES)] == [1001.5, 1002.5, 1003.5]


def closed(run: Run) -> tuple[str, str]:
    watches = {A: Watch([one.packet for one in run.seen if one.node == A], run.faults.get(A, ""))}
    claim = judge_closed(A, run.senders[A], gather("wg0", CHOSEN, watches, {A: run.senders[A]}))
    return str(claim.verdict), claim.detail


SHUT = GOOD.refused(A, "No route to host", Purpose.INSIDE, Purpose.FULL)
CLOSED = {
    "nothing left": ("holds", "none of 12 marked packets left; the kernel said: No route to host", SHUT),
    "one left": (
        "falsified",
        "in clear on eth0 of a: to b, tcp port 22",
        SHUT.with_seen(leak(Purpose.INSIDE, "tcp", 22)),
    ),
    "no control": ("unknown", f"{NO_CONTROL} a", SHUT.without(of(A, Purpose.CONTROL))),
    "tcpdump ended early": ("unknown", "a: killed", SHUT.with_fault(A, "killed")),
}


@pytest.mark.parametrize(("verdict", "detail", "run"), CLOSED.values(), ids=CLOSED)
def test_closed(verdict: str, detail: str, run: Run) -> None:
    assert closed(run) == (verdict, detail)
