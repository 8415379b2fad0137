"""``wireloom k3s``: the cluster on the machines."""

import click

from wireloom.cli.lazy import LazyGroup

VERBS: dict[str, str] = {
    "up": "Bring k3s to the machines, over a network that is there.",
    "kubeconfig": "Fetch what kubectl needs to reach the cluster.",
    "status": "Show the cluster's nodes, as wanted and as they are.",
    "remove": "Take one node out of the cluster.",
    "uninstall": "Take k3s off the machines, and all that it left.",
}
"""In the order in which one needs them; each is a module in ``wireloom.cli.cluster``."""


@click.group("k3s", cls=LazyGroup, verbs=VERBS, package="wireloom.cli.cluster")
def command() -> None:
    """Begin, look at and take away the cluster on the machines.

    What the fleet file says under `kubernetes:` is brought to the machines by `wireloom apply`, as part of
    the same plan.
    """
