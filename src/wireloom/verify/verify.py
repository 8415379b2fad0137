"""Test the claims on the machines: one script per node, all side by side."""

from collections.abc import Mapping

from wireloom.network.network import Network, Peer
from wireloom.observe.state import Unreachable
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName
from wireloom.verify.canaries import send_canaries
from wireloom.verify.claim import Claim, Evidence
from wireloom.verify.judge import judge, read_report, unknown
from wireloom.verify.probe import PARALLEL, probe_script
from wireloom.verify.sample import choose_pairs

SECONDS_PER_BATCH = 5
"""Longer than three pings to somebody who does not answer."""

NOT_ASKABLE = TransportError("no `ssh` in the fleet file: can't be asked")


async def verify(
    network: Network, crew: Crew, askable: frozenset[NodeName], *, quick: bool = False
) -> Evidence:
    """Every pair of peers (a sample of them above 50 nodes), tested from each node in ``askable``.

    The claims of a node that can't be asked are unknown; whether it answers is still tested from others.
    ``quick``: no marked packets, no captures.
    """
    pairs = choose_pairs(network)
    tested: dict[NodeName, list[Peer]] = {}
    for name, targets in pairs.items():
        wanted = set(targets)
        tested[name] = [peer for peer in network.peers(name) if peer.name in wanted]
    scripts = {
        name: probe_script(network.interface, network.mtu, tested[name])
        for name in network.members
        if name in askable and tested[name]
    }
    longest = max((len(peers) for peers in tested.values()), default=0)
    timeout = 20 + SECONDS_PER_BATCH * (4 * longest / PARALLEL + 1)
    answers = await crew.run(scripts, timeout=timeout)
    claims: list[Claim] = []
    unasked: list[Unreachable] = []
    for name, peers in tested.items():
        answer = answers.get(name, NOT_ASKABLE)
        if isinstance(answer, TransportError):
            claims += unknown(name, peers, answer.what)
            if peers:
                unasked.append(Unreachable(name, answer.what, answer.hint, refused=not answer.unreachable))
        else:
            claims += judge(name, peers, read_report(answer.stdout), network)
    captures: Mapping[NodeName, bytes] = {}
    if not quick:
        answered = [name for name, answer in answers.items() if isinstance(answer, Completed)]
        catch = await send_canaries(network, crew, tested, answered)
        claims += catch.claims
        captures = catch.captures
    total = sum(len(list(network.peers(name))) for name in network.members)
    return Evidence(tuple(claims), sum(map(len, tested.values())), total, tuple(unasked), captures)
