"""The file that k3s reads: its options as YAML, one a line, in an order that stays (docs.k3s.io/cli).

Every key is an option of ``k3s server`` or ``k3s agent`` (k3s, pkg/cli/cmds/server.go and agent.go). Those
that docs.k3s.io/cli/server calls critical are made of the fleet alone: they must be the same on all servers.
"""

import json
import re
from collections.abc import Mapping

Value = bool | str | tuple[str, ...]

# What the file says of the way into the cluster. k3s passes over it once the machine is in.
_ENTRY = re.compile(r'^(?:cluster-init: true|server: "(?P<url>[^"\s]*)")$')


def print_settings(options: Mapping[str, Value]) -> str:
    """Options → YAML. Texts stand in double quotes: YAML takes `no`, `0600` or `1:2:3` for something else."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in options.items())


def read_entry(text: str) -> str | None:
    """How a machine came into the cluster, by its settings: the URL of the server that it joined at.

    Empty: it began the cluster. None: the text does not say.
    """
    for line in text.splitlines():
        if found := _ENTRY.match(line):
            return found["url"] or ""
    return None


def same_settings(wanted: str, present: str) -> bool:
    """Whether two texts say the same but for the way into the cluster."""
    return _without_entry(wanted) == _without_entry(present)


def _without_entry(text: str) -> list[str]:
    return [line for line in text.splitlines() if not _ENTRY.match(line)]
