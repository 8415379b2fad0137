"""Look at every node: one script, one round trip, all side by side."""

from collections.abc import Iterable

from wireloom.observe.parse import parse_state
from wireloom.observe.probes import probe_script, split_sections
from wireloom.observe.state import NodeState, Stranger, Unreachable
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, HostKeyUnknown, TransportError
from wireloom.values import NodeName

TIMEOUT = 30.0
"""Seconds for all probes of one node."""


async def look(
    crew: Crew, nodes: Iterable[NodeName], interface: str, nonce: str
) -> dict[NodeName, NodeState | Unreachable]:
    """What is on each node, or why it could not be looked at. ``nonce`` parts the probes' answers."""
    script = probe_script(interface, nonce)
    answers = await crew.run(dict.fromkeys(nodes, script), timeout=TIMEOUT)
    return {name: _read(name, answer, nonce) for name, answer in answers.items()}


def _read(name: NodeName, answer: Completed | TransportError, nonce: str) -> NodeState | Unreachable:
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
        return parse_state(name, split_sections(answer.stdout, nonce))
    except ValueError as error:
        hint = answer.stderr.strip()[-200:] or "is a POSIX shell there, as `sh`?"
        return Unreachable(name, str(error), hint, refused=True)
