"""All rules on all machines: what was seen → findings, in the order of the fleet file."""

from collections.abc import Iterable, Iterator

from wireloom.errors import Severity
from wireloom.intent.fleet import Fleet
from wireloom.lock.lock import Lock
from wireloom.network.network import Network
from wireloom.observe.state import NodeState, Seen, Unreachable
from wireloom.preflight.comparison import compare_machines
from wireloom.preflight.detours import check_detours
from wireloom.preflight.finding import Check, Finding
from wireloom.preflight.leftover import check_leftover
from wireloom.preflight.machine import check_machine
from wireloom.preflight.ownership import check_ownership
from wireloom.preflight.surroundings import check_surroundings
from wireloom.values import NodeName


def inspect(fleet: Fleet, lock: Lock, network: Network, seen: Seen) -> tuple[Finding, ...]:
    """Everything that is found, machine by machine, errors first.

    ``network`` is woven from ``lock`` with the keys that were seen. A machine that did not answer is a
    finding, and no reason not to look at the others. Where no underlay is built, nothing is said of its
    ports, ranges and files: they are left alone.
    """
    reached = {name: state for name, state in seen.items() if isinstance(state, NodeState)}
    found = [one for name in fleet.nodes for one in _inspect_node(fleet, name, lock, network, seen)]
    found += compare_machines(network, lock, reached)
    return arrange(fleet, found)


def arrange(fleet: Fleet, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in the order of the fleet file, the errors of a machine before its warnings."""
    places = {name: place for place, name in enumerate(fleet.nodes)}
    return tuple(sorted(findings, key=lambda one: (places[one.node], not one.is_error)))


def _inspect_node(
    fleet: Fleet, name: NodeName, lock: Lock, network: Network, seen: Seen
) -> Iterator[Finding]:
    state, built = seen.get(name), fleet.has_underlay
    if state is None and not built:
        return
    if state is None:
        hint = "`wireloom export` writes its file"
        yield Finding(name, Check.LOGIN, "no `ssh`: not applied from here", hint, Severity.WARNING)
    elif isinstance(state, Unreachable):
        yield Finding(name, Check.LOGIN if state.refused else Check.ANSWER, state.what, state.hint)
    else:
        yield from check_machine(state, fleet.underlay.interface, underlay=built)
        if not (built or state.garbled):
            yield from check_leftover(fleet, state)
        if built and not state.garbled:
            yield from check_surroundings(network, state, fleet.underlay.port)
            yield from check_detours(network, state)
            yield from check_ownership(network, lock, state)
