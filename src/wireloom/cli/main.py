"""The command line: ``wireloom [-f fleet.yaml] VERB``. Every way out of the program is here."""

import gc
import itertools
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from wireloom import __version__
from wireloom.cli.interruption import heed_signals
from wireloom.cli.lazy import LazyGroup
from wireloom.cli.settings import Settings
from wireloom.cli.start import INTERRUPTED
from wireloom.cli.streams import OutputError, close_stdout, open_streams
from wireloom.errors import Diagnostic, UserError
from wireloom.report.hint import completed_by

OK, WRONG, PENDING, BUG = 0, 1, 2, 70

VERBS = {
    "init": "Write a fleet.yaml to begin with.",
    "check": "Check the fleet file; with --nodes the machines, too.",
    "advise": "Say in which layer to encrypt, and why.",
    "coverage": "Show what encrypts which traffic, and what was proven.",
    "plan": "Show what apply would do.",
    "apply": "Bring the machines to what the fleet file says.",
    "rollback": "Bring the machines back to a generation that they keep.",
    "rotate": "Give nodes new keys, without a lost packet.",
    "history": "Show the generations that the machines keep.",
    "recover": "Make a lost fleet.lock anew, from what the machines keep.",
    "verify": "Test on the machines that the network does what it should.",
    "status": "Show every node's interface and peers.",
    "k3s": "Begin, look at and take away the cluster on the machines.",
    "uninstall": "Take the network off the machines, with all its files.",
    "exporter": "Serve metrics for Prometheus.",
    "graph": "Draw the network as SVG or DOT.",
    "export": "Write plain wg-quick files, to deploy them another way.",
    "schema": "Print the JSON Schema of the fleet file.",
    "completion": "Print what a shell completes verbs, options and nodes with.",
    "lab": "Machines on this computer to try a fleet on.",
}

_BARE_COMMAND = rf"\bwireloom (?=(?:{'|'.join(VERBS)})\b)"
"""A pattern, compiled at the first hint: most commands give none."""


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    package="wireloom.cli",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="wireloom")
def command() -> None:
    """Encrypt a Kubernetes cluster's network with WireGuard: one file, plan, apply, prove.

    \b
    Exit codes: 0 fine (plan: nothing to change; verify: every claim holds)
                2 changes pending (plan, or an apply, a rollback or an uninstall
                  that left unreachable nodes pending), or a claim falsified
                  (verify)
                1 a mistake of yours or of the world; a verdict of unknown, too
               70 a bug in wireloom
              130 interrupted: Ctrl-C, SIGTERM or SIGHUP
    """  # noqa: D301  # the backspace is meant: click leaves the paragraph after it as it is


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    open_streams()
    heed_signals()
    leave(run(list(sys.argv[1:] if arguments is None else arguments)))


def leave(code: int) -> NoReturn:
    """Exit, without a last look for garbage among all that lives: it took as long as two logins."""
    gc.freeze()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    # Nothing here makes garbage in cycles worth looking for: a fleet of 400 nodes loads a third faster.
    gc.set_threshold(200_000, 50, 50)
    settings = Settings()

    def complete(hint: str) -> str:
        return re.sub(_BARE_COMMAND, lambda bare: bare[0] + settings.flags, hint)

    try:
        with completed_by(complete):
            code = _run_verb(arguments, settings)
        sys.stdout.flush()
    except OutputError as error:
        close_stdout()
        if not error.reader_left:
            print(f"wireloom: {error}", file=sys.stderr)
        return WRONG
    return code


def _run_verb(arguments: list[str], settings: Settings) -> int:
    """Whatever goes wrong is told, and becomes an exit code; but for output that can't be written."""
    try:
        code = command.main(arguments, prog_name="wireloom", standalone_mode=False, obj=settings)
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        # click has ended the line that ^C is on, but not that of a question.
        print("wireloom: interrupted" if error.__cause__ else "\nwireloom: interrupted", file=sys.stderr)
        return INTERRUPTED
    except click.ClickException as error:
        settings.json = settings.json or _asked_for_json(arguments)
        _show_usage_error(error, settings)
        return WRONG
    except UserError as error:
        _show_user_error(error, settings)
        return WRONG
    except OutputError:
        raise
    except Exception:
        _show_bug()
        return BUG
    return code if isinstance(code, int) else OK


def _asked_for_json(arguments: list[str]) -> bool:
    """Whether ``--json`` is there: where an option makes no sense, none of those beside it was taken in."""
    return "--json" in itertools.takewhile(lambda word: word != "--", arguments)


def _show_usage_error(error: click.ClickException, settings: Settings) -> None:
    if settings.json:
        from wireloom.report.documents import errors_document, print_document

        print_document(errors_document([Diagnostic(error.format_message())]))
    error.show()


def _show_user_error(error: UserError, settings: Settings) -> None:
    from wireloom.report.terminal import show_diagnostics

    if settings.json:
        from wireloom.report.documents import errors_document, print_document

        print_document(errors_document(error.diagnostics))
    show_diagnostics(error.diagnostics)


def _show_bug() -> None:
    import traceback

    traceback.print_exc()
    print(
        f"wireloom {__version__}: this is a bug in wireloom. Please report it with the lines above;"
        " they hold no keys.",
        file=sys.stderr,
    )
