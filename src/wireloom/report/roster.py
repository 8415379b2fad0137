"""What ``k3s status`` shows: a row per node, what is wrong below it, and the cluster in a few lines."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from wireloom.cluster.places import Role
from wireloom.cluster.roster import NodeRow, Roster
from wireloom.grammar import count
from wireloom.report.columns import Columns
from wireloom.report.hint import complete
from wireloom.report.terminal import print_data

COLUMNS = Columns(
    titles=("NODE", "ROLE", "VERSION", "SERVICE", "READY", "ADDRESS", "ETCD", "PODS"),
    dispensable=("PODS", "ADDRESS", "VERSION", "ETCD"),
)

_ROLES = {Role.SERVER: "server", Role.AGENT: "agent", None: "-"}
_VOTES = {True: "voter", False: "learner", None: ""}


@dataclass(frozen=True, slots=True)
class RosterView:
    """The table for a terminal of any width; ``quiet``: only nodes that something is wrong with."""

    roster: Roster
    quiet: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """For Rich."""
        rows = _shown(self.roster, quiet=self.quiet)
        if rows:
            yield from COLUMNS.fit(lambda between: [_cells(row, between) for row in rows], options.max_width)
        for row in rows:
            for wrong in row.wrong:
                yield Text.assemble((f"{row.name}: ", "bold"), wrong)
        for line in _cluster_lines(self.roster, quiet=self.quiet):
            yield Text(line)


def show_roster(roster: Roster, *, quiet: bool) -> None:
    """The table on stdout, the cluster below it. In a pipe each is a line, which nothing is cut from."""
    if sys.stdout.isatty():
        Console(file=sys.stdout, highlight=False).print(RosterView(roster, quiet))
        return
    rows = _shown(roster, quiet=quiet)
    if rows:
        COLUMNS.print_whole([_cells(row, ", ") for row in rows])
    for row in rows:
        for wrong in row.wrong:
            print_data(f"{row.name}: {wrong}")
    for line in _cluster_lines(roster, quiet=quiet):
        print_data(line)


def _shown(roster: Roster, *, quiet: bool) -> list[NodeRow]:
    return [row for row in roster.rows if row.wrong or not quiet]


def _cells(row: NodeRow, between: str) -> dict[str, str | Text]:
    member = row.member
    good = {"active": "green", "not asked": "yellow", "activating": "yellow"}
    return {
        "NODE": row.name,
        "ROLE": _ROLES[row.role],
        "VERSION": row.version,
        "SERVICE": Text(row.service, good.get(row.service, "red")),
        "READY": Text("") if member is None else Text(*(("yes", "green") if member.ready else ("no", "red"))),
        "ADDRESS": between.join(map(str, row.addresses)),
        "ETCD": _VOTES[member.etcd_voter] if member else "",
        "PODS": between.join(map(str, member.pods)) if member else "",
    }


def _cluster_lines(roster: Roster, *, quiet: bool) -> Iterator[str]:
    if roster.told_by is None:
        why = f": {roster.trouble}" if roster.trouble else ""
        yield f"No server tells of the cluster{why}."
    elif roster.quorum.spare < 0 or not quiet:
        votes = f"; etcd: {roster.quorum}" if roster.quorum.voters else ""
        yield f"{count(roster.servers, 'server')}{votes} (told by {roster.told_by})."
    if not quiet:
        carried = f"{roster.cni} ({roster.backend})" if roster.backend else roster.cni
        ranges = ", ".join(map(str, roster.pods))
        yield f"Pods {ranges}, services {', '.join(map(str, roster.services))}, carried by {carried}."
        proof = complete("`wireloom verify` proves it")
        yield f"To be encrypted by {' and '.join(roster.devices) or 'nothing'}: {proof}."


def roster_document(roster: Roster) -> dict[str, Any]:
    """Every node, and the cluster."""
    quorum = roster.quorum
    return {
        "told_by": roster.told_by,
        "trouble": roster.trouble,
        "servers": roster.servers,
        "etcd": {
            "voters": sorted(quorum.voters),
            "ready": sorted(quorum.ready),
            "needed": quorum.needed,
            "may_fail": max(quorum.spare, 0) if quorum.voters else None,
            "majority": quorum.spare >= 0 if quorum.voters else None,
        },
        "pods": [str(one) for one in roster.pods],
        "services": [str(one) for one in roster.services],
        "cni": roster.cni,
        "flannel_backend": roster.backend,
        "encrypt": roster.encrypt,
        "encrypted_by": list(roster.devices),
        "nodes": [_row_document(row) for row in roster.rows],
    }


def _row_document(row: NodeRow) -> dict[str, Any]:
    member = row.member
    return {
        "node": row.name,
        "role": row.role,
        "service": row.service,
        "enabled": row.enabled,
        "installed": row.installed,
        "wanted_addresses": [str(one) for one in row.wanted],
        "wrong": list(row.wrong),
        "member": None
        if member is None
        else {
            "ready": member.ready,
            "reason": member.reason,
            "schedulable": member.schedulable,
            "server": member.server,
            "version": member.version,
            "internal": [str(one) for one in member.internal],
            "external": [str(one) for one in member.external],
            "etcd_voter": member.etcd_voter,
            "pods": [str(one) for one in member.pods],
            "flannel_backend": member.flannel_backend,
        },
    }
