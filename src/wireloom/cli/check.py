"""``wireloom check``: the fleet file, without touching a machine; with --nodes the machines, too."""

from typing import TYPE_CHECKING

import click

from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.world import open_world
from wireloom.grammar import count

if TYPE_CHECKING:
    from wireloom.cli.world import World
    from wireloom.network.network import Network


@click.command("check", cls=Verb)
@click.option("--nodes", is_flag=True, help="Look at the machines, too: are they ready for plan and apply?")
@click.option(
    "--install", is_flag=True, help="With --nodes: install what is missing there, after a question."
)
@click.option(
    "-y", "--yes", is_flag=True, help="With --nodes: ask nothing; accepts host keys at first contact, too."
)
@settings_of
def command(settings: Settings, nodes: bool, install: bool, yes: bool) -> int:
    """Check the fleet file and its lock: every mistake at once, without touching a machine.

    With --nodes all machines are looked at, and nothing is changed but what --install brings. Every finding
    is told with the command that mends it. Exit code 1: a machine is not ready, or does not answer.
    """
    if (install or yes) and not nodes:
        raise click.UsageError("--install and --yes go with --nodes")
    from wireloom.report.documents import network_document, print_document
    from wireloom.report.terminal import print_data

    world = open_world(settings)
    if nodes:
        from wireloom.cli.readiness import check_nodes

        return check_nodes(world, install=install, yes=yes)
    network = world.network
    if settings.json:
        from wireloom.cluster.mesh import encrypting_network

        shown = encrypting_network(world.fleet, network)
        print_document({"ok": True, "network": network_document(shown)})
        return 0
    if not settings.quiet:
        print_data(f"{world.fleet.path}: fine. {_describe(world)}")
    return 0


def _describe(world: "World") -> str:
    """The fleet in a line, by what wireloom makes of it: the underlay, k3s, or both."""
    fleet = world.fleet
    parts = [f"{count(len(fleet.nodes), 'node')} in {count(len(fleet.sites), 'site')}"]
    parts += _describe_underlay(world.network) if fleet.has_underlay else ["no underlay (`encrypt: cni`)"]
    if fleet.k3s:
        from wireloom.cluster.places import Role
        from wireloom.cluster.standing import cluster_nodes

        roles = list(cluster_nodes(fleet).values())
        machines = [count(roles.count(one), one.name.lower()) for one in Role if one in roles]
        parts.append(f"k3s {fleet.k3s.version} on {' and '.join(machines)}")
    return ", ".join(parts)


def _describe_underlay(network: "Network") -> list[str]:
    tunnels = sum(1 for name in network.members for _ in network.peers(name)) // 2
    ranges = ", ".join(map(str, network.ranges))
    return [
        count(tunnels, "tunnel"),
        f"{ranges} on {network.interface}",
        f"port {network.port}",
        f"MTU {network.mtu}",
    ]
