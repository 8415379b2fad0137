"""What the last ``verify`` of a fleet left behind, and what it says of the fleet's traffic."""

import json
from collections.abc import Mapping

from wireloom.advise.choice import choice_of
from wireloom.advise.coverage import Coverage, cover
from wireloom.advise.facts import in_kubernetes, outside_kubernetes
from wireloom.advise.proof import Proof, read_proofs
from wireloom.advise.traffic import TrafficClass
from wireloom.cli.world import World, verdicts_path
from wireloom.errors import Diagnostic, Severity


def cover_fleet(world: World, *, every_column: bool = False) -> Coverage:
    """What encrypts which traffic of a fleet, and what the last verify proved of it."""
    cluster = bool(in_kubernetes(world.fleet))
    return cover(choice_of(world.fleet), load_proofs(world), cluster=cluster, every_column=every_column)


def load_proofs(world: World) -> Mapping[TrafficClass, Proof]:
    """The proofs that are kept beside the fleet file; none where there is no file.

    One that makes no sense proves nothing, which is told on stderr.
    """
    path = verdicts_path(world)
    try:
        return read_proofs(
            json.loads(path.read_bytes()),
            outside=bool(outside_kubernetes(world.fleet)),
            underlay=world.fleet.has_underlay,
        )
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        what = f"the verdicts of the last verify can't be read, and proves nothing: {reason}"
        hint = "`wireloom verify` writes it anew"
        if not world.settings.quiet:
            from wireloom.report.terminal import show_diagnostics

            show_diagnostics([Diagnostic(what, str(path), hint, Severity.WARNING)])
        return {}
