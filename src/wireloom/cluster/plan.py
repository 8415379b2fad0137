"""What will be done about k3s: steps in their order, each with its reason, none of them undone."""

from dataclasses import dataclass

from wireloom.cluster.desired import ClusterFile, K3sDesired
from wireloom.cluster.places import Role
from wireloom.errors import Diagnostic
from wireloom.plan.plan import Change
from wireloom.values import NodeName


@dataclass(frozen=True, slots=True)
class K3sNodePlan:
    """All that k3s needs on one machine, in the order in which it is done.

    ``install``: the binary of this version has to come. ``write``: files that are not as they should be.
    ``note``: wireloom's own has to be left there. ``begins``: it makes the tokens and begins the cluster.
    ``joins``: it enters one. ``tokens``: it is handed them, also where they were taken away. ``database``:
    it is told where that is. ``enable``: its unit is not started at boot. ``start``: k3s does not run.
    ``restart``: it does, by files that changed.
    """

    desired: K3sDesired
    changes: tuple[Change, ...] = ()
    install: bool = False
    write: tuple[ClusterFile, ...] = ()
    note: bool = False
    begins: bool = False
    joins: bool = False
    tokens: bool = False
    database: bool = False
    enable: bool = False
    start: bool = False
    restart: bool = False

    @property
    def name(self) -> NodeName:
        """The machine's."""
        return self.desired.name

    @property
    def role(self) -> Role:
        """The machine's."""
        return self.desired.role


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What an apply will do about k3s: servers first and one at a time, then agents side by side.

    ``nodes`` are in that order, those with nothing to do among them. ``refusals`` are reasons not to begin.
    """

    nodes: tuple[K3sNodePlan, ...] = ()
    refusals: tuple[Diagnostic, ...] = ()
    notes: tuple[Diagnostic, ...] = ()

    @property
    def servers(self) -> tuple[K3sNodePlan, ...]:
        """Those with something to do, in their order."""
        return tuple(one for one in self.nodes if one.role is Role.SERVER and one.changes)

    @property
    def agents(self) -> tuple[K3sNodePlan, ...]:
        """Those with something to do, in their order."""
        return tuple(one for one in self.nodes if one.role is Role.AGENT and one.changes)

    @property
    def empty(self) -> bool:
        """Nothing to do on any machine."""
        return not (self.servers or self.agents)
