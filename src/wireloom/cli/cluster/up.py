"""``wireloom k3s up``: bring k3s to the machines, over a network that is there."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from wireloom.apply.outcome import Outcome
from wireloom.apply.terms import Terms
from wireloom.cli.carry import approve, conclude, nothing_to_do, show, yes_option
from wireloom.cli.cluster.carry import raise_cluster, vouch
from wireloom.cli.cluster.ground import open_cluster
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.supply import Supply, with_supply
from wireloom.cli.survey import survey, survey_again
from wireloom.cli.terms import with_terms
from wireloom.cli.walk import let_pods_through
from wireloom.cli.world import World, run_async
from wireloom.errors import UserError
from wireloom.report.terminal import Progress


@click.command("up", cls=Verb)
@yes_option
@with_terms
@with_supply
@settings_of
def command(settings: Settings, /, *, yes: bool, new_terms: Callable[[], Terms], **supplied: Any) -> int:
    """Bring k3s to the machines: the part of `wireloom apply` that comes after the network.

    Servers come one at a time, each once the one before is ready and votes in etcd; then agents side by side.
    Nothing of it is undone: after a failure, or Ctrl-C, the next run goes on from there. With host-gw it
    ends with an apply of the network, which lets pods through.
    Exit code 2: done, but for machines that did not answer, or that wait for one.
    """
    world, _ = open_cluster(settings)
    return conclude(settings, run_async(_up(world, new_terms, Supply.of(**supplied), yes=yes)))


async def _up(world: World, new_terms: Callable[[], Terms], supply: Supply, *, yes: bool) -> Outcome:
    with Progress(quiet=world.settings.quiet) as progress:
        async with survey(world, yes=yes, progress=progress) as found:
            progress.pause()
            if not (found.refusals or found.plan.empty):
                hint = "wireloom apply brings the network, and k3s after it"
                raise UserError.one("the network is not as the fleet file says", hint=hint)
            show(found, world.settings)
            agreed = vouch(found, supply)
            if not (found.empty or yes):
                approve(len(found.changing))
                progress("looking again")
                agreed = vouch(await survey_again(found), supply)
            done = await raise_cluster(agreed, new_terms(), supply, progress)
            before = nothing_to_do(found.plan, world.lock.generation)
            outcome = await let_pods_through(agreed, before, new_terms, progress)
            return replace(outcome, cluster=done)
