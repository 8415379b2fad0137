"""Look at every node: one script, one round trip, all side by side."""

from collections.abc import Iterable
from dataclasses import replace

from wireloom.observe.parse import parse_state
from wireloom.observe.probes import probe_script, split_sections
from wireloom.observe.state import ClockSeen, NodeState, Stranger, Unreachable
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, HostKeyUnknown, TransportError
from wireloom.values import NodeName

TIMEOUT = 30.0
"""Seconds for all probes of one node."""


async def look(
    crew: Crew, nodes: Iterable[NodeName], interface: str, nonce: str, *, port: int
) -> dict[NodeName, NodeState | Unreachable]:
    """What is on each node, or why it could not be looked at. ``nonce`` parts the probes' answers."""
    script = probe_script(interface, nonce, port=port)
    seen: dict[NodeName, NodeState | Unreachable] = {}

    def read(name: NodeName, answer: Completed | TransportError) -> None:
        seen[name] = _read(name, answer, nonce, crew.host_key(name))

    answers = await crew.run(dict.fromkeys(nodes, script), timeout=TIMEOUT, done=read)
    return {name: seen[name] for name in answers}


def _read(
    name: NodeName, answer: Completed | TransportError, nonce: str, host_key: str
) -> NodeState | Unreachable:
    if isinstance(answer, HostKeyUnknown):
        return Stranger(
            name=name,
            what=answer.what,
            hint=answer.hint,
            refused=True,
            shown_by=answer.node,
            host_key=answer.host_key,
            fingerprint=answer.fingerprint,
        )
    if isinstance(answer, TransportError):
        return Unreachable(name, answer.what, answer.hint, refused=not answer.unreachable)
    try:
        state = parse_state(name, split_sections(answer.stdout, nonce))
    except ValueError as error:
        hint = answer.stderr.strip()[-200:] or "is a POSIX shell there, as `sh`?"
        return Unreachable(name, str(error), hint, refused=True)
    clock = None if "os" in state.garbled else _compare_clock(state, answer)
    return replace(state, ground=replace(state.ground, host_key=host_key, clock=clock))


def _compare_clock(state: NodeState, answer: Completed) -> ClockSeen:
    """The machine read its clock at some moment between our question and its answer."""
    return ClockSeen.measured(state.system.clock, answer.sent, answer.received)
