"""Look at k3s on machines: one script, one round trip, all side by side."""

from collections.abc import Iterable, Mapping

from wireloom.cluster.parse import parse_members, parse_seen
from wireloom.cluster.probe import probe_script
from wireloom.cluster.seen import ClusterSeen, K3sSeen, Member
from wireloom.observe.probes import split_sections
from wireloom.observe.state import Unreachable
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

TIMEOUT = 40.0
"""Seconds for all probes of one machine; the longest is a kubectl that hangs, ended after 12."""


async def look_cluster(crew: Crew, nodes: Iterable[NodeName], nonce: str) -> ClusterSeen:
    """What k3s is on these machines, and the cluster as the first server tells that can.

    ``nonce`` parts the probes' answers.
    """
    answers = await crew.run(dict.fromkeys(nodes, probe_script(nonce)), timeout=TIMEOUT)
    return read_cluster(answers, nonce)


def read_cluster(answers: Mapping[NodeName, Completed | TransportError], nonce: str) -> ClusterSeen:
    """The machines' answers → what they are, and whom the cluster knows."""
    nodes: dict[NodeName, K3sSeen | Unreachable] = {}
    members: Mapping[NodeName, Member] | None = None
    told_by: NodeName | None = None
    trouble = ""
    for name, answer in answers.items():
        sections = _split(answer, nonce)
        if isinstance(sections, TransportError):
            refused = not sections.unreachable
            nodes[name] = Unreachable(name, sections.what, sections.hint, refused=refused)
            continue
        nodes[name] = parse_seen(name, sections)
        if members is not None:
            continue
        try:
            members = parse_members(sections.get("members", ""))
            told_by = name if members is not None else None
        except ValueError as error:
            trouble = trouble or f"{name}: {error}"
    return ClusterSeen(nodes, members, told_by, trouble if members is None else "")


def _split(answer: Completed | TransportError, nonce: str) -> dict[str, str] | TransportError:
    if isinstance(answer, TransportError):
        return answer
    try:
        return split_sections(answer.stdout, nonce)
    except ValueError as error:
        hint = answer.stderr.strip()[-200:] or "is a POSIX shell there, as `sh`?"
        return TransportError(str(error), hint=hint)
