"""``wireloom schema``: the JSON Schema of the fleet file."""

import json

import click

from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.intent.schema import json_schema


@click.command("schema", cls=Verb)
@settings_of
def command(settings: Settings) -> None:  # noqa: ARG001  # every verb takes the common options
    """Print the JSON Schema of the fleet file: editors complete and check with it."""
    click.echo(json.dumps(json_schema(), indent=2))
