"""What a node answered to one step of apply, read."""

from collections.abc import Mapping

from wireloom.apply.outcome import Ending, NodeOutcome
from wireloom.errors import Diagnostic
from wireloom.transport.port import Completed, TransportError
from wireloom.values import NodeName

STEP_TIMEOUT = 60.0
"""Seconds that one script may take on one node."""

PROVE_SECONDS = 20
"""A handshake that got lost is tried again after 5 s (REKEY_TIMEOUT): room for three tries."""


def read_answer(answer: Completed | TransportError) -> dict[str, str]:
    """The ``name=value`` lines of an answer; none where there is no answer."""
    text = answer.stdout if isinstance(answer, Completed) else ""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def read_all(answer: Completed | TransportError, name: str) -> list[str]:
    """Every value of one name, in order."""
    text = answer.stdout if isinstance(answer, Completed) else ""
    return [line.removeprefix(f"{name}=") for line in text.splitlines() if line.startswith(f"{name}=")]


def trouble_of(name: NodeName, answer: Completed | TransportError, step: str) -> NodeOutcome | None:
    """What went wrong with a step, in the words of the node where it has some."""
    if isinstance(answer, TransportError):
        return NodeOutcome(name, Ending.FAILED, answer.what, answer.hint, step)
    if answer.status == 0:
        return None
    said = complaints(answer) or f"exit status {answer.status}: {answer.stderr.strip()[-300:]}"
    return NodeOutcome(name, Ending.FAILED, said, step=step)


def diagnose(answers: Mapping[NodeName, Completed | TransportError], step: str) -> list[Diagnostic]:
    """What went wrong with a step, node by node, for who is told at once and goes no further."""
    troubles = (trouble_of(name, answer, step) for name, answer in answers.items())
    return [Diagnostic(one.detail, where=one.name, hint=one.hint) for one in troubles if one]


def complaints(answer: Completed) -> str:
    """What wireloom's hands on the node had to say."""
    lines = answer.stderr.splitlines()
    return "; ".join(line.removeprefix("wireloom: ") for line in lines if line.startswith("wireloom: "))
