"""``wireloom init``: a fleet.yaml to begin with."""

import json
from pathlib import Path

import click

from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.world import unwritable
from wireloom.errors import UserError
from wireloom.intent.schema import json_schema
from wireloom.intent.template import TEMPLATE
from wireloom.report.hint import complete


@click.command("init", cls=Verb)
@settings_of
def command(settings: Settings) -> None:
    """Write a commented fleet.yaml, and fleet.schema.json beside it for your editor.

    Nothing that exists is overwritten.
    """
    path = settings.fleet_path
    if path.exists():
        raise UserError.one(
            "already there: it is not overwritten",
            where=str(path),
            hint="another name: wireloom -f NAME init",
        )
    schema = path.with_name("fleet.schema.json")
    written = [_write(path, TEMPLATE)]
    if not schema.exists():
        written.append(_write(schema, json.dumps(json_schema(), indent=2) + "\n"))
    if settings.json:
        from wireloom.report.documents import print_document

        print_document({"written": written})
    elif not settings.quiet:
        then = complete("Put your machines in, then: wireloom check")
        click.echo(f"Wrote {' and '.join(written)}. {then}", err=True)


def _write(path: Path, text: str) -> str:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise unwritable(path, error) from None
    return str(path)
