"""``wireloom check --nodes``: whether the machines are ready for what the fleet file wants."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wireloom.cli.survey import look_around, look_at_cluster, visit
from wireloom.cli.world import World, ask, run_async
from wireloom.cluster.findings import inspect_cluster
from wireloom.cluster.mesh import encrypting_network
from wireloom.cluster.seen import ClusterSeen
from wireloom.grammar import count
from wireloom.network.network import Network
from wireloom.network.topology import wanted_stance, weave
from wireloom.observe.state import Seen
from wireloom.plan.fleet import keys_seen
from wireloom.plan.footing import learn_footing
from wireloom.preflight.finding import Check, Finding
from wireloom.preflight.install import (
    Installation,
    install_script,
    judge_installation,
    plan_installations,
)
from wireloom.preflight.preflight import arrange, inspect
from wireloom.report.documents import print_document, readiness_document
from wireloom.report.terminal import Progress, print_data, say, show_findings
from wireloom.transport.crew import Crew
from wireloom.transport.port import Completed, TransportError


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was seen last, and what was installed before it; ``failures`` tell of what could not be.

    ``k3s`` is None where wireloom makes no cluster.
    """

    seen: Seen
    k3s: ClusterSeen | None = None
    installed: list[Installation] = field(default_factory=list)
    failures: list[Finding] = field(default_factory=list)


def check_nodes(world: World, *, install: bool, yes: bool) -> int:
    """Look at every machine, install what is missing if asked to, and tell all findings; the exit code."""
    found = run_async(_look(world, install=install, yes=yes))
    lock = learn_footing(world.lock, found.seen, wanted_stance(world.fleet))
    network = weave(world.fleet, lock.with_keys(keys_seen(found.seen)))
    findings = arrange(
        world.fleet,
        [
            *found.failures,
            *inspect(world.fleet, lock, network, found.seen),
            *(inspect_cluster(world.fleet, network, found.k3s) if found.k3s else ()),
        ],
    )
    if world.settings.json:
        shown = encrypting_network(world.fleet, network)
        print_document(readiness_document(shown, findings, found.installed))
    else:
        show_findings(findings)
        _conclude(world, network, findings)
    return 1 if any(one.is_error for one in findings) else 0


async def _look(world: World, *, install: bool, yes: bool) -> Readiness:
    with Progress(quiet=world.settings.quiet) as progress:
        async with visit(world, yes=yes, progress=progress) as (crew, seen):
            wanted = list(plan_installations(seen, underlay=world.fleet.has_underlay)) if install else []
            if not wanted:
                return Readiness(seen, await look_at_cluster(world, crew, seen))
            progress.pause()
            _approve(wanted, yes=yes)
            progress(f"installing on {', '.join(one.node for one in wanted)}")
            failures = await _install(crew, wanted)
            failed = {one.node for one in failures}
            progress("looking again")
            installed = [one for one in wanted if one.node not in failed]
            again = await look_around(world, crew)
            return Readiness(again, await look_at_cluster(world, crew, again), installed, failures)


def _approve(wanted: Sequence[Installation], *, yes: bool) -> None:
    for one in wanted:
        say(f"  {one.node}  {one}")
    ask(f"Install this on {count(len(wanted), 'machine')}?", yes=yes)


async def _install(crew: Crew, wanted: Sequence[Installation]) -> list[Finding]:
    """Install on all of them side by side; what did not go well."""
    scripts = {one.node: install_script(one) for one in wanted}
    answers = await crew.run(scripts, timeout=max(one.seconds for one in wanted))
    found = [_judge(one, answers[one.node]) for one in wanted]
    return [one for one in found if one is not None]


def _judge(installation: Installation, answer: Completed | TransportError) -> Finding | None:
    if isinstance(answer, TransportError):
        return Finding(installation.node, Check.INSTALL, answer.what, answer.hint)
    return judge_installation(installation, answer.status, answer.stderr)


def _conclude(world: World, network: Network, findings: Sequence[Finding]) -> None:
    """One line: all there is to say where nothing was found."""
    errors = [one for one in findings if one.is_error]
    behind = {one.node for one in errors}
    place, machines = world.fleet.path, len(world.dialled)
    if errors:
        where = f"{len(behind)} of {count(machines, 'machine')}"
        print_data(f"{place}: not ready: {count(len(errors), 'error')} on {where}")
    elif not world.settings.quiet:
        print_data(f"{place}: {count(machines, 'machine')} ready{_what_for(world, network)}")


def _what_for(world: World, network: Network) -> str:
    """What comes next: the underlay, k3s, or both."""
    parts = []
    if world.fleet.has_underlay:
        parts = [f"{network.interface}: {', '.join(map(str, network.ranges))}", f"port {network.port}"]
    if world.fleet.k3s:
        parts.append(f"k3s {world.fleet.k3s.version}")
    return f" for {', '.join(parts)}" if parts else ""
