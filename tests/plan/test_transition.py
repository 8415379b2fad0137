"""Another port, another range: whichever nodes have taken which step, they understand each other."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.plan.machine import Machine
from tests.plan.world import World, away, outline, settled, three
from wireloom.intent.fleet import Fleet
from wireloom.lock.footing import Stance
from wireloom.observe.state import GuardKind, NodeState, OtherFleet, RouteSeen, Unreachable
from wireloom.plan.running import plan_fences
from wireloom.render.desired import FENCE_METRIC, render_node, text_digest
from wireloom.render.hearing import find_other_port
from wireloom.values import Endpoint, NodeName

A, B, N = map(NodeName, ("a", "b", "n"))
P, Q = 51820, 51999
R, S = "10.99.0.0/16", "10.77.0.0/16"


def fleet(port: int = P, ipv4: str | None = R, ipv6: str | None = None, **options: object) -> Fleet:
    return three(port=port, ipv4=ipv4, ipv6=ipv6, **options)


# ---- what connects


def heard(machine: Machine) -> set[int]:
    assert machine.link is not None
    other = find_other_port(machine.guard or "")
    return {machine.link.port, other} if other else {machine.link.port}


def mute(world: World) -> Iterator[str]:
    """Pairs that don't understand each other, of those that ran before: by their running state alone."""
    running = [one for one in world.machines.values() if one.link and one.link.peers]
    for one, other in permutations(running, 2):
        assert one.link is not None
        assert other.link is not None
        assert one.key is not None
        assert other.key is not None
        peer, back = one.link.peers.get(other.key), other.link.peers.get(one.key)
        if peer is None or back is None:
            yield f"{one.name} and {other.name} don't know each other"
            continue
        if peer.endpoint is not None and peer.endpoint.port not in heard(other):
            yield f"{one.name} dials {peer.endpoint}, {other.name} hears {heard(other)}"
        ways = [
            (source, target)
            for source in one.link.addresses
            for target in other.link.addresses
            if target.ip in source.network
            and any(target.ip in prefix for prefix in peer.allowed_ips)
            and any(source.ip in prefix for prefix in back.allowed_ips)
        ]
        if not ways:
            yield f"{one.name} has no address that {other.name} takes packets from"


def roam(world: World, choose: Callable[[list[int]], int]) -> None:
    """Every peer is heard from a port that it may answer from, and is sent to there from now on."""
    for one, other in permutations(world.machines.values(), 2):
        if one.link is None or other.link is None or other.key not in one.link.peers:
            continue
        peer = one.link.peers[other.key]
        if peer.endpoint is not None:
            # From the other port a node answers only who does not listen where it does.
            same = one.link.port == other.link.port
            port = choose([other.link.port] if same else sorted(heard(other)))
            endpoint = Endpoint(peer.endpoint.address, port)
            one.link.peers[other.key] = replace(peer, endpoint=endpoint)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Fleet, frozenset[NodeName]]]:
    """Fleet files, and who does not answer when each of them is applied once, at all or after the look."""
    ranges = st.sampled_from(
        [(R, None), (S, None), (R, "fd42:99::/64"), (None, "fd42:99::/64"), ("10.55.0.0/24", None)]
    )
    fleets = st.builds(
        lambda port, pair, guard: fleet(port, *pair, guard=guard),
        st.sampled_from([P, Q, 4500]),
        ranges,
        st.booleans(),
    )
    absent = st.frozensets(st.sampled_from([A, B, N]), max_size=2)
    return draw(st.lists(st.tuples(fleets, absent), min_size=2, max_size=8))


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_any_mixture_on_the_way_connects(
    history: list[tuple[Fleet, frozenset[NodeName]]], luck: object
) -> None:
    """After each node that has changed, all pairs are looked at; then one undisturbed walk ends the way."""
    world = settled(history[0][0])
    for wanted, absent in history[1:]:
        world.change(wanted)
        world.away = {name: state for one in absent for name, state in away(one).items()}
        if luck.choice([True, False]):  # type: ignore[attr-defined]
            world.away = {}
        plan, digest = world.begin()
        for one in plan.nodes:
            if one.name in absent:
                continue
            world.machines[one.name].carry_out(one, generation=plan.generation, network=digest)
            roam(world, luck.choice)  # type: ignore[attr-defined]
            assert list(mute(world)) == []
    world.away = {}
    world.walk()
    assert list(mute(world)) == []
    assert world.plan().steps == ()
    assert {heard(one) == {world.fleet.underlay.port} for one in world.machines.values()} == {True}
    assert all(node.former == () for node in world.learned(world.seen()).nodes.values())


# ---- step by step


