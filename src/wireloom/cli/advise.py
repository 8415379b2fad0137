"""``wireloom advise``: the layer to encrypt in, and why."""

from dataclasses import replace

import click

from wireloom.advise.assumption import ASSUMPTIONS, assume, parse_assumptions
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.world import open_world
from wireloom.network.topology import weave


@click.command("advise", cls=Verb)
@click.option(
    "--what-if",
    "what_if",
    multiple=True,
    metavar="KEY=VALUE",
    help=f"Assume this of the fleet; may be given again. KEY: {', '.join(one.key for one in ASSUMPTIONS)}.",
)
@settings_of
def command(settings: Settings, what_if: tuple[str, ...]) -> None:
    """Say in which layer to encrypt: on the machines, in the network plugin, or both.

    From the fleet file, without touching a machine: the rules that decide with their sources, what
    stays unencrypted under each choice, what each costs, and what would change the answer. What the
    file can't know, such as egress_firewall=yes or mesh=istio-strict, is for --what-if to say.
    """
    from wireloom.advise.advice import advise
    from wireloom.advise.facts import look_at
    from wireloom.report.advice import advice_document, show_advice
    from wireloom.report.documents import print_document

    assumed = parse_assumptions(what_if)
    world = open_world(settings, ahead=True)
    # The MTU does not depend on the cluster, and one that is only thought about has no network yet.
    mtu = weave(replace(world.fleet, kubernetes=None), world.lock).mtu
    advice = advise(assume(look_at(world.fleet, mtu), assumed))
    if settings.json:
        print_document(advice_document(world.fleet.name, advice, assumed))
    elif not settings.quiet:
        show_advice(advice, assumed)
