"""From the file to the Fleet, or to every mistake in it at once."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from wireloom.errors import Diagnostic, Severity, UserError
from wireloom.intent.build import build_fleet, build_nodes
from wireloom.intent.checks import check_all
from wireloom.intent.cluster import check_cluster, check_supported
from wireloom.intent.document import MAX_BYTES, read_document
from wireloom.intent.fields import Values
from wireloom.intent.finding import START, Finding, Position, diagnose, show
from wireloom.intent.fleet import Fleet, Node
from wireloom.intent.members import check_members
from wireloom.intent.reach import Group, group_nodes, isolated_groups, mute_groups
from wireloom.intent.schema import FLEET_FILE, NODES
from wireloom.values import NodeName

MUTE_LINES = 5
NAMED_NODES = 3


@dataclass(frozen=True, slots=True)
class Loaded:
    """A fleet, and what is doubtful about its file without being wrong."""

    fleet: Fleet
    warnings: tuple[Diagnostic, ...] = ()


def load_fleet(path: Path, *, ahead: bool = False) -> Loaded:
    """Read and validate a fleet file.

    ``ahead``: a cluster that can't be made, or not yet, is taken, too, for who only wants to think about it.

    Raises UserError with every mistake in the file, each with ``path:line:column`` as its ``where``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError.one("there is no such file", where=str(path), hint=_where_else(path)) from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UserError.one(f"the file can't be read: {reason}", where=str(path)) from None
    return parse_fleet(data, path, ahead=ahead)


def _where_else(path: Path) -> str:
    """What to do where there is no fleet file; perhaps it is there by the other name that YAML files have."""
    other = path.with_name("fleet.yml")
    if path.name == "fleet.yaml" and other.is_file():
        return f"there is a fleet.yml: rename it, or give it with `-f {shlex.quote(str(other))}`"
    return "`wireloom init` writes one to start from, `-f` names another"


def parse_fleet(text: bytes, path: Path, *, ahead: bool = False) -> Loaded:
    """Validate the bytes of a fleet file; ``path`` is only its name.

    ``ahead``, and what it raises: as ``load_fleet``.
    """
    findings: list[Finding] = []
    root = read_document(text, findings)
    top = None if root is None else FLEET_FILE.parse(root, findings)
    nodes: dict[NodeName, Node] = {}
    if top is not None:
        nodes = build_nodes(top)
        findings += check_all(top)
        findings += check_reach(top, nodes)
        findings += check_cluster(top)
        if not ahead:
            findings += check_supported(top)
            findings += check_members(top, nodes)
    diagnostics = diagnose(findings, str(path))
    errors = [one for one in diagnostics if one.severity is Severity.ERROR]
    if errors or top is None:
        raise UserError(diagnostics)
    return Loaded(build_fleet(top, nodes, path), diagnostics)


def check_reach(top: Values, nodes: Mapping[NodeName, Node]) -> Iterator[Finding]:
    """No node is out of every other's reach (an error), and pairs without a way to each other (a warning).

    ``nodes`` are those without mistakes; what is said of them stays true when the others are mended.
    """
    entries = top.get(NODES) or ()
    places = {NodeName(one.name): one.at for one in entries}
    groups = group_nodes(nodes.values())
    isolated = isolated_groups(groups, complete=len(nodes) == len(entries))
    for group in isolated:
        for node in group.nodes:
            yield Finding(places[node.name], *_explain_isolation(node))
    lost = {id(group) for group in isolated}
    yield from _warn_mute([one for one in groups if id(one) not in lost], places)


def _explain_isolation(node: Node) -> tuple[str, str]:
    """What is wrong with a node that nobody reaches, and what to do."""
    if node.nat:
        what = f"{show(node.name)} is unreachable: it is behind NAT, and there is no node that it could dial"
        return what, "give another node a `public` address of a family that this one can use"
    if not node.public and not node.private:
        what = f"{show(node.name)} is unreachable: it has no address"
        return what, "add its `public` or `private` addresses, or `nat: true` if it can only dial out"
    if not node.public:
        why = "it has no public address, and not every node shares its private network"
        return (
            f"{show(node.name)} is unreachable: {why}",
            "add its `public` address, or `nat: true` if it can only dial out",
        )
    return (
        f"{show(node.name)} is unreachable: no other node has an address of its families",
        "add one of them",
    )


def _warn_mute(groups: list[Group], places: dict[NodeName, Position]) -> Iterator[Finding]:
    """One warning for each of the first few pairs of groups, and one for the rest."""
    pairs = mute_groups(groups)
    last = START
    for one, other in islice(pairs, MUTE_LINES):
        at = places[one.nodes[0].name]
        last = max(last, at)
        who = _name_nodes(one) if one is other else f"{_name_nodes(one)} and {_name_nodes(other)}"
        both_nat = one.shape.nat and other.shape.nat
        why = "nobody dials a node behind NAT from outside" if both_nat else "no address that both can use"
        way = (
            "make one of them reachable from outside"
            if both_nat
            else "give one an address of the other's family"
        )
        hint = f"no tunnel is made between them: {way}, or live without"
        yield Finding(at, f"{who} have no way to each other: {why}", hint, Severity.WARNING)
    more = sum(
        len(one.nodes) * (len(one.nodes) - 1) // 2 if one is other else len(one.nodes) * len(other.nodes)
        for one, other in pairs
    )
    if more:
        what = f"and {more} more {'pair' if more == 1 else 'pairs'} of nodes without a way to each other"
        yield Finding(last, what, severity=Severity.WARNING)


def _name_nodes(group: Group) -> str:
    """``a, b and c (site s)``, the first few of them by name."""
    names = [show(node.name) for node in group.nodes[:NAMED_NODES]]
    if len(group.nodes) > NAMED_NODES:
        names.append(f"{len(group.nodes) - NAMED_NODES} more")
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{listed} (site {show(group.site)})"
