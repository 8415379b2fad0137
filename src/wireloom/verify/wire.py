"""What was captured on the machines → claims with verdicts. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from wireloom.grammar import count
from wireloom.network.network import Peer
from wireloom.values import Endpoint, NodeName
from wireloom.verify.canary import Canary, Chosen, Passport, Purpose, find_passport
from wireloom.verify.claim import Claim, PacketSeen, Verdict
from wireloom.verify.packets import DATA_OVERHEAD, Packet, cut_capture

MOST_PACKETS = 4
"""Packets that a claim shows as examples."""

MOST_NAMED = 3
LOOPBACK = "lo"


@dataclass(frozen=True, slots=True)
class Watch:
    """What the capture on one node came to. ``fault``: why its silence proves nothing, or nothing."""

    packets: Sequence[Packet]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """What one node sent: its canaries, what became of each, and where its WireGuard found its peers.

    ``fault``: why not all was sent, or nothing.
    """

    canaries: Sequence[Canary]
    told: Mapping[Passport, str]
    found_at: Mapping[NodeName, Endpoint | None]
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A marked packet on a device of a node."""

    node: NodeName
    packet: Packet


@dataclass(slots=True)
class Wire:
    """Everything that was captured on all machines, by what one asks of it.

    ``length`` is that of the marked packets; ``interface`` the tunnel's name. ``marked`` are those that were
    seen, ``passports`` the same by marker. ``carried`` are the WireGuard messages that may carry one, by node
    and endpoint; ``pieces`` the fragments. ``unsighted`` tells of a node that sends which controls its
    capture missed: nothing where it can see.
    """

    interface: str
    length: int
    watches: Mapping[NodeName, Watch]
    marked: dict[Passport, list[Sighting]] = field(default_factory=lambda: defaultdict(list))
    passports: dict[bytes, set[Passport]] = field(default_factory=lambda: defaultdict(set))
    carried: dict[tuple[NodeName, Endpoint], list[Packet]] = field(default_factory=lambda: defaultdict(list))
    pieces: dict[NodeName, list[Packet]] = field(default_factory=lambda: defaultdict(list))
    unsighted: dict[NodeName, str] = field(default_factory=dict)
    found_at: dict[NodeName, Mapping[NodeName, Endpoint | None]] = field(default_factory=dict)

    def outside(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """Those beside the tunnel."""
        return [one for one in sightings if one.packet.device not in {self.interface, LOOPBACK}]

    def left(self, node: NodeName, sightings: Iterable[Sighting]) -> bool:
        """Whether it left that node beside the tunnel."""
        return any(seen.node == node and seen.packet.outgoing for seen in self.outside(sightings))

    def evidence(self, captures: Mapping[NodeName, bytes]) -> dict[NodeName, bytes]:
        """The captures of the nodes, cut to the packets that verdicts rest on."""
        times: dict[NodeName, list[float]] = defaultdict(list)
        for sightings in self.marked.values():
            for one in sightings:
                times[one.node].append(one.packet.at)
        for (node, _), messages in self.carried.items():
            times[node] += [one.at for one in messages]
        for node, pieces in self.pieces.items():
            times[node] += [one.at for one in pieces]
        return {node: cut_capture(captures[node], kept) for node, kept in times.items()}

    def fault(self, node: NodeName) -> str:
        """Why a node's capture proves nothing by what it did not see."""
        watch = self.watches.get(node)
        return f"{node} was not watched" if watch is None else watch.fault and f"{node}: {watch.fault}"


def gather(
    interface: str, chosen: Chosen, watches: Mapping[NodeName, Watch], senders: Mapping[NodeName, Sender]
) -> Wire:
    """Find in all captures the marked packets, the WireGuard messages that may carry one, and fragments."""
    wire = Wire(interface, chosen.length, watches)
    for node, watch in watches.items():
        for packet in watch.packets:
            passport = find_passport(packet.payload, chosen.run)
            if passport is not None:
                wire.marked[passport].append(Sighting(node, packet))
                wire.passports[passport.marker].add(passport)
            elif packet.fragment:
                wire.pieces[node].append(packet)
            elif packet.outgoing and packet.is_wireguard_data and packet.carried == chosen.length:
                wire.carried[node, Endpoint(packet.target, packet.target_port)].append(packet)
    for node, sender in senders.items():
        wire.found_at[node] = sender.found_at
        controls = (one for one in sender.told if sender.canaries[one.number].purpose is Purpose.CONTROL)
        wire.unsighted[node] = _missed(node, sender, controls, wire)
    return wire


def _missed(node: NodeName, sender: Sender, controls: Iterable[Passport], wire: Wire) -> str:
    """Which kinds of controls the capture on their sender missed; nothing where it saw all.

    By each protocol: a capture that sees pings may be blind for connections.
    """
    seen: dict[str, bool] = {}
    for one in controls:
        if not sender.told[one]:
            protocol = sender.canaries[one.number].protocol
            seen[protocol] = seen.get(protocol, False) or wire.left(node, wire.marked.get(one, ()))
    if not seen or not any(seen.values()):
        return "no control beside the tunnel"
    return ", ".join(f"no control over {protocol}" for protocol, is_seen in seen.items() if not is_seen)


def judge_wire(source: NodeName, peers: Sequence[Peer], sender: Sender, wire: Wire) -> Iterator[Claim]:
    """What the captures say of one node's packets to its peers.

    Also of those whose sender can't tell any more that it sent them: what was seen in clear was there.
    """
    sent: dict[NodeName, list[Passport]] = defaultdict(list)
    markers = {one.marker for one in sender.canaries}
    seen = (passport for marker in markers for passport in wire.passports.get(marker, ()))
    for passport in dict.fromkeys((*sender.told, *seen)):
        canaries = sender.canaries[passport.number : passport.number + 1]
        if canaries and canaries[0].marker == passport.marker:
            sent[canaries[0].target].append(passport)
    for peer in peers:
        pair = Pair(source, peer.name, sender, wire, sent[peer.name])
        for kind, look in LOOKS.items():
            if kind == "dial" and peer.endpoint is None:
                continue
            verdict, detail, shown = look(pair)
            yield Claim(kind, source, peer.name, verdict, detail, _examples(shown))


Look = tuple[Verdict, str, Iterable[Sighting]]


@dataclass(frozen=True, slots=True)
class Tried:
    """A marked packet that was tried: its name, why the kernel refused it, and where it was seen."""

    name: str
    refusal: str
    seen: Sequence[Sighting]


@dataclass(frozen=True, slots=True)
class Pair:
    """What one node sent to another, among all that was captured."""

    source: NodeName
    target: NodeName
    sender: Sender
    wire: Wire
    sent: Sequence[Passport]

    def tried(self, purpose: Purpose) -> list[Tried]:
        """The marked packets of that purpose."""
        return [
            Tried(
                canary.name(passport.user),
                self.sender.told.get(passport, ""),
                self.wire.marked.get(passport, ()),
            )
            for passport in self.sent
            if (canary := self.sender.canaries[passport.number]).purpose is purpose
        ]

    def entered(self, one: Tried) -> bool:
        """Whether it went into the tunnel."""
        return self._passed(one, self.source, outgoing=True)

    def arrived(self, one: Tried) -> bool:
        """Whether it came out of the tunnel."""
        return self._passed(one, self.target, outgoing=False)

    def pieces_of_messages(self, node: NodeName, other: Endpoint | None, *, outgoing: bool) -> list[Sighting]:
        """The fragments at a node of what goes to, or comes from, the other's WireGuard.

        Only the first of a packet has ports: without one of the right port all may be of another program.
        """
        if other is None:
            return []
        pieces = [one for one in self.wire.pieces.get(node, ()) if one.outgoing is outgoing]
        if outgoing:
            mine = [one for one in pieces if one.target == other.address]
            first = any(one.target_port == other.port for one in mine)
        else:
            mine = [one for one in pieces if one.source == other.address]
            first = any(one.source_port == other.port for one in mine)
        return [Sighting(node, one) for one in mine] if first else []

    def _passed(self, one: Tried, node: NodeName, *, outgoing: bool) -> bool:
        return any(
            seen.node == node
            and seen.packet.device == self.wire.interface
            and seen.packet.outgoing is outgoing
            for seen in one.seen
        )

    @property
    def blindness(self) -> str:
        """Why what was captured at the source proves nothing; empty where its controls were seen."""
        told = self.sender.fault or self.wire.fault(self.source)
        if told:
            return told
        mine = (one for one in self.sent if self.sender.canaries[one.number].purpose is Purpose.CONTROL)
        known = (one for one in mine if one in self.sender.told)
        missed = _missed(self.source, self.sender, known, self.wire)
        return missed and f"{missed} was seen on {self.source}: its capture proves nothing"

    @property
    def deafness(self) -> str:
        """Why that the target got nothing would prove nothing."""
        missed = self.wire.unsighted.get(self.target, "no control beside the tunnel")
        return self.wire.fault(self.target) or (missed and f"{missed} was seen on {self.target}")


def _look_at_canary(pair: Pair) -> Look:
    tried = pair.tried(Purpose.INSIDE)
    clear = [
        (one.name, seen)
        for one in (*tried, *pair.tried(Purpose.FULL))
        for seen in pair.wire.outside(one.seen)
    ]
    if clear:
        names, shown = _names(name for name, _ in clear), [seen for _, seen in clear]
        return Verdict.FALSIFIED, f"in clear on {_where(shown[0])}: {names}", shown
    if pair.blindness or not tried:
        return Verdict.UNKNOWN, pair.blindness or "no marked packet was sent", ()
    kept_out = [one for one in tried if not pair.entered(one)]
    if kept_out:
        why = f" ({kept_out[0].refusal})" if kept_out[0].refusal else ""
        names = _names(one.name for one in kept_out)
        return Verdict.FALSIFIED, f"did not go into the tunnel at {pair.source}{why}: {names}", ()
    lost = [one for one in tried if not pair.arrived(one)]
    if pair.deafness:
        return Verdict.UNKNOWN, pair.deafness, ()
    if lost:
        names = _names(one.name for one in lost)
        detail = f"went into the tunnel at {pair.source} and did not come out at {pair.target}: {names}"
        return Verdict.FALSIFIED, detail, [seen for one in lost for seen in one.seen]
    return _look_at_messages(pair, tried)


def _look_at_messages(pair: Pair, tried: Sequence[Tried]) -> Look:
    """All came out of the tunnel: whether WireGuard messages of their size are what went over the wire."""
    endpoint = pair.sender.found_at.get(pair.target)
    messages = pair.wire.carried.get((pair.source, endpoint), []) if endpoint else []
    if not messages:
        size = pair.wire.length + DATA_OVERHEAD
        return Verdict.UNKNOWN, f"no WireGuard message of {size} bytes to {endpoint} was seen", ()
    detail = (
        f"{count(len(tried), 'kind')} of packets came out of the tunnel, {count(len(messages), 'message')}"
        f" to {endpoint} carried them, nothing in clear"
    )
    return Verdict.HOLDS, detail, [*tried[0].seen, *(Sighting(pair.source, one) for one in messages)]


def _look_at_dial(pair: Pair) -> Look:
    tried = pair.tried(Purpose.DIAL)
    seen = [seen for one in tried for seen in pair.wire.outside(one.seen)]
    there = [one for one in seen if one.node == pair.target and not one.packet.outgoing]
    if there:
        return Verdict.HOLDS, f"arrived on {_where(there[0])} from {there[0].packet.source}", there
    if pair.blindness or pair.deafness or not tried:
        return Verdict.UNKNOWN, pair.blindness or pair.deafness or "no datagram was sent", ()
    if not seen:
        why = tried[0].refusal or "a firewall there?"
        return Verdict.FALSIFIED, f"{tried[0].name} did not leave {pair.source}: {why}", ()
    detail = f"{tried[0].name} left {pair.source} and did not arrive: something between them drops it"
    return Verdict.FALSIFIED, detail, seen


def _look_at_fragments(pair: Pair) -> Look:
    tried = pair.tried(Purpose.FULL)
    endpoint = pair.sender.found_at.get(pair.target)
    if leaving := pair.pieces_of_messages(pair.source, endpoint, outgoing=True):
        detail = f"messages to {endpoint} leave in fragments: a smaller `mtu:` under `underlay:` mends it"
        return Verdict.FALSIFIED, detail, leaving
    source = pair.wire.found_at.get(pair.target, {}).get(pair.source)
    if arriving := pair.pieces_of_messages(pair.target, source, outgoing=False):
        where = f"messages from {source} arrive in fragments on {_where(arriving[0])}"
        detail = f"{where}, made on the way: a smaller `mtu:` under `underlay:` mends it"
        return Verdict.FALSIFIED, detail, arriving
    if pair.blindness or pair.deafness or not tried:
        return Verdict.UNKNOWN, pair.blindness or pair.deafness or "no full packet was sent", ()
    lost = [one for one in tried if not pair.arrived(one)]
    if lost and not all(pair.arrived(one) for one in pair.tried(Purpose.INSIDE)):
        return Verdict.UNKNOWN, "smaller packets don't arrive either", ()
    if lost:
        refusal = f" ({lost[0].refusal})" if lost[0].refusal else ""
        detail = f"a full packet does not arrive{refusal}: a smaller `mtu:` under `underlay:`?"
        return Verdict.FALSIFIED, detail, lost[0].seen
    return Verdict.HOLDS, "full packets arrive, no fragment was seen", tried[0].seen


LOOKS: Mapping[str, Callable[[Pair], Look]] = {
    "canary": _look_at_canary,
    "dial": _look_at_dial,
    "fragments": _look_at_fragments,
}
"""What is claimed of a pair by captures. ``dial`` only where the plan has an endpoint."""


def judge_closed(node: NodeName, sender: Sender, wire: Wire) -> Claim:
    """Whether what a node sent with its interface down stayed there."""
    sent = {
        passport: sender.canaries[passport.number]
        for passport in sender.told
        if sender.canaries[passport.number].purpose.way == "inside"
    }
    leaks = {
        f"to {canary.target}, {canary.name(passport.user)}": seen
        for passport, canary in sent.items()
        if (seen := wire.outside(wire.marked.get(passport, ())))
    }
    shown = _examples(one for all_of_it in leaks.values() for one in all_of_it)
    if leaks:
        where = _where(next(one for all_of_it in leaks.values() for one in all_of_it))
        return Claim("closed", node, None, Verdict.FALSIFIED, f"in clear on {where}: {_names(leaks)}", shown)
    missed = wire.unsighted.get(node, "")
    blind = sender.fault or wire.fault(node) or (missed and f"{missed} was seen on {node}")
    if blind or not sent:
        return Claim("closed", node, None, Verdict.UNKNOWN, blind or "no marked packet was sent")
    reasons = sorted({refusal for one in sent if (refusal := sender.told[one])})
    said = ", ".join(reasons) or "nothing"
    detail = f"none of {count(len(sent), 'marked packet')} left; the kernel said: {said}"
    return Claim("closed", node, None, Verdict.HOLDS, detail)


def _where(seen: Sighting) -> str:
    return f"{seen.packet.device} of {seen.node}"


def _names(names: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return ", ".join(known[:MOST_NAMED]) + more


def _examples(shown: Iterable[Sighting]) -> tuple[PacketSeen, ...]:
    return tuple(one.packet.seen_by(one.node) for one in islice(shown, MOST_PACKETS))
