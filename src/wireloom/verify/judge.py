"""What the nodes said → claims with verdicts. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wireloom.grammar import count
from wireloom.network.network import Network, Peer
from wireloom.observe.parse import parse_peer
from wireloom.observe.state import PeerSeen
from wireloom.values import Endpoint, NodeName, PublicKey
from wireloom.verify.claim import Claim, Verdict, conclude
from wireloom.verify.probe import ICMP_HEADER, IP_HEADER, OVERHEAD, PingSeen, full_payload, parse_ping

REJECT_AFTER = 180
"""Seconds after which WireGuard drops a session (the paper, section 6.1)."""


@dataclass(slots=True)
class Report:
    """What one node said, sorted by peer."""

    pings: dict[tuple[str, int], list[str]] = field(default_factory=lambda: defaultdict(list))
    peers: dict[PublicKey, PeerSeen] = field(default_factory=dict)
    listed: int | None = None
    now: int = 0
    garbled: bool = False


def locate(peers: Iterable[Peer], found: Mapping[PublicKey, PeerSeen]) -> dict[NodeName, Endpoint | None]:
    """Where WireGuard finds the peers now, by what it says of each key."""
    return {
        peer.name: seen.endpoint for peer in peers if peer.public_key and (seen := found.get(peer.public_key))
    }


def read_report(text: str) -> Report:
    """The output of ``probe_script``, sorted by peer.

    Lines that make no sense are left out: missing evidence makes a verdict ``unknown``.
    """
    report = Report()
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        try:
            if kind == "peer":
                peer = parse_peer(rest)
                report.peers[peer.public_key] = peer
            elif kind == "listed":
                report.listed = _read_number(rest, "peers")
            elif kind == "now":
                report.now = _read_number(rest, "seconds")
            elif kind in {"ping", "full", "small", "large"}:
                place, _, said = rest.partition(" ")
                report.pings[kind, int(place)].append(said)
        except ValueError:
            report.garbled = True
    return report


def _read_number(text: str, unit: str) -> int:
    """``N UNIT``, with the unit as the mark that the number is whole: half of a time would make all fresh."""
    number, said = text.split(" ")
    if said != unit:
        raise ValueError("cut short")
    return int(number)


def judge(source: NodeName, peers: Sequence[Peer], report: Report, network: Network) -> Iterator[Claim]:
    """All claims of one node about the peers that it tested, and about who else is a peer of it."""
    for place, peer in enumerate(peers):
        yield _judge_answers(source, peer, report.pings[("ping", place)])
        yield _judge_handshake(source, peer, report, network.also)
        if peer.endpoint is not None:
            sizes = {kind: report.pings[kind, place] for kind in ("full", "small", "large")}
            yield _judge_mtu(source, peer, sizes, network.mtu)
    yield _judge_peers(source, network, report)


def unknown(source: NodeName, peers: Sequence[Peer], why: str) -> Iterator[Claim]:
    """The claims of a node that could not be asked."""
    for peer in peers:
        for kind in ("answers", "handshake", *(("mtu",) if peer.endpoint else ())):
            yield Claim(kind, source, peer.name, Verdict.UNKNOWN, why)
    yield Claim("peers", source, None, Verdict.UNKNOWN, why)


def _judge_answers(source: NodeName, peer: Peer, said: Sequence[str]) -> Claim:
    """Each address family must answer, and by the interface: an answer by another way is one in clear."""
    if len(said) < len(peer.addresses):
        return Claim("answers", source, peer.name, Verdict.UNKNOWN, "the pings were not run")
    looks = [_look_at_ping(text) for text in said]
    verdict = conclude(verdict for verdict, _ in looks)
    return Claim("answers", source, peer.name, verdict, "; ".join(detail for _, detail in looks))


_NO_WAY = re.compile(r"unreachable|no route to host", re.IGNORECASE)
"""What ping says instead of a summary when the kernel has no route: that is an answer, too."""


_ASTRAY = re.compile(r"astray (\S+) ")


def _look_at_ping(text: str) -> tuple[Verdict, str]:
    astray = _ASTRAY.match(text)
    if astray is not None:
        return Verdict.FALSIFIED, f"goes by {astray[1]} and not by the underlay, as `ip route get` says there"
    try:
        seen = parse_ping(text)
    except ValueError as error:
        return Verdict.FALSIFIED if _NO_WAY.search(text) else Verdict.UNKNOWN, str(error)
    if not seen.sent:
        return Verdict.UNKNOWN, "no ping was sent"
    times = f", {seen.milliseconds:.1f} ms" if seen.milliseconds is not None else ""
    verdict = Verdict.HOLDS if seen.received else Verdict.FALSIFIED
    return verdict, f"{seen.received} of {seen.sent} answered{times}"


def _judge_handshake(source: NodeName, peer: Peer, report: Report, also: int | None) -> Claim:
    verdict, detail = _look_at_handshake(peer, report, also)
    return Claim("handshake", source, peer.name, verdict, detail)


def _look_at_handshake(peer: Peer, report: Report, also: int | None) -> tuple[Verdict, str]:
    if not report.now:
        return Verdict.UNKNOWN, "the answer was cut short"
    if peer.public_key is None:
        return Verdict.UNKNOWN, "the lock has no key for it yet: apply first"
    seen = report.peers.get(peer.public_key)
    if seen is None and report.garbled:
        return Verdict.UNKNOWN, "a part of the answer makes no sense"
    if seen is None:
        return Verdict.FALSIFIED, f"no peer with the key {peer.public_key} on the interface"
    if not seen.handshake:
        return Verdict.FALSIFIED, "no handshake ever"
    age = max(0, report.now - seen.handshake)
    if age > REJECT_AFTER:
        return Verdict.FALSIFIED, f"the last handshake is {age} s old: the session is dead"
    if not peer.may_be_at(seen.endpoint, also):
        return Verdict.FALSIFIED, f"goes {_where(seen)}, planned was {peer.endpoint}: apply mends it"
    return Verdict.HOLDS, f"{age} s ago with {seen.endpoint}"


def _judge_peers(source: NodeName, network: Network, report: Report) -> Claim:
    """A machine that left the fleet, or that nobody let in, must not go on as a peer."""
    planned = {peer.public_key for peer in network.peers(source)}
    strangers = [
        f"{one.public_key} at {one.endpoint or 'no endpoint'}, {_last_heard(one, report.now)}"
        for one in report.peers.values()
        if one.public_key not in planned
    ]
    if strangers:
        detail = f"{'; '.join(strangers)}: none of the plan's; apply takes it away"
        return Claim("peers", source, None, Verdict.FALSIFIED, detail)
    if len(report.peers) != report.listed:
        return Claim("peers", source, None, Verdict.UNKNOWN, "a part of the answer is missing")
    return Claim("peers", source, None, Verdict.HOLDS, f"{count(len(report.peers), 'peer')}, all of the plan")


def _last_heard(peer: PeerSeen, now: int) -> str:
    if not peer.handshake:
        return "never a handshake"
    return f"last handshake {max(0, now - peer.handshake)} s ago, {count(peer.received, 'byte')} received"


def _where(seen: PeerSeen) -> str:
    return f"to {seen.endpoint}" if seen.endpoint else "nowhere"


def _judge_mtu(source: NodeName, peer: Peer, said: Mapping[str, Sequence[str]], mtu: int) -> Claim:
    assert peer.endpoint is not None  # noqa: S101  # the caller's business
    address = peer.endpoint.address
    size = full_payload(address, mtu) + ICMP_HEADER + IP_HEADER[address.version]
    overhead = OVERHEAD[address.version]
    verdict, detail = _look_at_mtu(_first(said["full"]), _first(said["small"]), size, overhead)
    room = _room(said["large"], overhead)
    if verdict is Verdict.HOLDS and room:
        detail += f", and {room + overhead}: room for `mtu: {room}`"
    return Claim("mtu", source, peer.name, verdict, detail)


_LARGE = re.compile(r"(\d+) (.*)")


def find_room(peers: Iterable[Peer], report: Report) -> Iterator[int | None]:
    """For each peer that is dialled the interface MTU that its path would carry; None: not more than now."""
    for place, peer in enumerate(peers):
        if peer.endpoint is not None:
            yield _room(report.pings["large", place], OVERHEAD[peer.endpoint.address.version])


def _room(said: Sequence[str], overhead: int) -> int | None:
    match = _LARGE.fullmatch(said[0]) if said else None
    seen = _first([match[2]]) if match else None
    return int(match[1]) - overhead if match and seen and seen.received else None


def _first(said: Sequence[str]) -> PingSeen | None:
    try:
        return parse_ping(said[0]) if said else None
    except ValueError:
        return None


def _look_at_mtu(
    full: PingSeen | None, small: PingSeen | None, size: int, overhead: int
) -> tuple[Verdict, str]:
    if full is None or small is None:
        return Verdict.UNKNOWN, "the pings beside the tunnel were not run"
    if full.received:
        return Verdict.HOLDS, f"the path carries {size} bytes"
    if full.too_long is not None:
        fits = f": set `mtu: {full.too_long - overhead}` under `underlay:`" if full.too_long else ""
        known = f"only {full.too_long} of" if full.too_long else "less than"
        return Verdict.FALSIFIED, f"the path carries {known} {size} bytes{fits}"
    if small.received:
        return (
            Verdict.FALSIFIED,
            f"{size} bytes get lost, small packets pass: a black hole; a smaller `mtu:` mends it",
        )
    return Verdict.UNKNOWN, "nothing answers to ICMP beside the tunnel: the size was not tested"
