"""``wireloom export``: plain wg-quick files, to deploy them another way."""

from pathlib import Path

import click

from wireloom.cli.settings import NamedPath, Settings, Verb, settings_of
from wireloom.cli.world import open_world, require_underlay, with_lock
from wireloom.grammar import count
from wireloom.lock.file import write_lock
from wireloom.report.export import Exported, export, gather_keys
from wireloom.secret import PrivateKey
from wireloom.values import NodeName


@click.command("export", cls=Verb)
@click.option(
    "-o",
    "--output",
    required=True,
    type=NamedPath(path_type=Path, file_okay=False),
    help="Where the files go.",
)
@click.option(
    "--keys",
    type=NamedPath(path_type=Path, file_okay=False),
    help="Private keys, NAME.key: used where they are there, made where nobody knows one.",
)
@settings_of
def command(settings: Settings, output: Path, keys: Path | None) -> None:
    """Write NAME.conf for every node: wg-quick files that need no wireloom.

    Without --keys no key is made or read, the files lack their PrivateKey line, and a line says how to
    add it. Addresses and public keys that are new are put in the lock.
    """
    world = open_world(settings)
    made = "flannel makes its tunnels and keys itself, and `wireloom graph` draws them"
    require_underlay(world, f"there are no files to write: {made}")
    private: dict[NodeName, PrivateKey] = {}
    if keys is not None:
        private, _ = gather_keys(
            keys, {name: world.lock.nodes[name].public_key for name in world.fleet.nodes}
        )
        public = {name: key.public_key for name, key in private.items()}
        world = with_lock(world, world.lock.with_keys(public))
    write_lock(world.lock_path, world.lock)
    exported = export(world.network, output, private)
    if settings.json:
        from wireloom.report.documents import print_document

        print_document(
            {
                "files": [str(path) for path in exported.files],
                "without_private_key": list(exported.without_private_key),
                "without_public_key": list(exported.without_public_key),
            }
        )
    elif not settings.quiet:
        _tell(exported, output, given=keys is not None)


def _tell(exported: Exported, output: Path, *, given: bool) -> None:
    click.echo(f"Wrote {count(len(exported.files), 'file')} to {output}.", err=True)
    if exported.without_private_key and given:
        click.echo(
            f"Their private key is on the machine: {', '.join(exported.without_private_key)}.", err=True
        )
    if exported.without_public_key:
        names = ", ".join(exported.without_public_key)
        click.echo(
            f"Nobody's peer, since no key of theirs is known: {names}. --keys DIR makes one.", err=True
        )
