"""``wireloom graph``: the network as a picture."""

from pathlib import Path

import click

from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.world import open_world
from wireloom.errors import UserError


@click.command("graph", cls=Verb)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file."
)
@click.option(
    "--format", "form", type=click.Choice(["svg", "dot"]), help="[default: by the file's name, else svg]"
)
@settings_of
def command(settings: Settings, output: Path | None, form: str | None) -> None:
    """Draw sites, nodes and tunnels as SVG or DOT, from the fleet file alone."""
    from wireloom.report.graph import draw_dot, draw_svg

    world = open_world(settings)
    if settings.json:
        from wireloom.report.documents import network_document, print_document

        print_document(network_document(world.network))
        return
    dot = (form or (output.suffix[1:] if output else "svg")) == "dot"
    text = (draw_dot if dot else draw_svg)(world.network, world.fleet.sites)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError.one(f"can't be written: {error.strerror}", where=str(output)) from None
