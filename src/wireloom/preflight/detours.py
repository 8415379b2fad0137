"""Rules about policy routing: packets of the underlay that another table leads past its interface.

Our route in the main table ends every look at the rules. So what counts is a rule before that whose table
really has a route for the underlay: those of Cilium, Tailscale, other tunnels and machines with two uplinks
have none, or ask for a mark or for another source.
"""

from collections.abc import Iterator

from wireloom.errors import Severity
from wireloom.network.network import Network
from wireloom.observe.state import MAIN, NodeState, RouteSeen, RuleSeen
from wireloom.preflight.finding import Check, Finding
from wireloom.preflight.surroundings import ANOTHER_RANGE, is_within, spell_route
from wireloom.values import Prefix


def check_detours(network: Network, state: NodeState) -> Iterator[Finding]:
    """All rules of this module. A route that an address brought along is told with the address."""
    connected = {(one.device, one.address.network) for one in state.ground.addresses}
    for underlay in network.ranges:
        for rule in _find_rules(state.ground.rules, underlay):
            table = [one for one in state.ground.elsewhere if one.table == rule.table]
            for route in _find_routes(table, rule, underlay):
                if route.device != network.interface and (route.device, route.to) not in connected:
                    yield _tell(network, state, underlay, rule, route)


def _find_rules(rules: tuple[RuleSeen, ...], underlay: Prefix) -> Iterator[RuleSeen]:
    """Those that packets of the underlay may meet before one that has all of them look at the main table."""
    for rule in rules:
        if rule.to.version != underlay.version or not rule.to.overlaps(underlay):
            continue
        if rule.table != MAIN:
            if rule.source.overlaps(underlay):
                yield rule
        elif _is_for_all(rule, underlay) and rule.suppress < underlay.prefixlen:
            return


def _is_for_all(rule: RuleSeen, underlay: Prefix) -> bool:
    return not rule.narrow and rule.source.prefixlen == 0 and is_within(underlay, rule.to)


def _find_routes(table: list[RouteSeen], rule: RuleSeen, underlay: Prefix) -> list[RouteSeen]:
    """Routes into the range. One to more than it counts if nothing in the table is nearer.

    That one does not if the rule is a narrow one: a default route for a mark is every other tunnel's. A route
    of the kind ``throw`` has the search go on with the next rule.
    """
    alike = sorted(
        (one for one in table if one.to.version == underlay.version),
        key=lambda one: (str(one.to), one.device),
    )
    found = [one for one in alike if is_within(one.to, underlay) and one.to.overlaps(rule.to)]
    wider = [one for one in alike if is_within(underlay, one.to)]
    if wider and not rule.narrow:
        nearest = max(wider, key=lambda one: (one.to.prefixlen, -one.metric))
        found += [nearest] if nearest.to != underlay else []
    return [one for one in found if one.kind != "throw" and one.to.prefixlen > rule.suppress]


def _tell(network: Network, state: NodeState, underlay: Prefix, rule: RuleSeen, route: RouteSeen) -> Finding:
    ip, words = f"ip -{underlay.version}", spell_route(route)
    remove_rule = f"{ip} rule del priority {rule.priority}"
    if is_within(route.to, underlay):
        does = f"leads into the underlay's range {underlay}"
        hint = (
            f"take one of them away there ({ip} route del {words} table {route.table}, or {remove_rule}, and"
            f" where it is configured), or {ANOTHER_RANGE}"
        )
    else:
        does = f"leads packets to {underlay}, the underlay's range, past {network.interface}"
        hint = (
            f"keep the range out of that table there ({ip} route add throw {underlay} table {route.table},"
            f" and where it is configured), or take the rule away ({remove_rule})"
        )
    return Finding(
        state.name,
        Check.RANGE,
        f"the route {words} of table {route.table} {does}, by the rule {rule.priority}: {rule.words}",
        hint,
        Severity.WARNING if rule.narrow else Severity.ERROR,
    )
