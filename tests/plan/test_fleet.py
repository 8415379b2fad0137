# ruff: noqa: E501 - a row of a table stays a row
"""A whole fleet through its life: every change is planned once, carried out, and then there is nothing to do."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.network.fleets import key, make_fleet, node
from tests.network.test_topology import fleets
from tests.plan.machine import Machine
from tests.plan.world import World, outline, settled, three
from wireloom.errors import Severity
from wireloom.intent.fleet import Fleet
from wireloom.observe.state import ConfigKind, ConfigSeen, KeyKind, PeerSeen, RouteSeen, Stamp, Unreachable
from wireloom.plan.plan import Plan, Risk
from wireloom.values import Endpoint, NodeName, SshTarget

A, B, N, C = NodeName("a"), NodeName("b"), NodeName("n"), NodeName("c")


def lines(plan: Plan, name: NodeName) -> list[str]:
    """The changes of one node, an action and a target a line."""
    return [f"{one.action} {one.target}" for node_name, one in plan.changes() if node_name == name]


def whats(plan: Plan) -> list[str]:
    return [f"{one.where}: {one.what}" if one.where else one.what for one in plan.refusals]


# ---- the first apply


def test_a_new_machine_needs_all_of_it() -> None:
    plan = World(three()).plan()
    assert outline(change for name, change in plan.changes() if name == A) == [
        ("create", "key /etc/wireguard/wg0.key", "none"),
        ("create", "file /etc/wireguard/wg0.conf", "none"),
        ("enable", "unit wg-quick@wg0", "none"),
        ("start", "interface wg0", "none"),
        ("create", "peer b", "none"),
        ("create", "peer n", "none"),
    ]


def test_a_new_machine_begins_with_a_file_without_peers() -> None:
    first = World(three()).plan().nodes[0].first_config
    assert first is not None
    assert first.body == ""


def test_a_plan_makes_no_key_itself() -> None:
    world = World(three())
    world.plan()
    assert [machine.key for machine in world.machines.values()] == [None, None, None]


def test_the_first_apply_counts_one() -> None:
    assert World(three()).plan().generation == 1


# ---- changes of the fleet, from settled to settled


def without(fleet: Fleet, name: NodeName) -> Fleet:
    return replace(fleet, nodes={one: value for one, value in fleet.nodes.items() if one != name})


def underlay(**values: object) -> Fleet:
    fleet = three()
    return replace(fleet, underlay=replace(fleet.underlay, **values))


CHANGES: dict[str, tuple[Fleet, NodeName, list[str]]] = {
    "a node joins": (
        make_fleet(*three().nodes.values(), node("c", "x", "192.0.2.9"), ipv6="fd42:99::/64"),
        A,
        ["update file /etc/wireguard/wg0.conf", "create peer c"],
    ),
    "a node leaves": (without(three(), B), A, ["update file /etc/wireguard/wg0.conf", "delete peer b"]),
    "another port": (
        underlay(port=4500),
        A,
        ["update file /etc/wireguard/wg0.conf", "update listen port of wg0", "update peer b"],
    ),
    "another MTU": (underlay(mtu=1300), A, ["update file /etc/wireguard/wg0.conf", "update mtu of wg0"]),
    "a larger range": (
        three(ipv4="10.96.0.0/12"),
        A,
        [
            "update file /etc/wireguard/wg0.conf",
            "create address 10.99.0.1/12",
            "delete address 10.99.0.1/16",
            "create route unreachable 10.96.0.0/12",
        ],
    ),
    "a larger IPv6 range": (
        three(ipv6="fd42:99::/48"),
        A,
        [
            "update file /etc/wireguard/wg0.conf",
            "create address fd42:99::1/48",
            "delete address fd42:99::1/64",
            "create route unreachable fd42:99::/48",
        ],
    ),
    "another range": (
        three(ipv4="10.98.0.0/16"),
        A,
        [
            "update file /etc/wireguard/wg0.conf",
            "create address 10.98.0.1/16",
            "delete address 10.99.0.1/16",
            "update peer b",
            "update peer n",
            "create route unreachable 10.98.0.0/16",
        ],
    ),
    "IPv6 is given up": (
        three(ipv6=None),
        A,
        [
            "update file /etc/wireguard/wg0.conf",
            "delete address fd42:99::1/64",
            "update peer b",
            "update peer n",
        ],
    ),
    "pods": (
        three(pods=["10.42.0.0/16"]),
        A,
        ["update file /etc/wireguard/wg0.conf", "create route unreachable 10.42.0.0/16"],
    ),
    "another public address": (
        make_fleet(node("a", "x", "192.0.2.200"), *list(three().nodes.values())[1:], ipv6="fd42:99::/64"),
        N,
        ["update file /etc/wireguard/wg0.conf", "update peer a"],
    ),
    "a node comes out of its NAT": (
        make_fleet(*list(three().nodes.values())[:2], node("n", "office", "192.0.2.7"), ipv6="fd42:99::/64"),
        N,
        ["update file /etc/wireguard/wg0.conf", "update peer a", "update peer b"],
    ),
}


@pytest.mark.parametrize(("after", "name", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_fleet(after: Fleet, name: NodeName, expected: list[str]) -> None:
    world = settled()
    world.change(after)
    assert lines(world.plan(), name) == expected


@pytest.mark.parametrize("after", [fleet for fleet, *_ in CHANGES.values()], ids=CHANGES)
def test_applied_it_leaves_nothing_to_do_and_neither_does_the_way_back(after: Fleet) -> None:
    world = settled()
    for fleet in (after, three()):
        world.change(fleet)
        world.apply()
        assert list(world.plan().changes()) == []


@pytest.mark.parametrize("after", [fleet for fleet, *_ in CHANGES.values()], ids=CHANGES)
def test_while_the_interfaces_are_down(after: Fleet) -> None:
    """They start from the old file and are changed in place to the new one."""
    world = settled()
    for machine in world.machines.values():
        machine.link, machine.routes = None, set()
    world.change(after)
    world.apply()
    assert list(world.plan().changes()) == []


@pytest.mark.parametrize("change", sorted(set(CHANGES) - {"a node comes out of its NAT"}))
def test_undone_every_machine_is_as_before(change: str) -> None:
    """But for the first endpoint of a peer that was not dialled: `wg` can't take one away."""
    world = settled()
    world.change(CHANGES[change][0])
    for one in world.plan().nodes:
        machine = world.machines[one.name]
        if machine.link is None or machine.key is None:
            continue
        before = machine.seen()
        for command in (*one.commands, *one.inverse):
            machine.run(command)
        assert machine.seen() == before


