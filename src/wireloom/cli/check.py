"""``wireloom check``: the fleet file, without touching a machine."""

import click

from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.world import open_world


@click.command("check", cls=Verb)
@settings_of
def command(settings: Settings) -> int:
    """Check the fleet file and its lock: every mistake at once, without touching a machine."""
    from wireloom.report.documents import network_document, print_document
    from wireloom.report.terminal import print_data

    world = open_world(settings)
    network = world.network
    if settings.json:
        print_document({"ok": True, "network": network_document(network)})
        return 0
    pairs = sum(1 for name in network.members for _ in network.peers(name))
    ranges = ", ".join(map(str, network.ranges))
    if not settings.quiet:
        print_data(
            f"{world.fleet.path}: fine. {len(network.members)} nodes in {len(world.fleet.sites)} sites,"
            f" {pairs // 2} tunnels, {ranges} on {network.interface}, port {network.port}, MTU {network.mtu}"
        )
    return 0
