# ruff: noqa: E501 - a row of a table stays a row
"""A whole fleet through its life: every change is planned once, carried out, and then there is nothing to do."""

from dataclasses import replace

import pytest

from tests.network.fleets import key, make_fleet, node
from tests.plan.machine import Machine
from tests.plan.world import World, away, outline, settled, three
from wireloom.errors import Severity
from wireloom.intent.fleet import Fleet
from wireloom.plan.plan import Plan, Risk
from wireloom.values import NodeName, SshTarget

A, B, N = NodeName("a"), NodeName("b"), NodeName("n")


def lines(plan: Plan, name: NodeName) -> list[str]:
    """The changes of one node, an action and a target a line."""
    return [f"{one.action} {one.target}" for node_name, one in plan.changes() if node_name == name]


# ---- the first apply


def test_a_new_machine_needs_all_of_it() -> None:
    plan = World(three()).plan()
    assert outline(change for name, change in plan.changes() if name == A) == [
        ("create", "key /etc/wireguard/wg0.key", "none"),
        ("create", "file /etc/wireguard/wg0.conf", "none"),
        ("create", "file /etc/systemd/system/wg-quick@wg0.service.d/wireloom.conf", "none"),
        ("enable", "unit wg-quick@wg0", "none"),
        ("start", "interface wg0", "none"),
        ("create", "peer b", "none"),
        ("create", "peer n", "none"),
        ("create", "table inet wireloom", "none"),
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
        ["update file /etc/wireguard/wg0.conf", "update table inet wireloom"],
    ),
    "another MTU": (underlay(mtu=1300), A, ["update file /etc/wireguard/wg0.conf", "update mtu of wg0"]),
    "a larger range": (
        three(ipv4="10.96.0.0/12"),
        A,
        [
            "update file /etc/wireguard/wg0.conf",
            "update table inet wireloom",
            "create address 10.99.0.1/12",
            "delete address 10.99.0.1/16",
            "delete route unreachable 10.99.0.0/16",
            "create route unreachable 10.96.0.0/12",
        ],
    ),
    "a larger IPv6 range": (
        three(ipv6="fd42:99::/48"),
        A,
        [
            "update file /etc/wireguard/wg0.conf",
            "update table inet wireloom",
            "create address fd42:99::1/48",
            "delete address fd42:99::1/64",
            "delete route unreachable fd42:99::/64",
            "create route unreachable fd42:99::/48",
        ],
    ),
    "another range": (
        three(ipv4="10.98.0.0/16"),
        A,
        [
            "update file /etc/wireguard/wg0.conf",
            "update table inet wireloom",
            "create address 10.98.0.1/16",
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
            "update table inet wireloom",
            "delete address fd42:99::1/64",
            "update peer b",
            "update peer n",
            "delete route unreachable fd42:99::/64",
        ],
    ),
    "pods": (
        three(pods=["10.42.0.0/16"]),
        A,
        [
            "update file /etc/wireguard/wg0.conf",
            "update table inet wireloom",
            "create route unreachable 10.42.0.0/16",
        ],
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
        world.walk()
        assert list(world.plan().changes()) == []


def test_ipv6_that_comes_to_a_running_interface_outlives_a_flap_of_it() -> None:
    world = settled(three(ipv6=None))
    world.change(three())
    assert lines(world.plan(), A) == [
        "update file /etc/wireguard/wg0.conf",
        "update table inet wireloom",
        "create address fd42:99::1/64",
        "update keep_addr_on_down of wg0",
        "update peer b",
        "update peer n",
        "create route unreachable fd42:99::/64",
    ]
    world.apply()
    for verb in ("down", "up"):
        world.machines[A].run(("ip", "link", "set", "dev", "wg0", verb))
    assert list(world.plan().changes()) == []


def test_an_interface_without_ipv6_keeps_nothing() -> None:
    world = settled(three(ipv6=None))
    assert [one.link and one.link.keeper for one in world.machines.values()] == [0, 0, 0]
    assert list(world.plan().changes()) == []


@pytest.mark.parametrize("after", [fleet for fleet, *_ in CHANGES.values()], ids=CHANGES)
def test_while_the_interfaces_are_down(after: Fleet) -> None:
    """They start from the old file and are changed in place to the new one."""
    world = settled()
    for machine in world.machines.values():
        machine.link, machine.routes = None, set()
    world.change(after)
    world.walk()
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
    [note] = [one for one in world.plan().notes if one.where == B]
    assert note.what == f"it has lost its key, the lock had {key(2)}: the peers will be told"


def test_a_node_without_ssh_is_told_of() -> None:
    world = settled()
    dialled = {name: state for name, state in world.seen().items() if name != A}
    notes = [(one.where, one.what, one.severity) for one in world.plan(dialled).notes]
    assert notes == [(A, "no `ssh`: not applied from here", Severity.WARNING)]


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
    world.machines[A].run(("ip", "address", "replace", "10.7.0.1/24", "dev", "wg0"))
    assert [one.risk for name, one in world.plan().changes() if name == A] == [expected]
