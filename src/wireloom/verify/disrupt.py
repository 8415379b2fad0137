"""Take a node's interface down for a moment, and see that nothing for the fleet leaves in clear."""

from collections.abc import Sequence
from dataclasses import dataclass

from wireloom.network.network import Network, Peer
from wireloom.transport.crew import Crew
from wireloom.values import NodeName
from wireloom.verify.canaries import choose_canaries, draw, sender_of
from wireloom.verify.canary import capture_filter, sending_script
from wireloom.verify.claim import Claim
from wireloom.verify.watching import watching
from wireloom.verify.wire import gather, judge_closed

SECONDS = 30
"""The node itself brings the interface up again after that, should nobody be there to do it."""

_SHUT = """\
interface={interface}
setsid sh -c 'sleep {seconds}; ip link set "$0" up' "$interface" </dev/null >/dev/null 2>&1 &
undo=$!
restore() {{
    ip link set "$interface" up
    kill -TERM "-$undo"
}}
trap restore EXIT
trap 'exit 143' HUP INT TERM
ip link set "$interface" down || exit
{send}"""


@dataclass(frozen=True, slots=True)
class Shut:
    """What came of it: the claim about the node, and its capture, cut to what matters."""

    claim: Claim
    capture: bytes


async def disrupt(network: Network, crew: Crew, node: NodeName, peers: Sequence[Peer]) -> Shut:
    """Send marked packets to these peers from a node whose interface is down, and a control beside them."""
    chosen = draw()
    filters = {node: capture_filter(chosen.length, network.mtu)}
    async with watching(crew, chosen.run.hex(), network.interface, filters, SECONDS) as seen:
        canaries = list(choose_canaries(network, node, peers, seen.around, chosen))
        script = _SHUT.format(interface=network.interface, seconds=SECONDS, send=sending_script(canaries))
        answer = (await crew.run({node: script}, timeout=SECONDS, aside=True))[node]
    sender = sender_of(peers, seen.around[node], canaries, answer)
    wire = gather(network.interface, chosen, seen.watches, {node: sender})
    return Shut(judge_closed(node, sender, wire), wire.evidence(seen.files).get(node, b""))
