"""``wireloom lab``: machines on this computer to try a fleet on."""

import click

from wireloom.cli.node_word import NodeWord
from wireloom.cli.settings import Settings, Verb, VerbGroup, settings_of
from wireloom.cli.world import find_lab, lab_lock_path, require_own
from wireloom.errors import UserError
from wireloom.grammar import count
from wireloom.intent.fleet import Fleet
from wireloom.intent.load import load_fleet
from wireloom.lab.machine import Lab, down, enter, find, running, up
from wireloom.report.documents import print_document
from wireloom.report.terminal import Progress, print_data, say


@click.group("lab", cls=VerbGroup)
def command() -> None:
    """Machines on this computer to try a fleet on: namespaces, routers, NAT, a real sshd in each.

    A lab touches no address, route or service of this computer, and nothing leaves it.
    """


@command.command("up", cls=Verb, short_help="Build the machines and networks of the fleet.")
@settings_of
def up_command(settings: Settings) -> None:
    """Build the machines and networks of the fleet. Again with the lab up: nothing to do."""
    fleet = load_fleet(settings.fleet_path).fleet
    if find(fleet.name) is None:
        # New machines have new keys: what was known of the old ones is of no use.
        lab_lock_path(fleet).unlink(missing_ok=True)
    with Progress(quiet=settings.quiet) as progress:
        lab = up(fleet, progress)
    if settings.json:
        print_document(_lab_document(lab))
    elif not settings.quiet:
        first = next(iter(fleet.nodes))
        say(f"Lab {lab.name} is up: {count(len(lab.machines), 'machine')}.")
        say(f"Look around: wireloom lab exec {first} -- ip address")


@command.command("down", cls=Verb, short_help="Take a lab down, and everything in it.")
@click.argument("name", required=False)
@settings_of
def down_command(settings: Settings, name: str | None) -> None:
    """Take a lab down, and everything in it: that of the fleet file, or NAME, whatever file it is of."""
    chosen = _own_lab(settings) if name is None else name
    was_up = down(chosen)
    if settings.json:
        print_document({"name": chosen, "was_up": was_up})
    elif not settings.quiet:
        say(f"Lab {chosen} is down." if was_up else f"Lab {chosen} was not up.")


@command.command("list", cls=Verb)
@settings_of
def list_command(settings: Settings) -> None:
    """List the labs that are up on this computer."""
    labs = running()
    if settings.json:
        print_document({"labs": [_lab_document(lab) for lab in labs]})
    for lab in labs if not settings.json else []:
        print_data(f"{lab.name}  {count(len(lab.machines), 'machine')}  {lab.fleet_path}")


@command.command(
    "exec",
    cls=Verb,
    short_help="Run a command in a machine of the lab.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("machine", type=NodeWord())
@click.argument("words", nargs=-1, required=True, metavar="COMMAND...", type=click.UNPROCESSED)
@settings_of
def exec_command(settings: Settings, machine: str, words: tuple[str, ...]) -> int:
    """Run a command in a machine of the lab: `wireloom lab exec cp1 -- wg show`.

    Besides nodes there are @internet, @operator and a router @SITE for each site.
    """
    argv = list(words[words[0] == "--" :])
    if not argv:
        raise click.UsageError("which command? As in: wireloom lab exec cp1 -- wg show")
    return enter(_chosen_lab(settings), machine, argv)


def _chosen_lab(settings: Settings) -> Lab:
    """The lab of the fleet file; without one, the only lab that is up."""
    if settings.file is None and not settings.fleet_path.exists():
        labs = running()
        if len(labs) == 1:
            return labs[0]
        names = ", ".join(lab.name for lab in labs)
        hint = (
            f"name its fleet file with -f; up are: {names}" if labs else "build one: wireloom -f FILE lab up"
        )
        raise UserError.one("which lab?" if labs else "no lab is up", hint=hint)
    return find_lab(_fleet(settings))


def _own_lab(settings: Settings) -> str:
    """The name of the fleet file's lab, up or not. Raises UserError where another file's has that name."""
    fleet = _fleet(settings)
    for lab in running():
        if lab.name == fleet.name:
            require_own(lab, fleet)
    return fleet.name


def _fleet(settings: Settings) -> Fleet:
    return load_fleet(settings.fleet_path).fleet


def _lab_document(lab: Lab) -> dict[str, object]:
    return {"name": lab.name, "fleet_file": str(lab.fleet_path), "machines": dict(lab.machines)}
