"""From any state to any other: planned once, carried out, and then there is nothing to do."""

from dataclasses import replace
from ipaddress import ip_network

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.network.fleets import key
from tests.network.test_topology import fleets
from tests.plan.machine import Machine
from tests.plan.world import World, settled, three
from wireloom.intent.fleet import Fleet
from wireloom.observe.state import PeerSeen, RouteSeen
from wireloom.values import Endpoint, NodeName

A = NodeName("a")

few = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])


@given(st.lists(fleets(), min_size=2, max_size=3))
@few
def test_from_any_fleet_to_any_other(steps: list[Fleet]) -> None:
    world = World(steps[0])
    for fleet in steps:
        world.change(fleet)
        world.apply()
        assert list(world.plan().changes()) == []


HOSTS = [f"10.99.0.{number}/32" for number in range(2, 6)] + ["fd42:99::2/128", "fd42:99::3/128", "0.0.0.0/1"]
ADDRESSES = [
    *("10.99.0.1/16", "10.99.0.1/24", "10.99.0.7/16", "10.99.0.8/16", "10.7.0.1/24", "10.7.0.2/24"),
    *("fd42:99::1/64", "fd42:99::7/64", "fd42:99::1/48"),
]


@st.composite
def shaken(draw: st.DrawFn) -> World:
    """A settled world, and whatever somebody may have done to machine `a` by hand."""
    world = settled(three(pods=["10.42.0.0/16"]))
    machine = world.machines[A]
    link = machine.link
    assert link is not None
    machine.run(("wg", "set", "wg0", "listen-port", str(draw(st.sampled_from([51820, 4500])))))
    machine.run(("wg", "set", "wg0", "fwmark", str(draw(st.sampled_from([0, 7])))))
    for verb, address in draw(st.lists(st.tuples(st.booleans(), st.sampled_from(ADDRESSES)), max_size=6)):
        if verb:
            machine.run(("ip", "address", "replace", address, "dev", "wg0"))
        elif address in map(str, link.addresses):
            machine.run(("ip", "address", "del", address, "dev", "wg0"))
    keys = draw(st.lists(st.sampled_from([key(2), key(3), key(50), key(51)]), unique=True))
    owners = draw(st.lists(st.sampled_from([*keys, None]), min_size=len(HOSTS), max_size=len(HOSTS)))
    link.peers = {
        one: PeerSeen(
            one,
            draw(st.sampled_from([Endpoint.parse("192.0.2.2:51820"), Endpoint.parse("192.0.2.9:9")])),
            frozenset(ip_network(host) for host, owner in zip(HOSTS, owners, strict=True) if owner == one),
            0,
            0,
            0,
            draw(st.sampled_from([0, 25])),
        )
        for one in keys
    }
    for route in sorted(machine.routes, key=repr):
        if draw(st.booleans()):
            machine.routes.discard(route)
    link.keeper = draw(st.sampled_from([0, 1]))
    if draw(st.booleans()):
        machine.run(("ip", "link", "set", "dev", "wg0", "down"))
    return world


@given(shaken())
@few
def test_whatever_was_done_by_hand_is_mended_in_one_apply(world: World) -> None:
    world.apply()
    assert list(world.plan().changes()) == []


@given(shaken())
@few
def test_whatever_was_done_by_hand_is_there_again_when_undone(world: World) -> None:
    machine = world.machines[A]
    plan, before = world.plan().nodes[0], machine.seen()
    for command in (*plan.commands, *plan.inverse):
        machine.run(command)
    assert without_connected(machine) == without_connected(machine, before.routes)
    assert replace(machine.seen(), routes=frozenset()) == replace(before, routes=frozenset())


def without_connected(machine: Machine, routes: frozenset[RouteSeen] | None = None) -> set[RouteSeen]:
    """Routes but for the connected ones: putting an address back brings its route back, missed or not."""
    return {one for one in (machine.routes if routes is None else routes) if one.device != "wg0"}