def test_a_key_is_replaced_by_a_new_peer_before_the_old_one_goes() -> None:
    world = settled()
    world.machines[B].key = key(77)
    plan = world.plan()
    assert lines(plan, A)[1:] == ["create peer b", "delete peer b"]
    assert [f"its key is {key(77)}, the lock had {key(2)}: the peers will be told"] == [
        one.what for one in plan.notes if one.where == B and "lock" in one.what
    ]


# ---- machines that are away


def away(name: NodeName, *, refused: bool = False) -> dict[NodeName, Unreachable]:
    return {name: Unreachable(name, "no route to host", "look at it", refused=refused)}


def test_a_machine_that_is_away_keeps_its_place_among_the_peers() -> None:
    world = settled()
    world.away = away(B)
    plan = world.plan()
    assert (plan.empty, [one.name for one in plan.unreachable]) == (True, [B])


def test_a_machine_that_is_away_keeps_it_when_others_change() -> None:
    world = settled()
    world.away = away(B)
    world.change(make_fleet(*three().nodes.values(), node("c", "x", "192.0.2.9"), ipv6="fd42:99::/64"))
    world.apply()
    link = world.machines[A].link
    assert link is not None
    assert set(link.peers) == {key(2), key(3), key(4)}


def test_a_new_machine_that_is_away_is_not_waited_for() -> None:
    world = World(three())
    world.away = away(B)
    plan = world.apply()
    assert "create peer b" not in lines(plan, A)
    assert "PublicKey = None" not in world.machines[A].config.keyless
    assert list(world.plan().changes()) == []


