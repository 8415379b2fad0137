"""Rules about the network of one machine: a free port, a range that nobody else is in."""

from collections.abc import Iterator
from typing import Any, cast

from wireloom.errors import Severity
from wireloom.network.network import Network
from wireloom.network.stand_in import stand_in_fleet
from wireloom.observe.state import AddressSeen, NodeState, RouteSeen
from wireloom.preflight.finding import Check, Finding
from wireloom.render.desired import FENCE_METRIC
from wireloom.values import Prefix

ANOTHER_RANGE = "choose another range under `underlay:`"


def check_surroundings(network: Network, state: NodeState, port: int) -> Iterator[Finding]:
    """All rules of this module. What our own interface holds is nobody else's.

    ``port`` is what the fleet file wants, also where other steps come first.
    """
    yield from _check_port(state, port)
    yield from _check_way_in(network, state)
    foreign = sorted(
        (one for one in state.ground.addresses if one.device != network.interface),
        key=lambda one: (one.device, str(one.address)),
    )
    for address in foreign:
        yield from _check_address(network, state, address)
    connected = {(one.device, one.address.network) for one in foreign}
    for route in sorted(state.routes, key=lambda one: (str(one.to), one.device)):
        if (route.device, route.to) not in connected:
            yield from _check_route(network, state, route)


def _check_port(state: NodeState, port: int) -> Iterator[Finding]:
    ours = state.link is not None and state.link.port == port
    if state.ground.port_holder is None or ours:
        return
    holder = state.ground.port_holder or "no process: the kernel's, perhaps of another WireGuard interface"
    yield Finding(
        state.name,
        Check.PORT,
        f"UDP port {port} is taken by {holder}",
        f"stop that there (ss -anup 'sport = :{port}'; wg show all listen-port), or choose another"
        " `port` under `underlay:`",
    )


def _check_way_in(network: Network, state: NodeState) -> Iterator[Finding]:
    """A range that is new here, and that the operator's own connection comes from: it would be cut off."""
    fences = {route.to for route in state.routes if route.kind == "unreachable"}
    for prefix in network.fenced:
        if state.client is not None and state.client in prefix and prefix not in fences:
            yield Finding(
                state.name,
                Check.RANGE,
                f"you come from {state.client}, which is inside {prefix}: it would be cut off",
                "choose another range, under `underlay:` or `kubernetes:`",
            )


def _check_address(network: Network, state: NodeState, seen: AddressSeen) -> Iterator[Finding]:
    what = f"{seen.device} has {seen.address}"
    for underlay in network.ranges:
        if seen.address.version != underlay.version:
            continue
        if seen.address.ip in underlay or is_within(seen.address.network, underlay):
            yield Finding(
                state.name,
                Check.RANGE,
                f"{what}, which is in the underlay's range {underlay}",
                f"take it away there (ip address del {seen.address} dev {seen.device}, and where it is"
                f" configured), or {ANOTHER_RANGE}",
            )
        elif is_within(underlay, seen.address.network):
            yield Finding(
                state.name,
                Check.RANGE,
                f"{what}: the underlay's range {underlay} is a part of that network",
                f"what has such addresses there can't be reached any more: {ANOTHER_RANGE}",
                Severity.WARNING,
            )


def _check_route(network: Network, state: NodeState, route: RouteSeen) -> Iterator[Finding]:
    """A route into the range takes packets past the interface; one with a worse metric, while that is away.

    Fences are ours, those of a range that the fleet once had among them. A route to more than the range
    loses against ours.
    """
    fence = (route.kind, route.metric) == ("unreachable", FENCE_METRIC)
    # While keys are rotated that is told as it is, if at all.
    led = route.device in state.others_of(stand_in_fleet(network.fleet))
    if route.device == network.interface or led or fence:
        return
    for underlay in network.ranges:
        if is_within(route.to, underlay):
            words = spell_route(route)
            yield Finding(
                state.name,
                Check.RANGE,
                f"the route {words} leads into the underlay's range {underlay}",
                f"take it away there (ip -{underlay.version} route del {words}, and where it is configured),"
                f" or {ANOTHER_RANGE}",
            )


def spell_route(route: RouteSeen) -> str:
    """A route as `ip route` takes it, but for its table."""
    kind = "" if route.kind == "unicast" else f"{route.kind} "
    device = f" dev {route.device}" if route.device else ""
    metric = f" metric {route.metric}" if route.metric else ""
    return f"{kind}{route.to if route.to.prefixlen else 'default'}{device}{metric}"


def is_within(inner: Prefix, outer: Prefix) -> bool:
    """Whether a range is a part of another, or the same."""
    return inner.version == outer.version and inner.subnet_of(cast("Any", outer))
