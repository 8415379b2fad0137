"""Where ``wireloom`` starts: a Ctrl-C while its modules are still being imported is no traceback either."""

import sys

INTERRUPTED = 130
"""Defined here: ``main``, which has the other exit codes, may not be there yet."""


def main() -> None:
    """Run the command line and exit."""
    try:
        from wireloom.cli.main import main as run
    except KeyboardInterrupt:
        print("\nwireloom: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    run()
