"""Who votes in the cluster's etcd, and how many of them may fail (etcd.io/docs/v3.6/faq)."""

from collections.abc import Iterable
from dataclasses import dataclass

from wireloom.cluster.seen import Member
from wireloom.grammar import count
from wireloom.values import NodeName


@dataclass(frozen=True, slots=True)
class Quorum:
    """The voters of etcd, and those of them that are Ready: etcd runs on servers, and k3s with it."""

    voters: frozenset[NodeName]
    ready: frozenset[NodeName]

    @classmethod
    def of(cls, members: Iterable[Member]) -> "Quorum":
        """As the cluster tells it; without voters where the database is somewhere else."""
        voting = [one for one in members if one.etcd_voter]
        return cls(frozenset(one.name for one in voting), frozenset(one.name for one in voting if one.ready))

    @property
    def needed(self) -> int:
        """How many make a majority; a change of the voters needs one as well."""
        return len(self.voters) // 2 + 1 if self.voters else 0

    @property
    def spare(self) -> int:
        """How many of those that are ready may still fail; below 0 there is no majority."""
        return len(self.ready) - self.needed

    def without(self, name: NodeName) -> "Quorum":
        """Once this one votes no more."""
        return Quorum(self.voters - {name}, self.ready - {name})

    def __str__(self) -> str:
        """``3 voters, one may fail``."""
        if self.spare < 0:
            return f"{len(self.ready)} of {count(len(self.voters), 'voter')} ready, {self.needed} needed"
        away = len(self.voters) - len(self.ready)
        ready = f", {away} not ready" if away else ""
        may = {0: "none", 1: "one"}.get(self.spare, str(self.spare))
        return f"{count(len(self.voters), 'voter')}{ready}, {may} may fail"
