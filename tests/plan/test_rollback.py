"""Back to a generation that the nodes keep: whatever the fleet was, and whatever has become of it since."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.network.fleets import IPV4, key, lock_of, make_fleet, node
from tests.network.test_topology import fleets
from tests.plan.machine import Machine
from tests.plan.world import World, away, three
from wireloom.errors import UserError
from wireloom.intent.fleet import Fleet, Kubernetes
from wireloom.network.network import Network
from wireloom.network.topology import weave
from wireloom.observe.state import Stored
from wireloom.plan.fleet import keys_seen
from wireloom.plan.plan import Plan, Risk
from wireloom.plan.rollback import Restored, plan_rollback, restore
from wireloom.render.desired import NodeDesired, render_node, text_digest
from wireloom.values import Endpoint, NodeName, PublicKey, SshTarget

A, B, N = map(NodeName, "abn")

few = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])


def stored(text: str, number: int = 3) -> Stored:
    return Stored(number, text_digest(text), text)


def keys_of(network: Network) -> dict[NodeName, PublicKey]:
    return {name: one.public_key for name, one in network.members.items() if one.public_key}


@st.composite
def any_fleets(draw: st.DrawFn) -> Fleet:
    """Fleets in every mixture of families, with and without guard and pods."""
    fleet = draw(fleets())
    ipv6 = fleet.underlay.ipv6
    pods = make_fleet(*fleet.nodes.values(), pods=["10.42.0.0/16", *(["fd42:42::/56"] if ipv6 else [])])
    return replace(
        fleet,
        underlay=replace(
            fleet.underlay,
            ipv4=None if ipv6 and draw(st.booleans()) else fleet.underlay.ipv4,
            guard=draw(st.booleans()),
            mtu=draw(st.sampled_from([None, 1300])),
        ),
        kubernetes=pods.kubernetes if draw(st.booleans()) else None,
    )


# One text


@given(any_fleets(), any_fleets())
@few
def test_what_was_rendered_is_restored_whatever_the_fleet_is_today(past: Fleet, present: Fleet) -> None:
    network = weave(past, lock_of(past))
    today = weave(present, lock_of(present))
    for name in set(past.nodes) & set(present.nodes):
        want = render_node(network, name)
        found = restore(render_node(today, name), stored(want.config.keyless), keys_of(network))
        assert found.config == want.config
        assert without_sources(found) == replace(without_sources(want), drop_in=found.drop_in)


def without_sources(desired: NodeDesired) -> NodeDesired:
    """Where packets of a peer may come from is not in the text: that is today's."""
    peers = tuple(replace(peer, sources=()) for peer in desired.peers)
    return replace(desired, peers=peers, fenced=tuple(sorted(desired.fenced, key=str)))


@given(any_fleets())
@few
def test_keys_are_those_of_today(fleet: Fleet) -> None:
    lock = lock_of(fleet)
    renewed = lock.with_keys({name: key(100 + place) for place, name in enumerate(fleet.nodes)})
    now = weave(fleet, renewed)
    for name in fleet.nodes:
        past = render_node(weave(fleet, lock), name)
        want = render_node(now, name)
        assert want == replace(
            restore(want, stored(past.config.keyless), keys_of(now)), fenced=want.fenced, drop_in=want.drop_in
        )


@given(any_fleets(), st.data())
@few
def test_who_has_left_stays_out(fleet: Fleet, data: st.DataObject) -> None:
    network = weave(fleet, lock_of(fleet))
    gone = data.draw(st.sampled_from(list(fleet.nodes)))
    keys = {name: one for name, one in keys_of(network).items() if name != gone}
    for name in keys:
        text = render_node(network, name).config.keyless
        found = restore(render_node(network, name), stored(text), keys)
        assert gone not in [peer.name for peer in found.peers]
        assert f"# {gone}\n" not in found.config.body


def text_of_a() -> tuple[NodeDesired, Mapping[NodeName, PublicKey]]:
    fleet = three(pods=["10.42.0.0/16"])
    network = weave(fleet, lock_of(fleet))
    return render_node(network, A), keys_of(network)


@given(st.text(max_size=200), st.booleans())
@few
def test_garbage_is_refused_by_node_and_generation(text: str, whole: bool) -> None:
    today, keys = text_of_a()
    garbled = Stored(7, text_digest(text) if whole else "", text)
    with pytest.raises(UserError, match="a: what it keeps of generation 7 ") as raised:
        restore(today, garbled, keys)
    assert raised.value.diagnostics[0].hint == "nothing was changed; for another one see: wireloom history"


