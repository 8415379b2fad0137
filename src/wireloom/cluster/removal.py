"""Whether a node can be taken out of the cluster, and how; whether k3s can be taken off machines. Pure."""

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from wireloom.cluster.places import Role
from wireloom.cluster.quorum import Quorum
from wireloom.cluster.seen import ClusterSeen, K3sSeen, Member
from wireloom.errors import Diagnostic, Severity, UserError
from wireloom.intent.fleet import Fleet
from wireloom.observe.state import Unreachable
from wireloom.values import NodeName


@dataclass(frozen=True, slots=True)
class Removal:
    """How a node leaves. ``via``: the server that is asked to let it go, None where it has gone already.

    ``drain``: its pods go elsewhere first; who is not Ready has nobody to end them. ``voter``: etcd takes it
    out; ``needed``: until then those that are left are no majority, and it must not end. ``machine``: it
    answers, and the k3s on it is ours to take away.
    """

    name: NodeName
    via: NodeName | None = None
    drain: bool = False
    voter: bool = False
    needed: bool = False
    machine: bool = False
    notes: tuple[Diagnostic, ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing is left of it."""
        return self.via is None and not self.machine

    def same_as(self, other: "Removal") -> bool:
        """Whether as much is done; another server may be asked to do it."""
        return (self.via is None, self.drain, self.voter, self.machine) == (
            other.via is None,
            other.drain,
            other.voter,
            other.machine,
        )


def plan_removal(fleet: Fleet, seen: ClusterSeen, name: NodeName, *, force: bool = False) -> Removal:
    """How a node is taken out. Raises UserError where it can't be, or must not be.

    ``force``: also one that is Ready and whose machine can't be reached, on which k3s will go on.
    """
    member, state = seen.member(name), seen.machine(name)
    if name not in fleet.nodes and member is None:
        raise UserError([_unknown(fleet, seen, name)])
    if seen.members is None:
        hint = "a server that is left has to let it go; to take k3s off all machines: wireloom k3s uninstall"
        why = f": {seen.trouble}" if seen.trouble else ""
        raise UserError.one(f"no server tells of the cluster{why}", hint=hint)
    machine = is_ours(fleet, state)
    if member is None:
        return Removal(name, machine=machine, notes=tuple(_notes(fleet, seen, name)))
    refusals = [*_refuse(seen.members.values(), member)]
    if state is None and member.ready and not force:
        hint = "make it reachable; or --force takes it out of the cluster, and leaves its machine as it is"
        refusals.append(
            Diagnostic("is Ready, and its machine can't be reached: k3s would go on there", name, hint)
        )
    via = _find_server(seen, name)
    if via is None and not refusals:
        hint = "a server that is left has to let it go: see wireloom k3s status"
        refusals.append(Diagnostic("no other server answers", where=name, hint=hint))
    if refusals:
        raise UserError(refusals)
    quorum = Quorum.of(seen.members.values())
    return Removal(
        name=name,
        via=via,
        drain=member.ready,
        voter=member.etcd_voter is not None,
        needed=name in quorum.ready and quorum.spare == 0,
        machine=machine,
        notes=tuple(_notes(fleet, seen, name)),
    )


def _unknown(fleet: Fleet, seen: ClusterSeen, name: NodeName) -> Diagnostic:
    known = {*fleet.nodes, *(seen.members or {})}
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "see: wireloom k3s status"
    what = "is neither in the fleet file nor in the cluster"
    if seen.members is None:
        what = "is not in the fleet file, and no server tells of the cluster"
    return Diagnostic(what, where=name, hint=hint)


def is_ours(fleet: Fleet, state: K3sSeen | None) -> bool:
    """Whether k3s is there and wireloom's note says that it is this fleet's."""
    return state is not None and state.stamp is not None and state.stamp.fleet == fleet.name


def whose_else(fleet: Fleet, state: K3sSeen) -> str:
    """Whose a k3s is that is not this fleet's; empty where it is, and where there is none."""
    if is_ours(fleet, state) or not (state.stamp or state.role or state.ran or state.version is not None):
        return ""
    return f"the fleet `{state.stamp.fleet}`'s" if state.stamp else "not wireloom's"


def _refuse(members: Collection[Member], leaving: Member) -> Iterator[Diagnostic]:
    """Never the last server, and never below quorum: neither with the vote that goes nor without it."""
    name = leaving.name
    if leaving.server and not any(one.server for one in members if one.name != name):
        hint = "wireloom k3s uninstall takes k3s off all machines"
        yield Diagnostic("is the last server: without it there is no cluster", where=name, hint=hint)
    elif leaving.etcd_voter:
        before = Quorum.of(members)
        after = before.without(name)
        hint = "bring a voter back first: see wireloom k3s status"
        if before.spare < 0:
            yield Diagnostic(f"etcd has no majority to let it go: {before}", where=name, hint=hint)
        elif after.spare < 0:
            yield Diagnostic(f"etcd would have no majority without it: {after}", where=name, hint=hint)


def _find_server(seen: ClusterSeen, leaving: NodeName) -> NodeName | None:
    """Who is asked to let a node go: the server that told of the cluster, or another that is ready."""
    ready = [
        name
        for name, state in seen.nodes.items()
        if isinstance(state, K3sSeen) and state.role is Role.SERVER and state.running
        if (one := seen.member(name)) and one.ready and name != leaving
    ]
    return seen.told_by if seen.told_by in ready else next(iter(ready), None)


def _notes(fleet: Fleet, seen: ClusterSeen, name: NodeName) -> Iterator[Diagnostic]:
    def note(what: str, hint: str = "") -> Diagnostic:
        return Diagnostic(what, where=name, hint=hint, severity=Severity.WARNING)

    member, state = seen.member(name), seen.machine(name)
    if state is None:
        yield note(
            "its machine can't be reached: what k3s has left there stays", "if it comes back: run this again"
        )
    elif whose := whose_else(fleet, state):
        yield note(f"the k3s on its machine is {whose}: it is not touched")
    if member is None:
        return
    if not member.ready:
        yield note("it is not Ready: its pods are not waited for")
    before = Quorum.of((seen.members or {}).values())
    after = before.without(name)
    if member.etcd_voter and after.spare == 0 and before.spare > 0:
        yield note(f"etcd will have {after}")


def refuse_uninstall(
    fleet: Fleet, chosen: Collection[NodeName], seen: ClusterSeen | None = None
) -> tuple[Diagnostic, ...]:
    """Why k3s must not be taken off these machines; once they were seen, also what else counts on them."""
    if fleet.kubernetes and fleet.kubernetes.protected:
        hint = "take `protected: true` out of `kubernetes:` if you mean it"
        return (Diagnostic("this cluster is protected", where=str(fleet.path), hint=hint),)
    members = (seen.members if seen else None) or {}
    left = [name for name, one in members.items() if one.server and name not in chosen]
    return tuple(
        Diagnostic(
            f"is in the cluster, which goes on without it, on {', '.join(left)}",
            where=name,
            hint=f"take it out first: wireloom k3s remove {name}",
        )
        for name in chosen
        if left and name in members
    )


def refuse_teardown(fleet: Fleet, seen: ClusterSeen, riders: Collection[NodeName]) -> Iterator[Diagnostic]:
    """The network is not taken away from under k3s. ``riders``: it rides on it there, where there is one."""
    for name, state in seen.nodes.items():
        if name not in riders and not (
            fleet.has_underlay and isinstance(state, K3sSeen) and is_ours(fleet, state)
        ):
            continue
        if isinstance(state, Unreachable):
            yield Diagnostic(
                f"whether k3s runs there can't be told: {state.what}", where=name, hint=state.hint
            )
        elif is_ours(fleet, state):
            hint = f"take it off first: wireloom k3s remove {name}, or off all: wireloom k3s uninstall"
            yield Diagnostic("k3s rides on the network", where=name, hint=hint)
        elif state.role is not None:
            hint = "take it off first; or, if it does not, `roles` off the node, and apply"
            yield Diagnostic(
                "k3s is there, and not wireloom's: it may ride on the network", where=name, hint=hint
            )