def test_another_port_in_three_steps() -> None:
    world = settled(fleet())
    world.change(fleet(Q))
    assert [len(plan.steps) for plan in world.walk()] == [3, 2, 1]


def changes(plan: object, name: NodeName) -> list[tuple[str, str, str]]:
    (node,) = [one for one in plan.nodes if one.name == name]  # type: ignore[attr-defined]
    return outline(node.changes)


GUARDED = {"wg9": OtherFleet("store", guarded=True)}


def seen_beside(world: World, others: dict[str, OtherFleet]) -> dict[NodeName, NodeState | Unreachable]:
    """As it is, with a table and a fence on all machines, which are in another fleet, too."""
    fence = RouteSeen("unreachable", ip_network("10.88.0.0/16"), "", FENCE_METRIC)
    states = {name: state for name, state in world.seen().items() if isinstance(state, NodeState)}
    return {
        name: replace(state, guard=GuardKind.OTHER, routes=state.routes | {fence}, others=others)
        for name, state in states.items()
    }


TAKEN_AWAY = [("delete", "table inet wireloom", "none"), ("delete", "route unreachable 10.88.0.0/16", "none")]


@pytest.mark.parametrize(("others", "expected"), [(GUARDED, []), ({}, TAKEN_AWAY)], ids=["two", "one"])
def test_what_another_fleet_has_on_a_machine_is_left_alone(
    others: dict[str, OtherFleet], expected: list[tuple[str, str, str]]
) -> None:
    world = settled(fleet(guard=False))
    assert changes(world.plan(seen_beside(world, others)), A) == expected


def test_a_range_that_is_given_up_loses_its_fence_also_beside_another_fleet() -> None:
    desired = render_node(settled(fleet(ipv4=S)).weave(), A)
    old, theirs = (RouteSeen("unreachable", ip_network(one), "", FENCE_METRIC) for one in (R, "10.88.0.0/16"))
    planned = plan_fences(desired, frozenset({old, theirs}), frozenset({old}), alone=False)
    assert outline(planned) == [
        ("delete", f"route unreachable {R}", "none"),
        ("create", f"route unreachable {S}", "none"),
    ]


def test_another_port_is_refused_where_another_fleet_has_the_table() -> None:
    """What hears both ports for a while would take its place."""
    world = settled(fleet(guard=False))
    world.change(fleet(Q, guard=False))
    refusals = world.plan(seen_beside(world, GUARDED)).refusals
    expected = "it is in the fleet `store`, too, on wg9, and another port needs the table of that one's guard"
    assert {f"{expected} (table inet wireloom)"} == {one.what for one in refusals}


def test_what_each_step_to_another_port_changes() -> None:
    world = settled(fleet(guard=False))
    world.change(fleet(Q, guard=False))
    first, second, third = world.walk()
    file, table = ("update", "file /etc/wireguard/wg0.conf", "none"), "table inet wireloom"
    assert changes(first, A) == [file, ("create", table, "none")]
    assert changes(second, A) == [
        file,
        ("update", table, "none"),
        ("update", "listen port of wg0", "brief"),
        ("update", "peer b", "brief"),
    ]
    assert changes(third, A) == [file, ("delete", table, "none")]
    assert not any(change.together for plan in (first, second, third) for _, change in plan.changes())


def test_who_only_dials_says_at_once_where_it_is_now() -> None:
    world = settled(fleet())
    world.change(fleet(Q))
    _, second, _ = world.walk()
    (node,) = [one for one in second.nodes if one.name == N]
    words = [" ".join(command) for command in node.commands if "persistent-keepalive" in command]
    assert [word.rpartition(" ")[2] for word in words] == ["0", "25"] * 2


def test_what_each_step_to_another_range_changes() -> None:
    world = settled(fleet())
    world.change(fleet(ipv4=S))
    first, second = world.walk()
    targets = [[target for _, target, _ in changes(plan, A)] for plan in (first, second)]
    assert "address 10.77.0.1/16" in targets[0]
    assert "address 10.99.0.1/16" not in targets[0]
    assert "address 10.99.0.1/16" in targets[1]
    assert not any(change.together for plan in (first, second) for _, change in plan.changes())


def test_a_node_that_does_not_answer_holds_up_the_next_step() -> None:
    world = settled(fleet())
    world.change(fleet(Q))
    world.away = away(B)
    assert len(world.apply().steps) == 3
    assert world.plan().empty
    assert len(world.plan().steps) == 3
    world.away = {}
    assert [one.name for one in world.plan().nodes if one.changes] == [B]
    assert [len(plan.steps) for plan in world.walk()] == [3, 2, 1]