@given(st.data())
@few
def test_a_text_that_was_cut_or_edited_is_refused(data: st.DataObject) -> None:
    today, keys = text_of_a()
    text = today.config.keyless
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    spoilt = text[:start] + data.draw(st.sampled_from(["", "#", "\n", "[Peer]", "\n[Peer]\n"])) + text[end:]
    with_its_old_digest = Stored(7, text_digest(text), spoilt)
    if spoilt != text:
        with pytest.raises(UserError, match="is not what was stored: cut short, or changed by hand"):
            restore(today, with_its_old_digest, keys)


@given(st.data())
@few
def test_a_text_of_some_other_version_is_refused_or_makes_sense(data: st.DataObject) -> None:
    """Its digest is right: whatever it is, it was stored like that."""
    today, keys = text_of_a()
    lines = today.config.keyless.splitlines(keepends=True)
    place = data.draw(st.integers(0, len(lines) - 1))
    lines[place : place + 1] = data.draw(st.lists(st.sampled_from([*lines, "\n", "Key = 1\n"]), max_size=2))
    try:
        found = restore(today, stored("".join(lines)), keys)
    except UserError:
        return
    assert found.addresses
    assert {peer.name for peer in found.peers} <= {B, N}
    assert found.config.body.count("[Peer]") == len(found.peers)


SENSELESS: dict[str, Callable[[str], str]] = {
    "nothing": lambda _: "",
    "not wireloom's": lambda text: text.replace("# Written by wireloom", "# Written"),
    "no address": lambda text: text.replace("Address = ", "Adress = "),
    "a port that is none": lambda text: text.replace("ListenPort = 51820", "ListenPort = none"),
    "no MTU": lambda text: text.replace("MTU = ", "MTU: "),
    "a key that is none": lambda text: text.replace(str(key(2)), "AAAA"),
    "a peer without allowed IPs": lambda text: text.replace("AllowedIPs", "Allowed"),
    "a preshared key": lambda text: text + f"PresharedKey = {key(9)}\n",
    "no name": lambda text: text.replace("# b\n", ""),
    "the last line is not whole": lambda text: text[:-1],
}


@pytest.mark.parametrize("spoil", SENSELESS.values(), ids=SENSELESS)
def test_what_would_not_be_written_so_again_is_refused(spoil: Callable[[str], str]) -> None:
    today, keys = text_of_a()
    text = spoil(today.config.keyless)
    assert text != today.config.keyless
    with pytest.raises(UserError, match="a: what it keeps of generation 3 makes no sense to this version"):
        restore(today, stored(text), keys)


# A whole fleet


@dataclass
class Past(World):
    """A world whose machines keep their generations, as those of `apply` do."""

    history: dict[NodeName, dict[int, Stored]] = field(default_factory=dict)

    def apply(self) -> Plan:
        plan = super().apply()
        self._keep(plan)
        return plan

    def _keep(self, plan: Plan) -> None:
        for one in plan.nodes:
            if one.config is not None:
                kept = self.history.setdefault(one.name, {})
                kept[plan.generation] = stored(one.config.keyless, plan.generation)

    def back(self, target: int) -> tuple[Plan, Restored]:
        seen = self.seen()
        reached = {name for name in seen if name not in self.away}
        found = {
            name: kept[max(numbers)]
            for name, kept in self.history.items()
            if name in reached and (numbers := [number for number in kept if number <= target])
        }
        return plan_rollback(
            target,
            found,
            fleet=self.fleet,
            today=self.plan(),
            lock=self.learned(seen).with_keys(keys_seen(seen)),
            network=self.weave(),
            seen=seen,
        )

    def roll_back(self, target: int) -> Plan:
        plan, _ = self.back(target)
        assert plan.refusals == ()
        self.lock = replace(self.lock, generation=plan.generation, network=f"back to {target}")
        for one in plan.nodes:
            self.machines[one.name].carry_out(one, generation=plan.generation, network=self.lock.network)
        self._keep(plan)
        return plan


@given(st.lists(any_fleets(), min_size=2, max_size=3))
@few
def test_back_to_any_fleet_and_forth_again(steps: list[Fleet]) -> None:
    world = Past(steps[0])
    for fleet in steps:
        world.change(fleet)
        world.walk()
    target = world.history and min(number for kept in world.history.values() for number in kept)
    assert isinstance(target, int)

    world.roll_back(target)

    assert list(world.back(target)[0].changes()) == []
    world.walk()
    assert list(world.plan().changes()) == []


