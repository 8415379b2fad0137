"""How ``remove`` and ``uninstall`` end."""

from collections.abc import Sequence

from wireloom.apply.outcome import Ending
from wireloom.apply.removal import Departure
from wireloom.cli.settings import Settings
from wireloom.report.documents import print_document
from wireloom.report.removal import departures_document, show_departures


def conclude(settings: Settings, departures: Sequence[Departure]) -> int:
    """Tell how it ended. 1: it failed somewhere; 2: a machine did not answer; 0: done."""
    endings = {one.ending for one in departures}
    code = 1 if Ending.FAILED in endings else 2 if Ending.PENDING in endings else 0
    if settings.json:
        print_document(departures_document(departures))
    elif code or not settings.quiet:
        show_departures(departures)
    return code
