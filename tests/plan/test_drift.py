# ruff: noqa: E501 - a row of a table stays a row
"""One machine that is not as it should be: the change, what undoes it, and that nothing is left to do."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from ipaddress import ip_network

import pytest

from tests.network.fleets import key, node
from tests.plan.machine import Link, Machine
from tests.plan.world import World, outline, settled
from wireloom.observe.state import Access, ConfigKind, ConfigSeen, PeerSeen, RouteSeen
from wireloom.plan.plan import Command, NodePlan
from wireloom.render.desired import render_node
from wireloom.render.guard import REMOVE
from wireloom.render.unit import drop_in_path
from wireloom.values import Endpoint, NodeName

A = NodeName("a")
KEY_B, KEY_N, STRANGER = key(2), key(3), key(99)
DROP_IN = drop_in_path("wg0")
LOAD = render_node(settled().weave(), A).guard
GUARD = ("update", "table inet wireloom", "none")
FILE = ("update", "file /etc/wireguard/wg0.conf", "none")


def plan_of_a(world: World) -> NodePlan:
    return next(one for one in world.plan().nodes if one.name == A)


def link(machine: Machine) -> Link:
    assert machine.link is not None
    return machine.link


def alter_peer(machine: Machine, peer: object, **values: object) -> None:
    link(machine).peers[peer] = replace(link(machine).peers[peer], **values)  # type: ignore[index,arg-type]


def run(*words: str) -> Callable[[Machine], None]:
    """Somebody types a command."""
    return lambda machine: machine.run(tuple(words))


def drop_file(machine: Machine) -> None:
    machine.config = ConfigSeen(ConfigKind.ABSENT)


def edit_file(machine: Machine) -> None:
    machine.config = replace(
        machine.config, keyless=machine.config.keyless.replace("MTU = 1440", "MTU = 9000")
    )


def lose_file_key(machine: Machine) -> None:
    machine.config = replace(machine.config, has_key=False)


def swap_file_key(machine: Machine) -> None:
    machine.config = replace(machine.config, public_key=STRANGER)


def break_file_key(machine: Machine) -> None:
    machine.config = replace(machine.config, public_key=None)


def swap_file_key_and_reboot(machine: Machine) -> None:
    swap_file_key(machine)
    stop(machine)
    machine.start()


def swap_file_key_and_stop(machine: Machine) -> None:
    swap_file_key(machine)
    stop(machine)


def open_file(machine: Machine) -> None:
    machine.config = replace(machine.config, access=Access(0o644))


def open_key(machine: Machine) -> None:
    machine.key_access = Access(0o644)


def give_key_away(machine: Machine) -> None:
    machine.key_access = Access(0o600, 1000)


def give_file_away(machine: Machine) -> None:
    machine.config = replace(machine.config, access=Access(0o640, 1000))


def stop(machine: Machine) -> None:
    machine.link = None
    machine.routes = {route for route in machine.routes if route.kind == "unreachable"}


def reboot_disabled(machine: Machine) -> None:
    machine.link, machine.routes, machine.enabled = None, set(), False


def edit_drop_in(machine: Machine) -> None:
    machine.drop_in = "[Service]\n"


def drop_drop_in(machine: Machine) -> None:
    machine.drop_in = None


def disable(machine: Machine) -> None:
    machine.enabled = False


def forget_stamp(machine: Machine) -> None:
    machine.stamp = None


def misname_file(machine: Machine) -> None:
    assert machine.stamp is not None
    machine.stamp = replace(machine.stamp, digest="beef")


def run_keyless(machine: Machine) -> None:
    link(machine).key = None


def run_with_another(machine: Machine) -> None:
    link(machine).key = STRANGER


def lose_peer(machine: Machine) -> None:
    machine.run(("wg", "set", "wg0", "peer", str(KEY_N), "remove"))


def add_stranger(machine: Machine) -> None:
    machine.run(
        (
            "wg",
            "set",
            "wg0",
            "peer",
            str(STRANGER),
            "endpoint",
            "192.0.2.66:1",
            "persistent-keepalive",
            "7",
            "allowed-ips",
            "10.99.0.2/32,0.0.0.0/1",
        )
    )


def swap_peers(machine: Machine) -> None:
    machine.run(("wg", "set", "wg0", "peer", str(KEY_B), "allowed-ips", "10.99.0.3/32"))
    machine.run(("wg", "set", "wg0", "peer", str(KEY_N), "allowed-ips", "10.99.0.2/32"))


def lose_endpoint(machine: Machine) -> None:
    alter_peer(machine, KEY_B, endpoint=None)


def preshare(machine: Machine) -> None:
    alter_peer(machine, KEY_B, preshared=True)


def renumber(machine: Machine) -> None:
    machine.run(("ip", "address", "replace", "10.99.7.7/16", "dev", "wg0"))
    machine.run(("ip", "address", "del", "10.99.0.1/16", "dev", "wg0"))
    machine.run(("ip", "address", "replace", "10.99.7.7/16", "dev", "wg0"))


def lose_route(machine: Machine) -> None:
    machine.routes.discard(RouteSeen("unicast", ip_network("10.99.0.0/16"), "wg0", 0))


def renumber_and_lose_route(machine: Machine) -> None:
    renumber(machine)
    lose_route(machine)


def lose_fence(machine: Machine) -> None:
    machine.routes.discard(RouteSeen("unreachable", ip_network("fd42:99::/64"), "lo", 4000000))


KEEP = ("sh", "-c", 'echo "$1" >"$2"', "sh")
KEEPER_OF_A = "/proc/sys/net/ipv6/conf/wg0/keep_addr_on_down"


def lose_with_link(machine: Machine) -> None:
    machine.run((*KEEP, "0", KEEPER_OF_A))
    machine.run(("ip", "link", "set", "dev", "wg0", "down"))


OWN_KEY = ("update", "key of wg0", "disruptive")
SET = ("wg", "set", "wg0")
ADDRESS = ("ip", "address")
# drift, the changes, the commands
DRIFTS: dict[str, tuple[Callable[[Machine], None], list[tuple[str, str, str]], list[Command]]] = {
    "another port": (run(*SET, "listen-port", "4500"), [("update", "listen port of wg0", "brief")], [(*SET, "listen-port", "51820")]),
    "a mark": (run(*SET, "fwmark", "0xca6c"), [("update", "fwmark of wg0", "brief")], [(*SET, "fwmark", "0")]),
    "another MTU": (run("ip", "link", "set", "dev", "wg0", "mtu", "1280"), [("update", "mtu of wg0", "brief")], [("ip", "link", "set", "dev", "wg0", "mtu", "1440")]),
    "down": (run("ip", "link", "set", "dev", "wg0", "down"), [("update", "interface wg0", "none")], [("ip", "link", "set", "dev", "wg0", "up")]),
    "an address too many": (run(*ADDRESS, "replace", "10.7.0.1/24", "dev", "wg0"), [("delete", "address 10.7.0.1/24", "disruptive")], [(*ADDRESS, "del", "10.7.0.1/24", "dev", "wg0")]),
    "an address too few": (run(*ADDRESS, "del", "10.99.0.1/16", "dev", "wg0"), [("create", "address 10.99.0.1/16", "none")], [(*ADDRESS, "replace", "10.99.0.1/16", "dev", "wg0")]),
    "another address in the same range": (
        renumber,
        [("create", "address 10.99.0.1/16", "none"), ("delete", "address 10.99.7.7/16", "disruptive")],
        [(*ADDRESS, "replace", "10.99.0.1/16", "dev", "wg0"), (*ADDRESS, "del", "10.99.7.7/16", "dev", "wg0"), (*ADDRESS, "replace", "10.99.0.1/16", "dev", "wg0")],
    ),
    "IPv6 addresses would go with the link": (run(*KEEP, "0", KEEPER_OF_A), [("update", "keep_addr_on_down of wg0", "none")], [(*KEEP, "1", KEEPER_OF_A)]),
    "IPv6 addresses were told to go": (run(*KEEP, "-1", KEEPER_OF_A), [("update", "keep_addr_on_down of wg0", "none")], [(*KEEP, "1", KEEPER_OF_A)]),
    "IPv6 addresses went with the link": (
        lose_with_link,
        [("update", "interface wg0", "none"), ("create", "address fd42:99::1/64", "none"), ("update", "keep_addr_on_down of wg0", "none")],
        [("ip", "link", "set", "dev", "wg0", "up"), (*ADDRESS, "replace", "fd42:99::1/64", "dev", "wg0"), (*KEEP, "1", KEEPER_OF_A)],
    ),
    "a peer is missing": (lose_peer, [("create", "peer n", "none")], [(*SET, "peer", str(KEY_N), "allowed-ips", "10.99.0.3/32,fd42:99::3/128")]),
    "a stranger that took over a route": (
        add_stranger,
        [("update", "peer b", "brief"), ("delete", "peer unknown", "none")],
        [(*SET, "peer", str(KEY_B), "allowed-ips", "10.99.0.2/32,fd42:99::2/128"), (*SET, "peer", str(STRANGER), "remove")],
    ),
    "an endpoint that is not the peer's": (run(*SET, "peer", str(KEY_B), "endpoint", "198.51.100.5:51820"), [("update", "peer b", "brief")], [(*SET, "peer", str(KEY_B), "endpoint", "192.0.2.2:51820")]),
    "a port that is not the peer's": (run(*SET, "peer", str(KEY_B), "endpoint", "192.0.2.2:40000"), [("update", "peer b", "brief")], [(*SET, "peer", str(KEY_B), "endpoint", "192.0.2.2:51820")]),
    "another keepalive": (run(*SET, "peer", str(KEY_B), "persistent-keepalive", "5"), [("update", "peer b", "brief")], [(*SET, "peer", str(KEY_B), "persistent-keepalive", "0")]),
    "allowed IPs too many": (run(*SET, "peer", str(KEY_B), "allowed-ips", "10.99.0.2/32,fd42:99::2/128,10.0.0.0/8"), [("update", "peer b", "brief")], [(*SET, "peer", str(KEY_B), "allowed-ips", "10.99.0.2/32,fd42:99::2/128")]),
    "no allowed IPs": (run(*SET, "peer", str(KEY_B), "allowed-ips", ""), [("update", "peer b", "brief")], [(*SET, "peer", str(KEY_B), "allowed-ips", "10.99.0.2/32,fd42:99::2/128")]),
    "two peers have each other's addresses": (
        swap_peers,
        [("update", "peer b", "brief"), ("update", "peer n", "brief")],
        [(*SET, "peer", str(KEY_B), "allowed-ips", "10.99.0.2/32,fd42:99::2/128"), (*SET, "peer", str(KEY_N), "allowed-ips", "10.99.0.3/32,fd42:99::3/128")],
    ),
    "a route was taken away": (lose_route, [("create", "route 10.99.0.0/16 dev wg0", "none")], [("ip", "-4", "route", "replace", "10.99.0.0/16", "dev", "wg0", "proto", "kernel", "scope", "link", "src", "10.99.0.1")]),
    "another address in the same range, and no route": (
        renumber_and_lose_route,
        [("create", "address 10.99.0.1/16", "none"), ("delete", "address 10.99.7.7/16", "disruptive"), ("create", "route 10.99.0.0/16 dev wg0", "none")],
        [(*ADDRESS, "replace", "10.99.0.1/16", "dev", "wg0"), (*ADDRESS, "del", "10.99.7.7/16", "dev", "wg0"), (*ADDRESS, "replace", "10.99.0.1/16", "dev", "wg0"), ("ip", "-4", "route", "replace", "10.99.0.0/16", "dev", "wg0", "proto", "kernel", "scope", "link", "src", "10.99.0.1")],
    ),
    "a fence was taken away": (lose_fence, [("create", "route unreachable fd42:99::/64", "none")], [("ip", "-6", "route", "replace", "unreachable", "fd42:99::/64", "metric", "4000000")]),
    "no guard": (run("nft", REMOVE), [("create", "table inet wireloom", "none")], [("nft", LOAD)]),
    # what can't be undone, since what was there before is unknown, or is not missed
    "no endpoint": (lose_endpoint, [("update", "peer b", "brief")], [(*SET, "peer", str(KEY_B), "endpoint", "192.0.2.2:51820")]),
    "another guard": (run("nft", "table inet wireloom { }"), [GUARD], [("nft", LOAD)]),
    "a preshared key": (preshare, [("update", "peer b", "brief")], [(*SET, "peer", str(KEY_B), "preshared-key", "/dev/null")]),
    "no key": (run_keyless, [("update", "key of wg0", "disruptive")], [(*SET, "private-key", "/etc/wireguard/wg0.key")]),
    "another key": (run_with_another, [("update", "key of wg0", "disruptive")], [(*SET, "private-key", "/etc/wireguard/wg0.key")]),
    "a key that is somebody's": (give_key_away, [("update", "key /etc/wireguard/wg0.key", "none")], [("chown", "0", "/etc/wireguard/wg0.key")]),
    "a key that others can read": (open_key, [("update", "key /etc/wireguard/wg0.key", "none")], [("chmod", "600", "/etc/wireguard/wg0.key")]),
    # files and units: apply has steps of its own for them
    # without its file nobody knows what the guard should be
    "no file": (drop_file, [("create", "file /etc/wireguard/wg0.conf", "none"), GUARD], [("nft", LOAD)]),
    "an edited file": (edit_file, [FILE], []),
    "a file without its key": (lose_file_key, [FILE], []),
    "a file with another key": (swap_file_key, [FILE], []),
    "a file with a key that wg refuses": (break_file_key, [FILE], []),
    "started from a file with another key": (swap_file_key_and_reboot, [FILE, OWN_KEY], [(*SET, "private-key", "/etc/wireguard/wg0.key")]),
    # such a file is nothing to start from: one with the own key, and without peers, takes its place first
    "to be started from a file with another key": (
        swap_file_key_and_stop,
        [FILE, ("start", "interface wg0", "none"), ("create", "peer b", "none"), ("create", "peer n", "none")],
        [(*SET, "peer", str(KEY_B), "endpoint", "192.0.2.2:51820", "allowed-ips", "10.99.0.2/32,fd42:99::2/128"), (*SET, "peer", str(KEY_N), "allowed-ips", "10.99.0.3/32,fd42:99::3/128")],
    ),
    "a file that others can read": (open_file, [FILE], []),
    "a file that is somebody's": (give_file_away, [FILE], []),
    "not enabled": (disable, [("enable", "unit wg-quick@wg0", "none")], []),
    "no interface": (stop, [("start", "interface wg0", "none")], []),
    "neither interface nor unit": (reboot_disabled, [("enable", "unit wg-quick@wg0", "none"), ("start", "interface wg0", "none")], []),
    "another addition to the unit": (edit_drop_in, [("update", f"file {DROP_IN}", "none")], []),
    "no addition to the unit": (drop_drop_in, [("create", f"file {DROP_IN}", "none")], []),
    "a note of another file": (misname_file, [("update", "state", "none")], []),
    "no note": (forget_stamp, [("update", "state", "none")], []),
}  # fmt: skip

CANT_BE_UNDONE = {
    "no endpoint",
    "a preshared key",
    "no key",
    "another key",
    "a key that others can read",
    "a key that is somebody's",
}
UNDONE_AS_FILED = {"no file", "another guard"}
"""A guard that is not that of its file is not brought back: the one of the file is."""
UNDONE_WITH_ITS_ROUTE = {"another address in the same range, and no route"}
"""An address that is put back brings the route along that was missing before."""


@pytest.fixture
def world() -> World:
    return settled()


def test_what_is_as_it_should_be_needs_nothing(world: World) -> None:
    plan = world.plan()
    assert (plan.empty, plan.refusals, plan.unreachable) == (True, (), ())
    assert all(one == NodePlan(one.name) for one in plan.nodes)


@pytest.mark.parametrize(("drift", "changes", "_"), DRIFTS.values(), ids=DRIFTS)
def test_the_change(drift: Callable[[Machine], None], changes: object, _: object, world: World) -> None:
    drift(world.machines[A])
    assert outline(plan_of_a(world).changes) == changes


@pytest.mark.parametrize(("drift", "_", "commands"), DRIFTS.values(), ids=DRIFTS)
def test_the_commands(drift: Callable[[Machine], None], _: object, commands: object, world: World) -> None:
    drift(world.machines[A])
    assert list(plan_of_a(world).commands) == commands


@pytest.mark.parametrize("drift", [drift for drift, *_ in DRIFTS.values()], ids=DRIFTS)
def test_nobody_else_is_concerned(drift: Callable[[Machine], None], world: World) -> None:
    drift(world.machines[A])
    assert not [one.name for one in world.plan().nodes if one.changes and one.name != A]


@pytest.mark.parametrize("drift", [drift for drift, *_ in DRIFTS.values()], ids=DRIFTS)
def test_applied_it_needs_nothing_more(drift: Callable[[Machine], None], world: World) -> None:
    before = world.machines[A].seen()
    drift(world.machines[A])
    world.apply()
    assert list(world.plan().changes()) == []
    assert world.machines[A].seen() == replace(before, stamp=world.machines[A].stamp)


@pytest.mark.parametrize(
    "name", sorted(set(DRIFTS) - CANT_BE_UNDONE - UNDONE_WITH_ITS_ROUTE - UNDONE_AS_FILED)
)
def test_undone_it_is_as_before(name: str, world: World) -> None:
    machine = world.machines[A]
    DRIFTS[name][0](machine)
    plan = plan_of_a(world)
    if plan.first_config:  # and what starts from it is not undone
        machine.begin(plan.first_config)
    before = machine.seen()
    for command in (*plan.commands, *plan.inverse):
        machine.run(command)
    assert machine.seen() == before


@pytest.mark.parametrize("name", sorted(CANT_BE_UNDONE))
def test_what_cant_be_undone_has_no_inverse(name: str, world: World) -> None:
    DRIFTS[name][0](world.machines[A])
    assert plan_of_a(world).inverse == ()


@pytest.mark.parametrize("drift", [drift for drift, *_ in DRIFTS.values()], ids=DRIFTS)
def test_planning_changes_nothing_it_looked_at(drift: Callable[[Machine], None], world: World) -> None:
    drift(world.machines[A])
    seen = world.seen()
    before = deepcopy(seen)
    assert world.plan(seen) == world.plan(seen)
    assert seen == before


def test_a_file_whose_key_wg_refuses_starts_nothing_and_is_written_anew_before(world: World) -> None:
    machine, before = world.machines[A], world.machines[A].seen()
    break_file_key(machine)
    stop(machine)
    first = plan_of_a(world).first_config
    assert first is not None
    assert first.body == ""
    world.apply()
    assert list(world.plan().changes()) == []
    assert machine.seen() == replace(before, stamp=machine.stamp)


def test_a_file_with_another_key_is_told_with_the_reason(world: World) -> None:
    swap_file_key(world.machines[A])
    assert [one.reason for one in plan_of_a(world).changes] == [
        "its private key is not the one in /etc/wireguard/wg0.key"
    ]


def test_a_file_whose_key_wg_refuses_is_told_where_the_key_is_lost_too(world: World) -> None:
    """The plan is the same before the key is made and after: none and none are not alike."""
    machine = world.machines[A]
    break_file_key(machine)
    machine.key = None
    assert FILE in outline(plan_of_a(world).changes)
    machine.make_key(STRANGER)
    assert FILE in outline(plan_of_a(world).changes)


ROAMED = {
    "another of its addresses": "192.0.2.77:51820",
    "the other family": "[2001:db8::2]:51820",
}


@pytest.mark.parametrize("endpoint", ROAMED.values(), ids=ROAMED)
def test_a_peer_that_roamed_is_left_where_it_is(endpoint: str, world: World) -> None:
    alter_peer(world.machines[A], KEY_B, endpoint=Endpoint.parse(endpoint))
    assert plan_of_a(world).changes == ()


def test_a_peer_behind_nat_is_heard_from_somewhere(world: World) -> None:
    alter_peer(world.machines[A], KEY_N, endpoint=Endpoint.parse("198.51.100.9:61000"))
    assert plan_of_a(world).changes == ()


def test_handshakes_and_counters_are_no_changes(world: World) -> None:
    alter_peer(world.machines[A], KEY_B, handshake=1_760_000_000, received=148, sent=92)
    assert plan_of_a(world).changes == ()


def test_a_peer_that_roamed_keeps_its_place_while_something_else_of_it_changes(world: World) -> None:
    alter_peer(world.machines[A], KEY_B, endpoint=Endpoint.parse("192.0.2.77:51820"), keepalive=9)
    assert [*SET, "peer", str(KEY_B), "persistent-keepalive", "0"] == list(*plan_of_a(world).commands)


def test_ones_own_routes_and_others_are_left_alone(world: World) -> None:
    world.machines[A].routes.add(RouteSeen("unicast", ip_network("10.42.1.0/24"), "flannel.1", 0))
    world.machines[A].routes.add(RouteSeen("blackhole", ip_network("10.7.0.0/16"), "", 0))
    assert plan_of_a(world).changes == ()


def test_a_userspace_interface_is_as_good(world: World) -> None:
    link(world.machines[A]).kind = "tun"
    assert world.plan().refusals == ()


def test_a_key_that_the_lock_knows_is_told_by_its_node(world: World) -> None:
    """A key that the lock knows is told by its node's name."""
    seen = PeerSeen(KEY_N, None, frozenset(), 0, 0, 0, 0)
    link(world.machines[NodeName("n")]).peers[KEY_N] = seen
    [change] = next(one.changes for one in world.plan().nodes if one.name == "n")
    assert (str(change.action), change.target) == ("delete", "peer n")


WAITING = {
    "one without a key": ("1 peer once its key is made", ["192.0.2.3"]),
    "two": ("2 peers once their keys are made", ["192.0.2.3", "192.0.2.4"]),
}


@pytest.mark.parametrize(("expected", "new"), WAITING.values(), ids=WAITING)
def test_a_file_that_waits_for_keys_alone_has_no_lines_to_count(expected: str, new: list[str]) -> None:
    world = settled()
    joined = {one.name: one for one in (node(f"d{place}", "y", at) for place, at in enumerate(new))}
    world.change(replace(world.fleet, nodes={**world.fleet.nodes, **joined}))
    (file,) = [one for one in plan_of_a(world).changes if one.target == "file /etc/wireguard/wg0.conf"]
    assert file.reason == expected