def grown(*names: str, **options: object) -> Fleet:
    """Nodes with public addresses, one site each."""
    nodes = [node(name, name, f"192.0.2.{place}") for place, name in enumerate(names, 1)]
    return make_fleet(*nodes, **options)  # type: ignore[arg-type]


def lived(*steps: Fleet) -> Past:
    world = Past(steps[0])
    for fleet in steps:
        world.change(fleet)
        world.walk()
    return world


def peers_of(machine: Machine) -> set[PublicKey]:
    assert machine.link is not None
    return set(machine.link.peers)


def test_a_rollback_is_a_new_generation_and_leads_to_the_old_state() -> None:
    world = lived(grown("a", "b"), grown("a", "b", mtu=1300))
    plan = world.roll_back(1)
    assert plan.generation == 3
    assert {(name, change.target) for name, change in plan.changes()} == {
        (name, target) for name in (A, B) for target in ("mtu of wg0", "file /etc/wireguard/wg0.conf")
    }
    assert [machine.link and machine.link.mtu for machine in world.machines.values()] == [1440, 1440]


def test_after_it_the_fleet_file_can_be_applied_and_another_checkout_can_not() -> None:
    world = lived(grown("a", "b"), grown("a", "b", mtu=1300))
    older = world.lock
    world.roll_back(1)
    assert world.plan().refusals == ()
    assert {change.target for _, change in world.plan().changes()} >= {"mtu of wg0"}
    world.lock = older
    assert [(one.where, one.what) for one in world.plan().refusals] == [
        ("a", "it is at generation 3, the lock knows 2"),
        ("b", "it is at generation 3, the lock knows 2"),
    ]


def test_two_checkouts_that_rolled_back_to_different_ones_are_told_apart() -> None:
    world = lived(grown("a", "b"), grown("a", "b", mtu=1300), grown("a", "b", mtu=1350))
    world.roll_back(1)
    world.lock = replace(world.lock, network="back to 2")
    assert {one.what for one in world.plan().refusals} == {"its generation 4 is another one than the lock's"}


def test_a_node_that_was_removed_since_is_nobodys_peer() -> None:
    world = lived(grown("a", "b", "n"), grown("a", "b"))
    plan = world.roll_back(1)
    assert plan.empty
    assert peers_of(world.machines[A]) == {world.machines[B].key}


def test_a_node_that_joined_since_stays_as_it_is_and_is_told_of() -> None:
    world = lived(grown("a", "b"), grown("a", "b", "n"))
    plan = world.roll_back(1)
    assert [(one.where, one.what) for one in plan.notes] == [
        ("n", "it was not in the network then: the others forget it")
    ]
    assert peers_of(world.machines[A]) == {world.machines[B].key}
    assert peers_of(world.machines[N]) == {world.machines[A].key, world.machines[B].key}


def test_a_node_that_had_left_then_and_came_back_stays_as_it_is_too() -> None:
    """It keeps what it had before it left, and that would know the others, but they not it."""
    world = lived(grown("a", "b", "n"), grown("a", "b"), grown("a", "b", "n", mtu=1300))
    plan, desired = world.back(2)
    assert set(desired) == {A, B}
    assert [one.where for one in plan.notes] == ["n"]


def test_the_only_node_of_then_goes_back() -> None:
    world = lived(grown("a", mtu=1300), grown("a", "b"))
    plan, desired = world.back(1)
    assert set(desired) == {A}
    assert [one.where for one in plan.notes] == ["b"]


def test_keys_that_were_made_since_are_kept_and_peers_told() -> None:
    world = lived(grown("a", "b"), grown("a", "b", mtu=1300))
    world.machines[B].make_key(key(77))
    world.apply()
    world.roll_back(1)
    assert peers_of(world.machines[A]) == {key(77)}
    assert world.machines[B].key == key(77)


def test_that_a_key_is_another_one_than_the_locks_is_told_here_too() -> None:
    world = lived(grown("a", "b"), grown("a", "b", mtu=1300))
    world.machines[B].make_key(key(77))
    notes = [one for one in world.back(1)[0].notes if "the lock had" in one.what]
    assert [one.where for one in notes] == ["b"]


def test_a_node_that_has_lost_its_key_makes_it_first() -> None:
    world = lived(grown("a", "b"), grown("a", "b", mtu=1300))
    world.machines[B].key = None
    assert [(one.where, one.what, one.hint) for one in world.back(1)[0].refusals] == [
        ("b", "it has lost its key", "apply first: it makes a new one, and tells the others")
    ]


