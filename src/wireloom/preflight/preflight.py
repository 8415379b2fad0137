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
from wireloom.preflight.machine import check_machine
from wireloom.preflight.ownership import check_ownership
from wireloom.preflight.surroundings import check_surroundings
from wireloom.values import NodeName


def inspect(fleet: Fleet, lock: Lock, network: Network, seen: Seen) -> tuple[Finding, ...]:
    """Everything that is found, machine by machine, errors first.

    ``network`` is woven from ``lock`` with the keys that were seen. A machine that did not answer is a
    finding, and no reason not to look at the others.
    """
    reached = {name: state for name, state in seen.items() if isinstance(state, NodeState)}
    port = fleet.underlay.port
    found = [one for name in fleet.nodes for one in _inspect_node(name, lock, network, seen, port)]
    found += compare_machines(network, lock, reached)
    return arrange(fleet, found)


def arrange(fleet: Fleet, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings in the order of the fleet file, the errors of a machine before its warnings."""
    places = {name: place for place, name in enumerate(fleet.nodes)}
    return tuple(sorted(findings, key=lambda one: (places[one.node], not one.is_error)))


def _inspect_node(name: NodeName, lock: Lock, network: Network, seen: Seen, port: int) -> Iterator[Finding]:
    state = seen.get(name)
    if state is None:
        hint = "`wireloom export` writes its file"
        yield Finding(name, Check.LOGIN, "no `ssh`: not applied from here", hint, Severity.WARNING)
    elif isinstance(state, Unreachable):
        yield Finding(name, Check.LOGIN if state.refused else Check.ANSWER, state.what, state.hint)
    else:
        yield from check_machine(state)
        if not state.garbled:
            yield from check_surroundings(network, state, port)
            yield from check_detours(network, state)
            yield from check_ownership(network, lock, state)
