"""``wireloom graph``: the network as a picture."""

from pathlib import Path

import click

from wireloom.cli.settings import NamedPath, Settings, Verb, settings_of
from wireloom.cli.world import open_world, unwritable
from wireloom.disk import put_file
from wireloom.errors import UserError

ENDINGS = {".svg": "svg", ".dot": "dot", ".gv": "dot"}


@click.command("graph", cls=Verb)
@click.option(
    "-o",
    "--output",
    type=NamedPath(path_type=Path, dir_okay=False),
    help="Write it to this file: NAME.svg, or NAME.dot or NAME.gv.",
)
@click.option(
    "--format", "form", type=click.Choice(["svg", "dot"]), help="[default: by the file's name, else svg]"
)
@settings_of
def command(settings: Settings, output: Path | None, form: str | None) -> None:
    """Draw sites, nodes and tunnels as SVG or DOT, from the fleet file alone.

    Where no underlay is made (`encrypt: cni`), the tunnels that flannel makes between the cluster's nodes.
    """
    from wireloom.cluster.mesh import encrypting_network
    from wireloom.report.graph import draw_dot, draw_svg

    chosen = _choose_form(output, form)
    world = open_world(settings)
    network = encrypting_network(world.fleet, world.network)
    if output is not None or not settings.json:
        draw = draw_dot if chosen == "dot" else draw_svg
        # As bytes: whoever reads these languages takes them for UTF-8, whatever this terminal speaks.
        _put(draw(network, world.fleet.sites).encode(), output)
    if settings.json:
        from wireloom.report.documents import network_document, print_document

        print_document(network_document(network))


def _put(picture: bytes, output: Path | None) -> None:
    if output is None:
        click.echo(picture, nl=False)
        return
    try:
        put_file(output, picture, mode=0o644)
    except OSError as error:
        raise unwritable(output, error) from None


def _choose_form(output: Path | None, form: str | None) -> str:
    """What is asked for, or what the file's name says. Raises UserError where they differ, or say nothing."""
    if output is None or (form and not output.suffix):
        return form or "svg"
    named = ENDINGS.get(output.suffix.lower())
    can = "wireloom draws SVG (NAME.svg) and DOT (NAME.dot, NAME.gv)"
    if not output.suffix:
        raise UserError.one("which kind of picture?", where=str(output), hint=f"{can}; --format says it, too")
    if named is None:
        hint = f"{can}; Graphviz makes others of DOT: dot -Tpng NAME.dot -o NAME.png"
        raise UserError.one(f"no picture is drawn as {output.suffix}", where=str(output), hint=hint)
    if form and form != named:
        hint = "leave out --format, or name the file otherwise"
        raise UserError.one(
            f"--format {form} is not for a {output.suffix} file", where=str(output), hint=hint
        )
    return named
