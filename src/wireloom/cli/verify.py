"""``wireloom verify``: test on the machines that the network does what it should."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from wireloom.cli.node_word import NodeWord
from wireloom.cli.settings import NamedPath, Settings, Verb, settings_of
from wireloom.cli.terms import Seconds
from wireloom.cli.world import (
    World,
    nonce,
    open_crew,
    open_world,
    require_directory,
    run_async,
    unwritable,
    verdicts_path,
)
from wireloom.cluster.look import look_cluster
from wireloom.errors import Diagnostic, Severity, UserError
from wireloom.grammar import count
from wireloom.intent.finding import suggest
from wireloom.observe.state import Unreachable
from wireloom.report.documents import Document, evidence_document, print_document
from wireloom.report.evidence import keep_evidence, write_verdicts
from wireloom.report.terminal import Progress, say, show_diagnostics, show_evidence
from wireloom.transport.crew import Crew
from wireloom.values import NodeName
from wireloom.verify.claim import Evidence, Verdict
from wireloom.verify.cluster.probes import IMAGE
from wireloom.verify.cluster.verify import verify_cluster
from wireloom.verify.exposed import try_outside
from wireloom.verify.verify import Wish, verify

EXIT_CODES = {Verdict.HOLDS: 0, Verdict.FALSIFIED: 2, Verdict.UNKNOWN: 1}


class ImageName(click.ParamType[str]):
    """The name of a container image, which goes to a machine as it is."""

    name = "image"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name itself. Fails where no image has such a name."""
        if not IMAGE.fullmatch(value):
            self.fail(f"`{value}` is no name of an image, like docker.io/library/busybox:1.37", param, ctx)
        return value


@click.command("verify", cls=Verb)
@click.option("-y", "--yes", is_flag=True, help="Ask nothing; accepts host keys at first contact.")
@click.option(
    "--quick", is_flag=True, help="Only pings, handshakes and what can be read: no captures, no pods."
)
@click.option(
    "--probe-image",
    type=ImageName(),
    metavar="REF",
    help="What the probes in a cluster are made of; it needs busybox in it. By default what is there.",
)
@click.option("--sample", is_flag=True, help="Not all pairs, but a sample, as above 50 nodes.")
@click.option(
    "--audit",
    type=Seconds(),
    metavar="TIME",
    default=0,
    help="Listen so long to all that the machines send each other beside the tunnel (30s, 2m).",
)
@click.option(
    "--disrupt",
    type=NodeWord(),
    help="Take this node's interface down for some seconds, and see that nothing leaves in clear meanwhile.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the evidence there: captures cut to the packets that matter, and all of it as JSON.",
)
@click.option(
    "--html",
    type=NamedPath(path_type=Path, dir_okay=False),
    help="Also write what was found to this file: one page that stands by itself.",
)
@settings_of
def command(
    settings: Settings,
    *,
    yes: bool,
    quick: bool,
    probe_image: str | None,
    sample: bool,
    audit: int,
    disrupt: str | None,
    keep: Path | None,
    html: Path | None,
) -> int:
    """Test every pair of nodes, and prove with captured packets that all goes through the tunnel.

    Answers, handshakes, packet sizes; marked packets, which must be nowhere in clear. Where Kubernetes runs
    on the nodes also that its pods, services and nodes reach each other, by probes that are there for a
    minute. Changes nothing else, but with --disrupt.
    All pairs up to 50 nodes; above that a sample that covers every node and every two sites, and says so.
    Exit code 2: a claim is falsified; 1: something could not be tested.
    """
    world = open_world(settings)
    _require_underlay(world, {"--audit": audit, "--disrupt": disrupt})
    for path in (keep, html):
        if path:
            require_directory(path)
    disrupted = _dialled(world, disrupt) if disrupt else None
    wish = Wish(sample=sample, quick=quick, audit=audit, disrupted=disrupted, probe_image=probe_image)
    evidence = run_async(_verify(world, wish, yes=yes))
    when = datetime.now(UTC).isoformat(timespec="seconds")
    document = evidence_document(evidence, when)
    _leave(world, document, evidence, keep)
    if html:
        _put_page(html, world, evidence, when, quick=quick)
    if settings.json:
        print_document(document)
    elif not settings.quiet or evidence.verdict is not Verdict.HOLDS:
        show_evidence(evidence, every_claim=settings.verbose)
        if not (evidence.claims or world.fleet.has_underlay):
            say("Nothing was tested: no underlay is made (`encrypt: cni`), and no cluster was found.")
    _warn_keyless(world, evidence)
    return EXIT_CODES[evidence.verdict]


