"""A group whose verbs are imported when they are called: ``--help`` must not wait for any of them."""

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

    def get_command(self, context: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """The verb of that name, from its module."""
        if name not in self._verbs:
            return None
        command: click.Command = importlib.import_module(f"{self._package}.{name}").command
        return command

    def list_helps(self) -> list[tuple[str, str]]:
        """Every verb with its line, none of them imported."""
        return list(self._verbs.items())
