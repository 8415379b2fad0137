"""A group whose verbs are imported when they are called: ``--help`` must not wait for any of them."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

import click

from wireloom.cli.settings import VerbGroup


class LazyGroup(VerbGroup):
    """The verbs of a package, a module each, whose ``command`` it is; ``verbs`` has what the help says."""

    def __init__(self, *arguments: Any, verbs: Mapping[str, str], package: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._verbs = verbs
        self._package = package

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002
        """In the order in which one needs them."""
        return list(self._verbs)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that the first word names; where there is none, what was perhaps meant."""
        try:
            return super().resolve_command(context, arguments)
        except click.UsageError as error:
            close = difflib.get_close_matches(arguments[0], self._verbs, n=1)
            if not close:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{close[0]}'?", error.ctx) from None

    def get_command(self, context: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """The verb of that name, from its module."""
        if name not in self._verbs:
            return None
        command: click.Command = importlib.import_module(f"{self._package}.{name}").command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of verbs for the help, without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(self._verbs.items()))
