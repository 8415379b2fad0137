"""Marked packets from and to pods: which ones a machine sends, and what their captures say. Pure."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice

from wireloom.cluster.seen import Member
from wireloom.grammar import count
from wireloom.values import Address, Endpoint, NodeName
from wireloom.verify.canary import Canary, Chosen, Passport, Purpose
from wireloom.verify.claim import Claim, Verdict
from wireloom.verify.cluster.intended import BRIDGE, VXLAN, Intended
from wireloom.verify.cluster.probes import Probes
from wireloom.verify.wire import LOOPBACK, MOST_PACKETS, Sender, Sighting, Wire

WINDOW = 224
"""Bytes that VXLAN and WireGuard, once or twice, may put around a marked packet."""

AROUND = 96
"""Of these the most that are within a WireGuard message."""

PROTOCOLS = ("icmp", "udp", "tcp")

Look = tuple[Verdict, str, Sequence[Sighting]]


@dataclass(frozen=True, slots=True)
class Load:
    """The marked packets of one machine. ``inside`` are sent from within its probe, and come first.

    ``titles`` say of each what it is, for a person; empty for controls.
    """

    inside: tuple[Canary, ...]
    outside: tuple[Canary, ...]
    titles: tuple[str, ...]

    @property
    def canaries(self) -> tuple[Canary, ...]:
        """All of them, by number."""
        return self.inside + self.outside


def choose_load(
    others: Sequence[NodeName],
    members: Mapping[NodeName, Member],
    probes: Probes,
    *,
    chosen: Chosen,
    markers: Mapping[NodeName, bytes],
    found_at: Mapping[NodeName, Endpoint | None],
    under: bool,
) -> Load:
    """What is sent to others: from the pod to their pods, from the machine to them, and controls beside.

    ``under``: there is an underlay, which also what pods send to machines should take.
    """
    inside: list[tuple[Canary, str]] = []
    outside: list[tuple[Canary, str]] = []
    for other in others:
        pods = probes.pods[other].addresses if probes.ready(other) else ()

        def mark(
            addresses: Sequence[Address], what: str, name: NodeName = other
        ) -> Iterator[tuple[Canary, str]]:
            purpose = Purpose.POD if what else Purpose.CONTROL
            for address in addresses:
                for protocol in PROTOCOLS:
                    port = 0 if protocol == "icmp" else chosen.port
                    marker, title = markers[name], what and f"{protocol} {what}"
                    yield Canary(name, purpose, marker, address, protocol, port, chosen.length), title

        inside += mark(pods, "from pod to pod")
        if under:
            inside += mark(members[other].internal, "from pod to machine")
        outside += mark(pods, "from machine to pod")
        endpoint = found_at.get(other)
        outside += mark([endpoint.address] if endpoint else [], "")
    titles = tuple(title for _, title in (*inside, *outside))
    return Load(tuple(one for one, _ in inside), tuple(one for one, _ in outside), titles)


@dataclass(frozen=True, slots=True)
class PodWire:
    """All that was captured, and what may carry pods' packets on each machine without anybody on the way.

    ``bridged`` are the devices of pods by machine.
    """

    intended: Intended
    wire: Wire
    senders: Mapping[NodeName, Sender]
    loads: Mapping[NodeName, Load]
    bridged: Mapping[NodeName, Set[str]]

    def in_clear(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Those on a device that is neither a tunnel nor the machine's own pods'."""
        fine = {*self.intended.tunnels, *VXLAN, BRIDGE, LOOPBACK}
        return [
            one
            for one in sightings
            if one.packet.device not in fine and one.packet.device not in self.bridged.get(one.node, ())
        ]

    def in_tunnel(self, sightings: Sequence[Sighting], node: NodeName, *, outgoing: bool) -> list[Sighting]:
        """Those that went into, or came out of, a tunnel at a machine."""
        return [
            one
            for one in sightings
            if one.node == node
            and one.packet.outgoing is outgoing
            and one.packet.device in self.intended.tunnels
        ]


def judge_pod_wire(name: NodeName, others: Sequence[NodeName], field: PodWire) -> Iterator[Claim]:
    """The claim about each pair of which something was sent."""
    for other in others:
        verdict, detail, shown = _look(name, other, field)
        packets = tuple(one.packet.seen_by(one.node) for one in islice(shown, MOST_PACKETS))
        yield Claim("pod-canary", name, other, verdict, detail, packets)


def _look(name: NodeName, other: NodeName, field: PodWire) -> Look:
    sender, load = field.senders.get(name), field.loads.get(name)
    if sender is None or load is None:
        return Verdict.UNKNOWN, field.wire.fault(name) or f"{name}: nothing was sent", ()
    tried = [
        (load.titles[number], sender.told.get(passport), field.wire.marked.get(passport, []))
        for number, one in enumerate(load.canaries)
        if one.target == other and load.titles[number]
        for passport in [Passport(one.marker, number, 0)]
    ]
    clear = [(title, seen) for title, _, sightings in tried for seen in field.in_clear(sightings)]
    if clear:
        first = clear[0][1]
        names = _names([title for title, _ in clear])
        where = f"{first.packet.device} of {first.node}"
        return Verdict.FALSIFIED, f"in clear on {where}: {names}", [seen for _, seen in clear]
    blind = sender.fault or field.wire.fault(name)
    missed = field.wire.unsighted.get(name, "")
    blind = blind or (missed and f"{missed} was seen on {name}: its capture proves nothing")
    if blind or not tried:
        return Verdict.UNKNOWN, blind or "no marked packet was sent", ()
    refused = [f"{title} ({told})" for title, told, _ in tried if told]
    kept = [title for title, _, seen in tried if not field.in_tunnel(seen, name, outgoing=True)]
    if kept:
        return Verdict.FALSIFIED, f"did not go into a tunnel at {name}: {_names(refused or kept)}", ()
    if deaf := field.wire.fault(other):
        return Verdict.UNKNOWN, deaf, ()
    lost = [(title, seen) for title, _, seen in tried if not field.in_tunnel(seen, other, outgoing=False)]
    if lost:
        names = _names([title for title, _ in lost])
        detail = f"went into the tunnel at {name} and did not come out at {other}: {names}"
        return Verdict.FALSIFIED, detail, [one for _, seen in lost for one in seen]
    return _look_at_messages(name, other, field, [seen for _, _, seen in tried])


def _look_at_messages(
    name: NodeName, other: NodeName, field: PodWire, seen: Sequence[Sequence[Sighting]]
) -> Look:
    """All came out of a tunnel: which one, and whether WireGuard messages of their size carried them."""
    endpoint = field.senders[name].found_at.get(other)
    length = field.wire.length
    messages = [
        Sighting(name, one)
        for one in field.wire.watches[name].packets
        if one.outgoing
        and one.is_wireguard_data
        and one.device not in field.intended.tunnels
        and endpoint == Endpoint(one.target, one.target_port)
        and length <= one.carried <= length + AROUND
    ]
    if not messages:
        return Verdict.UNKNOWN, f"no WireGuard message of their size to {endpoint} was seen", ()
    all_seen = [one for sightings in seen for one in sightings]
    devices = dict.fromkeys(one.packet.device for one in field.in_tunnel(all_seen, name, outgoing=True))
    detail = (
        f"{count(len(seen), 'kind')} of packets by {' and '.join(devices)},"
        f" {count(len(messages), 'message')} to {endpoint} carried them, nothing in clear"
    )
    return Verdict.HOLDS, detail, [*seen[0], *messages]


def _names(names: Sequence[str]) -> str:
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - 3} more" if len(known) > 3 else ""
    return ", ".join(known[:3]) + more
