"""What an apply has to do, decided to the last key: made by `enrol` for a fleet file, or for a rollback."""

from collections.abc import Mapping
from dataclasses import dataclass

from wireloom.lock.lock import Lock
from wireloom.observe.state import Seen
from wireloom.plan.fleet import pending
from wireloom.plan.plan import NodePlan, Plan
from wireloom.render.desired import NodeDesired
from wireloom.values import NodeName


@dataclass(frozen=True, slots=True)
class Order:
    """A plan with what it leads to. ``lock`` is the one to save before anything is staged.

    ``desired`` is for the nodes that change. ``nat``: the nodes that nobody can dial. ``back_to``: the
    generation that a rollback goes back to.
    """

    plan: Plan
    lock: Lock
    seen: Seen
    desired: Mapping[NodeName, NodeDesired]
    interface: str
    nat: frozenset[NodeName] = frozenset()
    back_to: int | None = None

    @property
    def changing(self) -> dict[NodeName, NodePlan]:
        """The nodes that have something to do."""
        return {node.name: node for node in pending(self.plan)}

    @property
    def retry(self) -> str:
        """What brings a node on that was left behind."""
        return "the next apply" if self.back_to is None else f"`wireloom rollback {self.back_to}`"

    def summary(self, plan: NodePlan) -> str:
        """What a node's history says about this: a line for people."""
        return plan.summary if self.back_to is None else f"back to generation {self.back_to}: {plan.summary}"
