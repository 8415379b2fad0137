"""What the last ``verify`` of a fleet left behind."""

import json
from collections.abc import Mapping

from wireloom.advise.facts import outside_kubernetes
from wireloom.advise.proof import Proof, read_proofs
from wireloom.advise.traffic import TrafficClass
from wireloom.cli.world import World, verdicts_path
from wireloom.errors import Diagnostic, Severity


def load_proofs(world: World) -> Mapping[TrafficClass, Proof]:
    """The proofs that are kept beside the fleet file; none where there is no file.

    One that makes no sense proves nothing, which is told on stderr.
    """
    path = verdicts_path(world)
    try:
        return read_proofs(json.loads(path.read_bytes()), outside=bool(outside_kubernetes(world.fleet)))
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