def test_it_is_caught_up_when_it_is_back() -> None:
    world = World(three())
    world.away = away(B)
    world.apply()
    world.away = {}
    assert lines(world.plan(), A) == ["update file /etc/wireguard/wg0.conf", "create peer b"]
    world.apply()
    assert list(world.plan().changes()) == []


def test_a_machine_that_was_reinstalled_is_planned_as_it_will_be_carried_out() -> None:
    """Its peers get the new key in the same apply: the plan says so before there is one."""
    world = settled()
    world.machines[B] = Machine(B)
    shown = world.plan()
    assert lines(shown, A) == ["update file /etc/wireguard/wg0.conf", "create peer b", "delete peer b"]
    done = world.apply()
    assert {(name, one.action, one.target) for name, one in done.changes()} == {
        (name, one.action, one.target)
        for name, one in shown.changes()
        if one.target != "key /etc/wireguard/wg0.key"
    }
    assert list(world.plan().changes()) == []


def test_a_reinstalled_machine_is_pointed_out() -> None:
    world = settled()
    world.machines[B] = Machine(B)
    [note, _] = [one for one in world.plan().notes if one.where == B]
    assert note.what == f"it has lost its key, the lock had {key(2)}: the peers will be told"


def test_a_node_without_ssh_is_told_of() -> None:
    world = settled()
    notes = [(one.where, one.what, one.severity) for one in world.plan().notes]
    assert (A, "no `ssh`: not applied from here", Severity.WARNING) in notes


# ---- refusals


def foreign_file(world: World) -> None:
    world.machines[A].config = ConfigSeen(ConfigKind.FOREIGN, mode=0o600, has_key=True)


def foreign_link(world: World) -> None:
    world.machines[A].config = ConfigSeen(ConfigKind.ABSENT)
    world.machines[A].stamp = None


def link_of_another_key(world: World) -> None:
    link = world.machines[A].link
    assert link is not None
    world.machines[A].config = ConfigSeen(ConfigKind.ABSENT)
    link.key = key(66)


def no_wireguard_link(world: World) -> None:
    link = world.machines[A].link
    assert link is not None
    link.kind = "bridge"


def other_fleet(world: World) -> None:
    world.machines[A].stamp = Stamp("store", 1, "feed", "beef")


def newer(world: World) -> None:
    world.machines[A].stamp = Stamp("shop", 7, "feed", "beef")


def another_one(world: World) -> None:
    world.machines[A].stamp = Stamp("shop", 1, "feed", "beef")


def cloned(world: World) -> None:
    world.machines[A].key = world.machines[B].key


def cloned_from_one_that_is_away(world: World) -> None:
    cloned(world)
    world.away = away(B)


def closed_door(world: World) -> None:
    world.away = away(B, refused=True)


REFUSED: dict[str, tuple[Callable[[World], None], str]] = {
    "a file that is not ours": (foreign_file, "a: /etc/wireguard/wg0.conf is not wireloom's and is never overwritten"),
    "an interface that is not ours": (foreign_link, "a: an interface wg0 is up that wireloom did not make"),
    "an interface with another key": (link_of_another_key, "a: an interface wg0 is up that wireloom did not make"),
    "an interface that is no WireGuard": (no_wireguard_link, "a: an interface wg0 is up that wireloom did not make"),
    "a machine of another fleet": (other_fleet, "a: this machine is in the fleet `store`, not in `shop`"),
    "a machine that is newer": (newer, "a: it is at generation 7, the lock knows 1"),
    "another apply of the same number": (another_one, "a: its generation 1 is another one than the lock's"),
    "a cloned machine": (cloned, "`a` and `b` have the same private key: cloned machines?"),
    "a clone of a machine that is away": (cloned_from_one_that_is_away, "`a` and `b` have the same private key: cloned machines?"),
    "a closed door": (closed_door, "b: no route to host"),
}  # fmt: skip