def test_a_node_that_does_not_answer_is_left_as_it_is() -> None:
    world = lived(grown("a", "b"), grown("a", "b", mtu=1300))
    world.away = away(B)
    plan, desired = world.back(1)
    assert [one.name for one in plan.unreachable] == [B]
    assert set(desired) == {A}
    assert plan.notes == ()


def test_a_node_without_history_that_has_not_changed_stays_as_it_is() -> None:
    """It was applied by a version that kept none."""
    fleet = grown("a", "b")
    world = lived(fleet)
    del world.history[B]
    assert world.machines[A].link is not None
    world.machines[A].link.mtu = 1300
    world.apply()
    plan = world.roll_back(1)
    assert (plan.empty, plan.notes) == (True, ())


def test_a_node_that_has_changed_since_and_keeps_nothing_from_then_stops_it() -> None:
    world = lived(grown("a", "b"), grown("a", "b", mtu=1300))
    del world.history[B][1]
    assert [(one.where, one.what) for one in world.back(1)[0].refusals] == [
        ("b", "it has changed since generation 1, and keeps nothing from then")
    ]


def test_every_text_that_makes_no_sense_is_told_at_once() -> None:
    world = lived(grown("a", "b"), grown("a", "b", mtu=1300))
    for kept in world.history.values():
        kept[1] = stored("", 1)
    with pytest.raises(UserError) as raised:
        world.back(1)
    assert [one.where for one in raised.value.diagnostics] == ["a", "b"]


def test_a_peer_that_roamed_is_left_where_it_is() -> None:
    def fleet(mtu: int) -> Fleet:
        return make_fleet(node("a", "x", "192.0.2.1"), node("b", "y", "192.0.2.2 192.0.2.77"), mtu=mtu)

    world = lived(fleet(1400), fleet(1300))
    machine = world.machines[A]
    assert machine.link is not None
    [peer] = machine.link.peers.values()
    roamed = Endpoint.parse("192.0.2.77:51820")
    machine.link.peers[peer.public_key] = replace(peer, endpoint=roamed)
    world.roll_back(1)
    assert machine.link.peers[peer.public_key].endpoint == roamed


def test_that_ssh_runs_through_the_interface_is_seen_although_nothing_is_to_be_applied() -> None:
    def fleet(port: int) -> Fleet:
        made = grown("a", "b")
        nodes = {name: replace(one, ssh=SshTarget("10.99.0.1")) for name, one in made.nodes.items()}
        return replace(made, nodes=nodes, underlay=replace(made.underlay, port=port))

    assert IPV4 == "10.99.0.0/16"
    world = lived(fleet(51820), fleet(4500))
    assert world.plan().empty
    assert Risk.LOCKOUT in {change.risk for _, change in world.back(1)[0].changes()}


MOVED = grown("a", "b"), grown("a", "b", port=4500, ipv4="10.7.0.0/16")
"""In three steps, generations 2 to 4."""


@pytest.mark.parametrize(("target", "together"), [(3, False), (2, True), (1, True)])
def test_back_over_steps_that_don_t_understand_each_other_all_change_at_once(
    target: int, together: bool
) -> None:
    world = lived(*MOVED)
    plan = world.roll_back(target)
    assert any(change.together for _, change in plan.changes()) == together
    assert list(world.back(target)[0].changes()) == []
    world.walk()
    assert world.plan().empty


def test_who_does_not_answer_is_not_cut_off_by_the_others_way_back() -> None:
    world = lived(*MOVED)
    world.away = away(B)
    world.roll_back(3)
    (refusal,) = world.back(2)[0].refusals
    what = "it does not answer, and a would not understand it any more: no route to host"
    assert (refusal.where, refusal.what) == (B, what)


@pytest.mark.parametrize("guard", [True, False])
def test_the_guard_is_that_of_then(guard: bool) -> None:
    world = lived(grown("a", "b", guard=guard), grown("a", "b", guard=not guard))
    world.roll_back(1)
    assert [machine.guard is not None for machine in world.machines.values()] == [guard, guard]


def test_pods_come_and_go_with_their_routes() -> None:
    world = lived(grown("a", "b"), replace(grown("a", "b"), kubernetes=Kubernetes(pods=())))
    world.change(grown("a", "b", pods=["10.42.0.0/16"]))
    world.apply()
    world.roll_back(1)
    fenced = {str(route.to) for route in world.machines[A].routes if route.kind == "unreachable"}
    assert fenced == {"10.99.0.0/16"}
