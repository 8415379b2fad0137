"""The options that every verb takes, before it or after it."""

import difflib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click


@dataclass(slots=True)
class Settings:
    """What the user said with the common options. ``file`` is None where none was named."""

    file: Path | None = None
    json: bool = False
    lab: bool = False
    verbose: bool = False
    quiet: bool = False

    @property
    def fleet_path(self) -> Path:
        """The fleet file: the one named, or ``fleet.yaml`` here."""
        return self.file or Path("fleet.yaml")

    @property
    def flags(self) -> str:
        """What means the same machines in the next command; ends with a space, or is empty."""
        named = f"-f {shlex.quote(str(self.file))} " if self.file else ""
        return named + ("--lab " if self.lab else "")


class NamedPath(click.Path):
    """A path that has a name: an empty one, of a variable that is not set, would be the directory here."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """The path. Fails where it is empty."""
        if value == "":
            self.fail("it is empty: is a variable not set?", parameter, context)
        return super().convert(value, parameter, context)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep a common option, wherever it stood: given once, it is given."""
    settings = context.ensure_object(Settings)
    if value and parameter.name:
        setattr(settings, parameter.name, value)


def _common_options() -> list[click.Option]:
    def option(*names: str, **attributes: Any) -> click.Option:
        return click.Option(list(names), expose_value=False, callback=_remember, **attributes)

    return [
        option("-f", "--file", type=NamedPath(path_type=Path), help="The fleet file.  [default: fleet.yaml]"),
        option("--json", is_flag=True, help="Print data as JSON, for programs."),
        option("--lab", is_flag=True, help="Work on the fleet's twin in a lab on this machine."),
        option("-v", "--verbose", is_flag=True, help="Say more."),
        option("-q", "--quiet", is_flag=True, help="Say only what went wrong."),
    ]


HABITS = {
    "--dry-run": "`wireloom plan` shows what apply would do.",
    "--auto-approve": "It is --yes here.",
    "validate": "It is `wireloom check` here.",
    "diff": "It is `wireloom plan` here.",
}
"""Words of other tools that are typed here out of habit (kubectl, Terraform), and what to type instead."""


class Verb(click.Command):
    """A command that takes the common options, too."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.params = [*self.params, *_common_options()]

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """The options. One of another tool is told what it is here."""
        try:
            return super().parse_args(context, arguments)
        except click.NoSuchOption as error:
            if error.option_name not in HABITS:
                raise
            said = f"No such option '{error.option_name}'. {HABITS[error.option_name]}"
            raise click.UsageError(said, context) from None


class VerbGroup(click.Group):
    """A group of verbs; it and they take the common options."""

    command_class = Verb
    group_class = type

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.params = [*self.params, *_common_options()]

    def list_commands(self, context: click.Context) -> list[str]:  # noqa: ARG002
        """In the order of their making: the order in which one needs them."""
        return list(self.commands)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that the first word names; where there is none, what was perhaps meant."""
        try:
            return super().resolve_command(context, arguments)
        except click.UsageError as error:
            close = difflib.get_close_matches(arguments[0], self.list_commands(context), n=1)
            meant = HABITS.get(arguments[0]) or (f"Did you mean '{close[0]}'?" if close else "")
            if not meant:
                raise
            raise click.UsageError(f"{error.message} {meant}", error.ctx) from None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of verbs for the help."""
        with formatter.section("Verbs"):
            formatter.write_dl(self.list_helps())

    def list_helps(self) -> list[tuple[str, str]]:
        """Every verb with a line that says what it does."""
        return [(name, one.get_short_help_str(limit=100)) for name, one in self.commands.items()]


settings_of = click.make_pass_decorator(Settings, ensure=True)
"""Pass the Settings as the first argument of a verb."""