@pytest.mark.parametrize(("happen", "expected"), REFUSED.values(), ids=REFUSED)
def test_refused(happen: Callable[[World], None], expected: str) -> None:
    world = settled()
    happen(world)
    plan = world.plan()
    assert whats(plan) == [expected]
    assert all(one.hint for one in plan.refusals)


SEEN = {
    "a broken key": ({"key_kind": KeyKind.BROKEN, "public_key": None}, ["a: /etc/wireguard/wg0.key holds no WireGuard key"]),
    "a garbled answer": ({"garbled": ("link", "os")}, ["a: the answer to link, os makes no sense"]),
    "no tools": ({"tools": frozenset(["wg", "wg-quick", "ping"])}, ["a: ip, sha256sum not found"]),
    "no wg, and so no word on the key": (
        {"tools": frozenset(["ip", "ping", "sha256sum"]), "key_kind": KeyKind.BROKEN, "public_key": None},
        ["a: wg, wg-quick not found"],
    ),
    "no WireGuard": ({"kernel_wireguard": False, "link": None}, ["a: no WireGuard: kernel 6.1.0 has none, and wireguard-go is not installed"]),
    "a running interface is proof of WireGuard": ({"kernel_wireguard": False}, []),
}  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), SEEN.values(), ids=SEEN)
def test_refused_as_it_was_seen(values: dict[str, object], expected: list[str]) -> None:
    world = settled()
    state = world.machines[A].seen()
    of_system = {name: value for name, value in values.items() if hasattr(state.system, name)}
    rest = {name: value for name, value in values.items() if name not in of_system}
    state = replace(state, system=replace(state.system, **of_system), **rest)  # type: ignore[arg-type]
    assert whats(world.plan({**world.seen(), A: state})) == expected


def test_missing_tools_are_told_by_their_packages() -> None:
    world = settled()
    state = world.machines[A].seen()
    state = replace(state, system=replace(state.system, tools=frozenset(["wg", "wg-quick", "ping"])))
    [one] = world.plan({**world.seen(), A: state}).refusals
    assert one.hint == "install there: apt-get install coreutils iproute2"


def test_an_older_generation_is_no_reason_to_refuse() -> None:
    world = settled()
    world.lock = replace(world.lock, generation=9, network="else")
    assert world.plan().refusals == ()


def test_a_machine_that_is_refused_is_not_planned() -> None:
    world = settled()
    foreign_file(world)
    assert A not in [one.name for one in world.plan().nodes]


def test_our_running_interface_whose_file_is_gone_is_ours() -> None:
    world = settled()
    world.machines[A].config = ConfigSeen(ConfigKind.ABSENT)
    assert world.plan().refusals == ()


# ---- the operator's own way in

WAYS = {
    "outside of the underlay": ("192.0.2.1", Risk.DISRUPTIVE),
    "by the underlay": ("10.99.0.1", Risk.LOCKOUT),
    "by the underlay's IPv6": ("fd42:99::1", Risk.LOCKOUT),
    "by name": ("a.example.org", Risk.DISRUPTIVE),
}


@pytest.mark.parametrize(("host", "expected"), WAYS.values(), ids=WAYS)
def test_a_disruptive_change_of_the_way_in_is_a_lockout(host: str, expected: Risk) -> None:
    world = settled()
    nodes = {**world.fleet.nodes, A: replace(world.fleet.nodes[A], ssh=SshTarget(host))}
    world.change(replace(world.fleet, nodes=nodes))
    world.machines[A].run(("wg", "set", "wg0", "listen-port", "4500"))
    assert [one.risk for name, one in world.plan().changes() if name == A] == [expected]


# ---- properties

few = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


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
