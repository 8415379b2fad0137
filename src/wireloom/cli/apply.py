"""``wireloom apply``: bring the machines to what the fleet file says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from wireloom.apply.outcome import Outcome
from wireloom.apply.terms import Terms
from wireloom.cli.carry import approve, conclude, show, yes_option
from wireloom.cli.cluster.carry import raise_cluster, vouch
from wireloom.cli.cluster.ground import require_cluster
from wireloom.cli.saved import SavedPlan, read_plan
from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.supply import Supply, with_supply
from wireloom.cli.survey import survey, survey_again
from wireloom.cli.terms import with_terms
from wireloom.cli.walk import let_pods_through, walk
from wireloom.cli.world import World, open_world, run_async
from wireloom.report.terminal import Progress


@click.command("apply", cls=Verb)
@click.argument("saved", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@yes_option
@with_terms
@with_supply
@settings_of
def command(
    settings: Settings,
    /,
    *,
    saved: Path | None,
    yes: bool,
    new_terms: Callable[[], Terms],
    **supplied: Any,
) -> int:
    """Bring the machines to what the fleet file says, in place and node by node proven.

    SAVED is a plan of `wireloom plan -o`: exactly it is applied, and nothing is asked, or nothing is done if
    a machine has changed since.
    A change that can't be proven is taken back everywhere, by the nodes themselves if they must.
    Another port or range takes several steps, which the plan names. Each is carried out like this, once all
    nodes have taken the one before.
    Where the fleet file wants k3s, it comes after the network, server by server, and is not taken back.
    Exit code 2: done, but for nodes that did not answer, or steps that wait for them; the next apply goes on.
    """
    wanted = None if saved is None else read_plan(saved)
    world = open_world(settings)
    supply = Supply.of(**supplied)
    if not supply.empty:
        require_cluster(world)
    return conclude(settings, run_async(_apply(world, new_terms, supply, saved=wanted, yes=yes)))


async def _apply(
    world: World, new_terms: Callable[[], Terms], supply: Supply, *, saved: SavedPlan | None, yes: bool
) -> Outcome:
    with Progress(quiet=world.settings.quiet) as progress:
        async with survey(world, yes=yes, progress=progress) as found:
            progress.pause()
            show(found, world.settings)
            agreed = vouch(found, supply)
            if saved is not None:
                saved.require_same(found.digest)
            elif not (found.empty or yes):
                approve(len(found.changing))
                progress("looking again")
                agreed = vouch(await survey_again(found), supply)
            outcome, world = await walk(agreed, new_terms, progress)
            if outcome.failed or outcome.steps_left:
                return outcome
            ready = replace(agreed, world=world)
            done = await raise_cluster(ready, new_terms(), supply, progress)
            return replace(await let_pods_through(ready, outcome, new_terms, progress), cluster=done)