def test_a_node_that_leaves_the_fleet_is_waited_for_no_more() -> None:
    world = settled(fleet())
    world.change(fleet(Q))
    world.away = away(B)
    world.apply()
    wanted = fleet(Q)
    world.change(replace(wanted, nodes={name: one for name, one in wanted.nodes.items() if name != B}))
    assert [len(plan.steps) for plan in world.walk()] == [2, 1]


def test_who_has_taken_a_step_and_does_not_answer_since_is_not_forgotten() -> None:
    world = settled(fleet())
    world.change(fleet(Q))
    world.apply()
    plan, digest = world.begin()
    for one in plan.nodes:
        if one.name != B:  # out of reach since the look
            world.machines[one.name].carry_out(one, generation=plan.generation, network=digest)
    world.away = {**away(A), **away(N)}
    world.change(fleet(P))
    world.apply()
    assert list(mute(world)) == []


def test_a_peer_that_is_still_heard_from_the_old_port_is_set_right_before_that_port_is_given_up() -> None:
    world = settled(fleet())
    world.change(fleet(Q))
    world.apply()
    world.apply()
    link, key = world.machines[A].link, world.machines[B].key
    assert link is not None
    assert key is not None
    link.peers[key] = replace(link.peers[key], endpoint=Endpoint.parse(f"192.0.2.2:{P}"))
    assert changes(world.apply(), A) == [("update", "peer b", "brief")]
    assert [plan.steps for plan in world.walk()] == [("hear no port but 51999",)]


def test_a_lock_that_does_not_know_where_the_nodes_stand_learns_it_from_them() -> None:
    """One that an older wireloom has written."""
    world = settled(fleet())
    world.lock = replace(world.lock, footing=None)
    world.change(fleet(Q, S))
    assert [len(plan.steps) for plan in world.walk()] == [3, 2, 1]


def told_by(world: World, name: NodeName, old: str, new: str) -> World:
    """A machine whose file and note say something else, as if an apply had led there."""
    machine = world.machines[name]
    text = machine.config.keyless.replace(old, new)
    assert text != machine.config.keyless
    assert machine.stamp is not None
    machine.config = replace(machine.config, keyless=text)
    machine.stamp = replace(machine.stamp, digest=text_digest(text))
    return world


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"ListenPort = {P}", "ListenPort = 53"),
        ("Address = 10.99.0.1/16", "Address = 8.8.8.8/24"),
        ("Address = 10.99.0.1/16", "Address = 10.99.0.1/8"),
    ],
)
def test_one_machine_can_t_bring_in_a_port_or_a_range(old: str, new: str) -> None:
    world = told_by(settled(fleet()), A, old, new)
    assert (world.weave().stance, world.plan().steps) == (Stance(P, (ip_network(R),)), ())
    assert [one.name for one in world.plan().nodes if one.changes] == [A]
    world.change(fleet(Q))
    assert world.weave().stance == Stance(P, (ip_network(R),), Q)


def test_a_file_that_was_changed_by_hand_does_not_tell_where_its_node_stands() -> None:
    world = settled(fleet())
    world.change(fleet(Q))
    world.apply()
    machine = world.machines[A]
    machine.config = replace(machine.config, keyless=machine.config.keyless + "# by hand\n")
    assert world.weave().stance == Stance(P, (ip_network(R),), Q)
    world.walk()
    assert world.weave().stance == Stance(Q, (ip_network(R),))


def test_a_range_that_grows_takes_one_step_and_nobody_waits_for_the_others() -> None:
    world = settled(fleet(ipv4="10.99.0.0/24"))
    world.change(fleet(ipv4="10.96.0.0/12"))
    (plan,) = world.walk()
    assert not any(change.together for _, change in plan.changes())


def test_a_range_that_nodes_have_to_move_in_changes_everywhere_at_once_or_not_at_all() -> None:
    world = settled(fleet(ipv4="10.99.0.0/24"))
    world.lock = replace(
        world.lock,
        nodes={name: replace(node, ipv4=node.ipv4 + 100) for name, node in world.lock.nodes.items()},
    )
    world.walk()
    world.change(fleet(ipv4="10.99.0.0/29"))
    world.away = away(B)
    assert [one.where for one in world.plan().refusals] == [B]
    world.away = {}
    (plan,) = world.walk()
    assert any(change.together for _, change in plan.changes())


@pytest.mark.parametrize("steps", [1, 2])
def test_back_from_any_step(steps: int) -> None:
    world = settled(fleet())
    world.change(fleet(Q, S))
    for _ in range(steps):
        world.apply()
    world.change(fleet())
    world.walk()
    link = world.machines[A].link
    assert link is not None
    assert (link.port, list(map(str, link.addresses))) == (P, ["10.99.0.1/16"])
