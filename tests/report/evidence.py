"""What ``verify`` could have seen in fleets of any size, by no chance: the same fleet, the same evidence."""

from collections.abc import Callable, Iterator

from wireloom.network.network import Network, Peer
from wireloom.observe.state import Unreachable
from wireloom.values import NodeName
from wireloom.verify.claim import Claim, Evidence, PacketSeen, Verdict

WHEN = "2026-05-02T12:00:00+00:00"
NOON = 1777723200.0

Verdicts = Callable[[str, NodeName, NodeName | None], tuple[Verdict, str] | None]
"""Kind, source and target → what is otherwise than it should be, and why."""


def all_is_well(kind: str, source: NodeName, target: NodeName | None) -> None:
    return None


def gather(
    network: Network, otherwise: Verdicts = all_is_well, unasked: tuple[Unreachable, ...] = ()
) -> Evidence:
    """Claims of seven kinds about every ordered pair, and of one about every node."""
    silent = {one.name: one.what for one in unasked}
    claims = [
        _judge(claim, otherwise, silent) for name in network.members for claim in _claims_of(network, name)
    ]
    pairs = sum(1 for name in network.members for _ in network.peers(name))
    return Evidence(tuple(claims), pairs, pairs, unasked)


def _judge(claim: Claim, otherwise: Verdicts, silent: dict[NodeName, str]) -> Claim:
    kind, source, target = claim.claim, claim.source, claim.target
    if source in silent:
        return Claim(kind, source, target, Verdict.UNKNOWN, silent[source])
    found = otherwise(kind, source, target)
    if found is None:
        return claim
    packets = claim.packets if found[0] is Verdict.FALSIFIED else ()
    return Claim(kind, source, target, *found, packets)


def _claims_of(network: Network, name: NodeName) -> Iterator[Claim]:
    places = {member: place for place, member in enumerate(network.members)}

    def claim(kind: str, target: NodeName | None, detail: str, *packets: PacketSeen) -> Claim:
        return Claim(kind, name, target, Verdict.HOLDS, detail, packets)

    yield claim("peers", None, f"{len(places) - 1} peers, all of them planned")
    for peer in network.peers(name):
        chance = (places[name] * 7919 + places[peer.name] * 104729) % 100_003
        end = peer.endpoint or "198.51.100.77:41641"
        yield claim("answers", peer.name, f"3 of 3 answered, {chance % 311 / 10:.1f} ms")
        yield claim("handshake", peer.name, f"{chance % 118} s ago with {end}")
        packets = tuple(_packets(name, peer, chance))
        if peer.endpoint is not None:
            yield claim("mtu", peer.name, "packets of 1500 bytes arrive whole")
            yield claim("dial", peer.name, f"arrived at {end}", packets[1])
        yield claim("fragments", peer.name, "a packet of 1440 bytes arrived in one piece", packets[0])
        yield claim(
            "canary",
            peer.name,
            "caught the control; ICMP, UDP and TCP went as WireGuard to the peer's endpoint",
            *packets,
        )


def _packets(name: NodeName, peer: Peer, chance: int) -> Iterator[PacketSeen]:
    end = peer.endpoint or "198.51.100.77:41641"
    for number, length in enumerate((176, 176, 152)):
        yield PacketSeen(
            NOON + chance / 1000 + number / 250,
            peer.name if number == 1 else name,
            "eth0",
            number != 1,
            f"UDP 203.0.113.{chance % 50}:51820 → {end}, WireGuard data",
            length,
        )
