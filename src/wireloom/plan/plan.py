"""A plan is data: what will be done on which node, why, and what undoes it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from wireloom.errors import Diagnostic
from wireloom.observe.state import Unreachable
from wireloom.render.desired import ConfigFile, UnitFile
from wireloom.values import NodeName

Command = tuple[str, ...]
"""An argument list, run on the node as root."""


class Action(StrEnum):
    """What happens to a target."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    START = "start"
    RESTART = "restart"
    ENABLE = "enable"


class Risk(StrEnum):
    """What traffic may notice: nothing, a moment without packets, a break, or the operator locked out."""

    NONE = "none"
    BRIEF = "brief"
    DISRUPTIVE = "disruptive"
    LOCKOUT = "lockout"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan. ``do`` changes the running state and ``undo`` is its inverse.

    Both are empty where the change is one of files, keys or units: those are in the NodePlan.
    ``together``: a node that has changed and one that has not don't understand each other.
    """

    action: Action
    target: str
    reason: str
    risk: Risk = Risk.NONE
    do: tuple[Command, ...] = ()
    undo: tuple[Command, ...] = ()
    together: bool = False


@dataclass(frozen=True, slots=True)
class UnitChange:
    """A file of systemd's to write. ``before`` is what it holds now; None where it is not there."""

    file: UnitFile
    before: str | None


@dataclass(frozen=True, slots=True)
class NodePlan:
    """All that one node needs, in the order of the apply protocol.

    ``make_key``: it has none yet. ``first_config``: what to put in place when it has no file at all.
    ``unit``: an addition to its unit. ``start``: its unit must start the interface. ``config``: the file
    to stage and, once proven, to put in place. ``fingerprint``: of the state that was seen.
    ``filed``: the present file without its key line, where it is as an apply left it.
    """

    name: NodeName
    changes: tuple[Change, ...] = ()
    make_key: bool = False
    first_config: ConfigFile | None = None
    unit: UnitChange | None = None
    start: bool = False
    enable: bool = False
    config: ConfigFile | None = None
    fingerprint: str = ""
    filed: str = field(default="", repr=False)

    @property
    def commands(self) -> tuple[Command, ...]:
        """The running state's changes, in order."""
        return tuple(command for change in self.changes for command in change.do)

    @property
    def summary(self) -> str:
        """The changes in a line: a few of their targets, files only where there is nothing else."""
        live = [change for change in self.changes if not change.target.startswith("file ")]
        targets = [f"{change.action} {change.target}" for change in live or self.changes]
        more = f", and {len(targets) - 6} more" if len(targets) > 6 else ""
        return ", ".join(targets[:6]) + more

    @property
    def inverse(self) -> tuple[Command, ...]:
        """What undoes ``commands``, last change first."""
        return tuple(command for change in reversed(self.changes) for command in change.undo)


@dataclass(frozen=True, slots=True)
class Plan:
    """What an apply will do. ``refusals`` are reasons not to begin at all.

    ``steps``: what this plan does, and those that have to follow one by one, to another port or range.
    """

    fleet: str
    generation: int
    nodes: tuple[NodePlan, ...]
    unreachable: tuple[Unreachable, ...] = ()
    refusals: tuple[Diagnostic, ...] = ()
    notes: tuple[Diagnostic, ...] = ()
    steps: tuple[str, ...] = ()

    def changes(self) -> Iterator[tuple[NodeName, Change]]:
        """Every change with its node."""
        return ((node.name, change) for node in self.nodes for change in node.changes)

    @property
    def empty(self) -> bool:
        """Nothing to do on any node that could be looked at."""
        return not any(node.changes for node in self.nodes)
