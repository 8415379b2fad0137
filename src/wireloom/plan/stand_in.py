"""What a stand-in leads over itself, and what an interface with one needs: wanted against seen."""

from collections.abc import Iterator

from wireloom.network.network import Lead
from wireloom.observe.state import LinkSeen, RiderSeen, RouteSeen
from wireloom.plan.plan import Action, Change, Command, Risk
from wireloom.plan.running import write_number
from wireloom.render.desired import NodeDesired
from wireloom.render.wg_quick import LOOSE, spell_lead

STRICT, WIDE = 1, 2
"""Of rp_filter (Linux, ip-sysctl): answers must leave where packets came from, or anywhere."""


def plan_filter(desired: NodeDesired, link: LinkSeen, filed: LinkSeen) -> Iterator[Change]:
    """While packets go by one interface and answers by another, neither is dropped for that; and back.

    What the file has not set is not taken back.
    """

    def let(value: int) -> tuple[Command, ...]:
        return (write_number(LOOSE.format(interface=desired.interface), value),)

    target = f"rp_filter of {desired.interface}"
    usual = link.usual_filter
    if desired.two_ways and link.filter == STRICT:
        reason = "1 → 2: packets would be dropped whose answers leave by the other interface"
        yield Change(Action.UPDATE, target, reason, Risk.NONE, let(WIDE), let(STRICT))
    elif not desired.two_ways and filed.filter == WIDE != usual and link.filter == WIDE:
        reason = f"2 → {usual}, as every interface of this machine"
        yield Change(Action.UPDATE, target, reason, Risk.NONE, let(usual), let(WIDE))


def plan_leads(
    desired: NodeDesired, routes: frozenset[RouteSeen], filed: tuple[Lead, ...]
) -> Iterator[Change]:
    """The routes that lead packets over a stand-in, and none once it is only there. ``filed``: the file's."""
    there = {one.to for one in routes if one.device == desired.interface}
    for lead in desired.leads:
        if lead.to not in there:
            put, take = _commands(desired, lead)
            reason = f"packets are led over {desired.interface}"
            yield Change(Action.CREATE, _target(desired, lead), reason, Risk.NONE, put, take)
    for lead in filed:
        if lead.to in there and lead not in desired.leads:
            put, take = _commands(desired, lead)
            reason = f"packets take {desired.relieves} again"
            yield Change(Action.DELETE, _target(desired, lead), reason, Risk.NONE, take, put)


def _target(desired: NodeDesired, lead: Lead) -> str:
    return f"route {lead.to} dev {desired.interface}"


def _commands(desired: NodeDesired, lead: Lead) -> tuple[tuple[Command, ...], tuple[Command, ...]]:
    """What makes the route, and what takes it away."""
    take = ("ip", f"-{lead.to.version}", "route", "del", str(lead.to), "dev", desired.interface)
    return (tuple(spell_lead(lead, desired.interface).split()),), (take,)


def plan_riders(desired: NodeDesired, riders: tuple[RiderSeen, ...]) -> Iterator[Change]:
    """VXLAN devices that are bound to an interface send by it whatever routes say: they are bound anew."""
    if desired.relieves is None:
        return
    ways = (desired.relieves, desired.interface)
    source, target = ways if desired.leads else reversed(ways)
    for rider in riders:
        if rider.lower == source:
            yield Change(
                Action.UPDATE,
                f"device {rider.device}",
                f"{source} → {target}, which it sends by",
                Risk.NONE,
                bind(rider, target),
                bind(rider, source),
            )


def bind(rider: RiderSeen, lower: str) -> tuple[Command, ...]:
    """The command that has a VXLAN device send by another one, without taking it down (ip-link(8))."""
    return (("ip", "link", "set", "dev", rider.device, "type", "vxlan", "id", str(rider.vni), "dev", lower),)