def _put_page(path: Path, world: World, evidence: Evidence, when: str, *, quick: bool) -> None:
    """Write the HTML report. Its coverage is by the verdicts that are kept, by now those of this run, too."""
    from wireloom.cli.proofs import cover_fleet
    from wireloom.cluster.mesh import encrypting_network
    from wireloom.report.html import print_html, write_html

    network = encrypting_network(world.fleet, world.network)
    left_out = ("`--quick`: no packets were captured.",) if quick else ()
    sites, coverage = world.fleet.sites, cover_fleet(world)
    page = print_html(network, sites, evidence, when=when, left_out=left_out, coverage=coverage)
    write_html(path, page)


def _require_underlay(world: World, options: Mapping[str, object]) -> None:
    """Raise UserError for options that are about an underlay, where none is made."""
    asked = [option for option, value in options.items() if value]
    if asked and not world.fleet.has_underlay:
        what = "this is about an underlay, and none is made (`encrypt: cni`)"
        hint = "leave it out: `wireloom coverage` says what nodes send each other in clear"
        raise UserError([Diagnostic(what, where=option, hint=hint) for option in asked])


def _warn_keyless(world: World, evidence: Evidence) -> None:
    """Where the lock can't tell whose key is whose, all that runs is a stranger's."""
    keyless = not any(one.public_key for one in world.lock.members.values())
    if keyless and world.fleet.has_underlay and evidence.verdict is Verdict.FALSIFIED:
        what = "no node's public key is in it, so that whoever is a peer is told to be a stranger"
        hint = "apply first: wireloom apply. Where the lock is lost, `wireloom recover` makes it anew"
        show_diagnostics([Diagnostic(what, str(world.lock_path), hint, Severity.WARNING)])


def _dialled(world: World, name: str) -> NodeName:
    """A node that can be dialled. Raises UserError for any other."""
    known = world.dialled
    if name not in known:
        hint = suggest(name, list(known)).removeprefix(": ") or f"one of {', '.join(known[:8])}"
        raise UserError.one(f"--disrupt: no node `{name}` that can be dialled", hint=hint)
    return NodeName(name)


async def _verify(world: World, wish: Wish, *, yes: bool) -> Evidence:
    with Progress(quiet=world.settings.quiet) as progress:
        progress(f"testing from {count(len(world.dialled), 'machine')}")
        async with open_crew(world, yes=yes, progress=progress) as crew:
            evidence = Evidence((), 0, 0)
            if world.fleet.has_underlay:
                evidence = await verify(world.network, crew, frozenset(world.dialled), wish)
            if world.fleet.kubernetes is None:
                return evidence
            progress("testing the cluster")
            return await _verify_cluster(world, crew, wish, evidence)


async def _verify_cluster(world: World, crew: Crew, wish: Wish, evidence: Evidence) -> Evidence:
    """The evidence with that about the fleet's cluster. Who could not be asked is not asked again."""
    askable = frozenset(world.dialled) - {one.name for one in evidence.unasked}
    nodes = [one for one in world.dialled if one in askable and world.fleet.nodes[one].roles]
    seen = await look_cluster(crew, nodes, nonce())
    catch = await verify_cluster(world.fleet, world.network, crew, seen, askable=askable, wish=wish)
    outside = () if wish.quick else await try_outside(world.fleet, world.network, crew, seen, askable)
    claims = (*evidence.claims, *catch.claims, *outside)
    captures = {**evidence.captures, **catch.captures}
    silent = (one for one in seen.nodes.values() if isinstance(one, Unreachable))
    return replace(evidence, claims=claims, captures=captures, unasked=(*evidence.unasked, *silent))


def _leave(world: World, document: Document, evidence: Evidence, keep: Path | None) -> None:
    """Keep the evidence where the user wants it, and the last verdicts beside the fleet file.

    Raises UserError for the first; that the second can't be written hides no verdict.
    """
    try:
        write_verdicts(verdicts_path(world), document)
    except OSError as error:
        what = f"these verdicts are not kept: {error.strerror}"
        where = str(verdicts_path(world))
        show_diagnostics([Diagnostic(what, where=where, severity=Severity.WARNING)])
    if keep:
        try:
            keep_evidence(keep, document, evidence.captures)
        except OSError as error:
            raise unwritable(keep, error) from None
