"""``wireloom verify``: test on the machines that the network does what it should."""

import click

from wireloom.cli.settings import Settings, Verb, settings_of
from wireloom.cli.world import World, open_crew, open_world, run_async
from wireloom.grammar import count
from wireloom.report.documents import evidence_document, print_document
from wireloom.report.terminal import Progress, show_evidence
from wireloom.verify.claim import Evidence, Verdict
from wireloom.verify.verify import verify

EXIT_CODES = {Verdict.HOLDS: 0, Verdict.FALSIFIED: 2, Verdict.UNKNOWN: 1}


@click.command("verify", cls=Verb)
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; accepts host keys at first contact.")
@click.option("--quick", is_flag=True, help="No marked packets, no captures: pings and handshakes only.")
@settings_of
def command(settings: Settings, yes: bool, quick: bool) -> int:
    """Test every pair of nodes: answers, handshakes, packet sizes. Changes nothing.

    All pairs up to 50 nodes; above that a sample that covers every node, and says so.
    Exit code 2: a claim is falsified; 1: something could not be tested.
    """
    world = open_world(settings)
    evidence = run_async(_verify(world, yes=yes, quick=quick))
    if settings.json:
        print_document(evidence_document(evidence))
    elif not settings.quiet or evidence.verdict is not Verdict.HOLDS:
        show_evidence(evidence, every_claim=settings.verbose)
    return EXIT_CODES[evidence.verdict]


async def _verify(world: World, *, yes: bool, quick: bool) -> Evidence:
    with Progress(quiet=world.settings.quiet) as progress:
        progress(f"testing from {count(len(world.dialled), 'machine')}")
        async with open_crew(world, yes=yes, progress=progress) as crew:
            return await verify(world.network, crew, frozenset(world.dialled), quick=quick)
