"""Test the claims on the machines: one script per node, all side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wireloom.network.network import Network, Peer
from wireloom.observe.state import Unreachable
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName
from wireloom.verify.canaries import Catch, send_canaries
from wireloom.verify.claim import Claim, Evidence, Traffic, Verdict
from wireloom.verify.disrupt import disrupt
from wireloom.verify.judge import Report, find_room, judge, locate, read_report, unknown
from wireloom.verify.listen import listen
from wireloom.verify.probe import PARALLEL, probe_script
from wireloom.verify.sample import choose_pairs

SECONDS_PER_BATCH = 5
"""Longer than three pings to somebody who does not answer."""

NOT_ASKABLE = TransportError("no `ssh` in the fleet file: can't be asked")


@dataclass(frozen=True, slots=True)
class Wish:
    """How far a proof goes.

    ``sample``: not all pairs, however few nodes there are. ``quick``: no marked packets. ``audit``: seconds
    of listening, 0 for none. ``disrupted``: the node whose interface is taken down for a moment, if any.
    ``probe_image``: what the probes in a cluster are made of, None for what is there.
    """

    sample: bool = False
    quick: bool = False
    audit: float = 0.0
    disrupted: NodeName | None = None
    probe_image: str | None = None


async def verify(network: Network, crew: Crew, askable: frozenset[NodeName], wish: Wish) -> Evidence:
    """Every pair of peers (a sample of them above 50 nodes), tested from each node in ``askable``.

    The claims of a node that can't be asked are unknown; whether it answers is still tested from others.
    """
    tested = _choose(network, sample=wish.sample)
    answers = await _ask(network, crew, {name: peers for name, peers in tested.items() if name in askable})
    claims: list[Claim] = []
    unasked: list[Unreachable] = []
    reports: dict[NodeName, Report] = {}
    rooms: list[int | None] = []
    for name, peers in tested.items():
        answer = answers.get(name, NOT_ASKABLE)
        if isinstance(answer, TransportError):
            claims += unknown(name, peers, answer.what)
            if peers:
                unasked.append(Unreachable(name, answer.what, answer.hint, refused=not answer.unreachable))
        else:
            reports[name] = read_report(answer.stdout)
            claims += judge(name, peers, reports[name], network)
            rooms += find_room(peers, reports[name])
    catch = Catch()
    if not wish.quick:
        catch = await send_canaries(network, crew, tested, list(reports))
    traffic: tuple[Traffic, ...] | None = None
    if wish.audit:
        found_at = {name: locate(network.peers(name), report.peers) for name, report in reports.items()}
        heard = await listen(network, crew, found_at, wish.audit)
        claims += heard.claims
        traffic = heard.traffic
    captures = dict(catch.captures)
    if wish.disrupted in reports:
        shut = await disrupt(network, crew, wish.disrupted, tested[wish.disrupted])
        claims.append(shut.claim)
        captures[NodeName(f"{wish.disrupted}.closed")] = shut.capture
    elif wish.disrupted:
        claims.append(Claim("closed", wish.disrupted, None, Verdict.UNKNOWN, "it could not be asked"))
    total = sum(len(list(network.peers(name))) for name in network.members)
    return Evidence(
        claims=(*claims, *catch.claims),
        pairs=sum(map(len, tested.values())),
        all_pairs=total,
        unasked=tuple(unasked),
        captures=captures,
        traffic=traffic,
        roomier_mtu=_smallest(rooms),
    )


def _smallest(rooms: Sequence[int | None]) -> int | None:
    """The MTU that all paths have room for; None where one has not."""
    known = [room for room in rooms if room is not None]
    return min(known) if known and len(known) == len(rooms) else None


def _choose(network: Network, *, sample: bool) -> dict[NodeName, list[Peer]]:
    """The peers that each node tests."""
    tested: dict[NodeName, list[Peer]] = {}
    for name, targets in choose_pairs(network, sample=sample).items():
        wanted = set(targets)
        tested[name] = [peer for peer in network.peers(name) if peer.name in wanted]
    return tested


async def _ask(
    network: Network, crew: Crew, tested: Mapping[NodeName, Sequence[Peer]]
) -> dict[NodeName, Completed | TransportError]:
    """Pings and handshakes, from every node with somebody to test."""
    scripts = {
        name: probe_script(network.interface, network.mtu, peers) for name, peers in tested.items() if peers
    }
    longest = max(map(len, tested.values()), default=0)
    return await crew.run(scripts, timeout=20 + SECONDS_PER_BATCH * (4 * longest / PARALLEL + 1))
