"""Rules about an interface that is there where no underlay is built: flannel's WireGuard has a port, too."""

from collections.abc import Iterator

from wireloom.errors import Severity
from wireloom.intent.fleet import Fleet
from wireloom.observe.state import NodeState
from wireloom.preflight.finding import Check, Finding
from wireloom.values import FLANNEL_OWN_PORTS


def check_leftover(fleet: Fleet, state: NodeState) -> Iterator[Finding]:
    """What an earlier apply has left is left alone, and told; unless it is where flannel is to listen."""
    link, interface = state.link, fleet.underlay.interface
    if link is None:
        return
    ports = {FLANNEL_OWN_PORTS[one.version] for one in fleet.k3s.pods} if fleet.k3s else set()
    away = f"take it away: wireloom uninstall {state.name}"
    if link.port in ports:
        yield Finding(
            state.name,
            Check.PORT,
            f"{interface} has UDP port {link.port}, where flannel's WireGuard is to listen",
            f"{away}, or write `encrypt: both`: there flannel has other ports",
        )
    elif state.stamp is not None and state.stamp.fleet == fleet.name:
        yield Finding(
            state.name,
            Check.OWNERSHIP,
            f"{interface} of generation {state.stamp.generation} is there, and is left as it is:"
            " no underlay is made (`encrypt: cni`)",
            f"if nothing needs it, {away}",
            Severity.WARNING,
        )
