"""Every pair of nodes asked whether its tunnel works: an apply proves itself with a few neighbours only."""

from collections.abc import Collection, Mapping
from itertools import combinations

from wireloom.apply.script import Hand, Neighbour
from wireloom.apply.step import PROVE_SECONDS, STEP_TIMEOUT, diagnose, read_all
from wireloom.errors import Diagnostic
from wireloom.network.network import Network, Peer
from wireloom.transport.crew import Crew
from wireloom.values import NodeName


def pair_up(network: Network, fresh: Collection[NodeName] = ()) -> dict[NodeName, list[Peer]]:
    """Whom each node asks: each pair of peers is there once.

    A pair with one ``fresh`` node, whose key is new, is asked from the other side, which can't take an old
    handshake for a new one. Others from a side that can dial; where both can, each node gets its share.
    """
    peers = {name: {peer.name: peer for peer in network.peers(name)} for name in network.members}
    asked: dict[NodeName, list[Peer]] = {name: [] for name in network.members}
    for place, (one, other) in enumerate(combinations(network.members, 2)):
        if other in peers[one]:
            asker = _choose(peers, one, other, fresh, place)
            asked[asker].append(peers[asker][other if asker == one else one])
    return asked


def _choose(
    peers: Mapping[NodeName, Mapping[NodeName, Peer]],
    one: NodeName,
    other: NodeName,
    fresh: Collection[NodeName],
    place: int,
) -> NodeName:
    if (one in fresh) != (other in fresh):
        return other if one in fresh else one
    if peers[one][other].endpoint is None:
        return other
    if peers[other][one].endpoint is None:
        return one
    return (one, other)[place % 2]


async def find_silent(
    crew: Crew, hand: Hand, network: Network, fresh: Collection[NodeName] = ()
) -> list[Diagnostic]:
    """The pairs without an answer. Of a ``fresh`` node with a handshake by its key, of others any answer."""
    scripts = {
        name: hand.ask(PROVE_SECONDS, [_as_neighbour(peer, fresh) for peer in asked])
        for name, asked in pair_up(network, fresh).items()
        if asked
    }
    # Behind a NAT a node speaks when its next keepalive is due, unless it has something to say.
    nudges = {name: hand.nudge(waiting) for name, waiting in _find_waiting(network, fresh).items() if waiting}
    await crew.run(nudges, timeout=STEP_TIMEOUT)
    owners = {str(peer.addresses[0]): peer.name for view in network.views.values() for peer in view}
    answers = await crew.run(scripts, timeout=PROVE_SECONDS + STEP_TIMEOUT)
    silent = diagnose(answers, "prove")
    for name, answer in answers.items():
        for one in read_all(answer, "unproven"):
            whom = owners.get(one.partition(",")[0], one)
            silent.append(Diagnostic(f"no answer over {network.interface} from {whom}", where=name))
    return silent


def _find_waiting(network: Network, fresh: Collection[NodeName]) -> dict[NodeName, list[Neighbour]]:
    """For each ``fresh`` node the peers that can't dial it, and wait to hear of its new key."""
    blind = {
        (name, peer.name) for name in network.members for peer in network.peers(name) if not peer.endpoint
    }
    return {
        name: [
            Neighbour(peer.addresses[0], peer.public_key)
            for peer in network.peers(name)
            if (peer.name, name) in blind
        ]
        for name in fresh
    }


def _as_neighbour(peer: Peer, fresh: Collection[NodeName]) -> Neighbour:
    return Neighbour(peer.addresses[0], peer.public_key if peer.name in fresh else None)
