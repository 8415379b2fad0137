"""What became of an apply, node by node."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from wireloom.plan.plan import Plan
from wireloom.values import NodeName


class Ending(StrEnum):
    """How it ended for one node."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    PENDING = "pending"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """How it ended for one node, and why where it is not plain. ``step``: where it went wrong."""

    name: NodeName
    ending: Ending
    detail: str = ""
    hint: str = ""
    step: str = ""


def any_failed(nodes: Iterable[NodeOutcome]) -> bool:
    """Some node failed, or had to be rolled back."""
    return any(one.ending in {Ending.FAILED, Ending.ROLLED_BACK} for one in nodes)


def left_out(plan: Plan) -> list[NodeOutcome]:
    """The nodes that the plan could not be made for: nobody reached them, and they catch up later."""
    return [NodeOutcome(one.name, Ending.PENDING, one.what, one.hint) for one in plan.unreachable]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an apply ended. ``generation`` is the number that it took; one that failed is not used again.

    ``steps_left``: what has to follow yet, step by step, until all is as wanted. ``cluster``: how it ended
    for k3s, on the machines that have a role in it.
    """

    generation: int
    nodes: tuple[NodeOutcome, ...]
    steps_left: tuple[str, ...] = ()
    cluster: tuple[NodeOutcome, ...] = ()

    @property
    def failed(self) -> bool:
        """Some node failed, or had to be rolled back."""
        return any_failed((*self.nodes, *self.cluster))

    @property
    def pending(self) -> bool:
        """Some node could not be reached, or waits for one, and catches up at a later apply."""
        return any(one.ending is Ending.PENDING for one in (*self.nodes, *self.cluster))
