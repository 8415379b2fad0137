"""Send marked packets from and to pods while their machines capture: who does what when."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wireloom.cluster.seen import Member
from wireloom.network.network import Network
from wireloom.transport.crew import Crew
from wireloom.transport.port import TransportError
from wireloom.values import Endpoint, NodeName
from wireloom.verify.canaries import SEND_SECONDS, Catch, draw
from wireloom.verify.canary import (
    MARKER_BYTES,
    RUN_BYTES,
    capture_filter,
    read_sent,
    said_of_failure,
    sending_script,
)
from wireloom.verify.capture import Surroundings
from wireloom.verify.claim import Claim, Verdict
from wireloom.verify.cluster.intended import WIREGUARD, Intended
from wireloom.verify.cluster.probes import Probes
from wireloom.verify.cluster.trials import Tried
from wireloom.verify.cluster.wire import WINDOW, Load, PodWire, choose_load, judge_pod_wire
from wireloom.verify.judge import locate
from wireloom.verify.sample import Pairs
from wireloom.verify.watching import Answer, watching
from wireloom.verify.wire import Sender, gather


@dataclass(frozen=True, slots=True)
class Stage:
    """What the packets are sent on: the cluster as it should be and is, its probes, and their machines."""

    intended: Intended
    network: Network
    members: Mapping[NodeName, Member]
    probes: Probes
    tried: Mapping[NodeName, Tried]

    def find(self, name: NodeName, around: Surroundings) -> dict[NodeName, Endpoint | None]:
        """Where the WireGuard of a machine that matters here finds the others now."""
        if self.intended.underlay:
            return locate(self.network.peers(name), around.peers)
        return {
            other: seen.endpoint
            for other, member in self.members.items()
            if member.flannel_key and (seen := around.peers.get(member.flannel_key))
        }


async def send_pod_canaries(stage: Stage, crew: Crew, pairs: Pairs) -> Catch:
    """Test these pairs, with a capture on each machine that could be asked.

    Pairs of which something is lost or unknown are tested once more, in both directions: a busy machine loses
    packets. What was in clear stays so.
    """
    first = await _send_once(stage, crew, pairs)
    doubtful = {pair for one in first.claims if _is_doubtful(one, stage) for pair in _both(one)}
    if not doubtful:
        return first
    again = {name: [one for one in pairs if (name, one) in doubtful] for name in pairs}
    second = await _send_once(stage, crew, {name: others for name, others in again.items() if others})
    better = {(one.source, one.target): one for one in second.claims}
    claims = [
        better.get((one.source, one.target), one) if _is_doubtful(one, stage) else one for one in first.claims
    ]
    return Catch(tuple(claims), {**first.captures, **second.captures})


def _both(claim: Claim) -> Iterable[tuple[NodeName, NodeName]]:
    assert claim.target is not None  # noqa: S101  # all of them are about pairs
    return (claim.source, claim.target), (claim.target, claim.source)


def _is_doubtful(claim: Claim, stage: Stage) -> bool:
    """Whether a second look may tell something else: not of what was in clear, nor of who is not watched."""
    if claim.verdict is Verdict.UNKNOWN:
        return {claim.source, claim.target} <= set(stage.tried)
    return claim.verdict is Verdict.FALSIFIED and not claim.detail.startswith("in clear")


async def _send_once(stage: Stage, crew: Crew, pairs: Pairs) -> Catch:
    """One round: capture, send, capture no more, judge."""
    chosen = draw()
    watched = [name for name in pairs if name in stage.tried]
    mtu = stage.network.mtu
    filters = dict.fromkeys(watched, capture_filter(chosen.length, mtu, WINDOW))
    interface = stage.intended.underlay or WIREGUARD[0]
    async with watching(crew, chosen.run.hex(), interface, filters, SEND_SECONDS) as seen:
        found_at = {name: stage.find(name, around) for name, around in seen.around.items()}
        loads = {
            name: choose_load(
                [one for one in pairs[name] if one in stage.members],
                stage.members,
                stage.probes,
                chosen=chosen,
                markers={
                    other: chosen.run + secrets.token_bytes(MARKER_BYTES - RUN_BYTES) for other in pairs[name]
                },
                found_at=found_at[name],
                under=bool(stage.intended.underlay),
            )
            for name in watched
            if seen.around[name].listening and stage.tried[name].process
        }
        scripts = {name: load_script(load, stage.tried[name].process or 0) for name, load in loads.items()}
        sent = await crew.run(scripts, timeout=SEND_SECONDS, aside=True)
    senders = {name: _sender_of(load, found_at[name], sent[name]) for name, load in loads.items()}
    wire = gather(interface, chosen, seen.watches, senders)
    bridged = {name: tried.bridged for name, tried in stage.tried.items()}
    field = PodWire(stage.intended, wire, senders, loads, bridged)
    claims = [claim for name, others in pairs.items() for claim in judge_pod_wire(name, others, field)]
    captures = {NodeName(f"{name}.pods"): capture for name, capture in wire.evidence(seen.files).items()}
    return Catch(tuple(claims), captures)


def load_script(load: Load, process: int) -> str:
    """Shell that sends it all: from within the network of the probe's process, then from the machine."""
    inside = sending_script(load.inside, perl=f"nsenter -t {process} -n perl")
    outside = sending_script(load.outside, first=len(load.inside))
    return f"{inside}status=$?\n{outside}exit $((status | $?))\n"


def _sender_of(load: Load, found_at: Mapping[NodeName, Endpoint | None], answer: Answer) -> Sender:
    if isinstance(answer, TransportError):
        return Sender(load.canaries, {}, found_at, answer.what)
    return Sender(load.canaries, read_sent(answer.stdout, load.canaries), found_at, said_of_failure(answer))
