"""What a look came to, node by node: what is not known is None, never a zero."""

from dataclasses import replace

import pytest

from tests.apply.machines import CP1, FLEET, NAMES, NAS1, W1, Scene, key_of
from wireloom.exporter.snapshot import NodeReading, PeerReading, Snapshot, read_nodes, read_reachable
from wireloom.exporter.verified import NoReport
from wireloom.network.topology import weave
from wireloom.observe.state import LinkSeen, NodeState, PeerSeen, Seen, Unreachable
from wireloom.plan.fleet import keys_seen, make_plan
from wireloom.values import NodeName, PublicKey

SCENE = Scene.settled()
CLOCK = 1.7e9


def state(**changed: object) -> NodeState:
    return replace(SCENE.machines[CP1].state(), **changed)  # type: ignore[arg-type]


def link(**changed: object) -> LinkSeen:
    seen = state().link
    assert seen is not None
    return replace(seen, **changed)  # type: ignore[arg-type]


def peer(name: NodeName, age: int | None, received: int = 100, sent: int = 7) -> tuple[PublicKey, PeerSeen]:
    seen = link().peers[key_of(name)]
    handshake = 0 if age is None else int(CLOCK) - age
    return key_of(name), replace(seen, handshake=handshake, received=received, sent=sent)


def read(seen: Seen, before: Snapshot | None = None, scene: Scene = SCENE) -> dict[NodeName, NodeReading]:
    network = weave(scene.fleet, scene.lock.with_keys(keys_seen(seen)))
    plan = make_plan(scene.fleet, scene.lock, network, seen)
    return {node.name: node for node in read_nodes(network, plan, seen, before)}


def cp1(seen: NodeState | Unreachable, before: Snapshot | None = None) -> NodeReading:
    return read({**SCENE.seen(), CP1: seen}, before)[CP1]


def snapshot(*nodes: NodeReading) -> Snapshot:
    return Snapshot("shop", 4, nodes, NoReport.ABSENT, 0, 0)


def test_all_nodes_are_told_in_the_order_of_the_file() -> None:
    assert list(read(SCENE.seen())) == list(NAMES)


def test_a_node_that_is_as_it_should_be() -> None:
    peers = dict([peer(W1, 12, 1000, 2000), peer(NAS1, 200)])
    seen = state(link=link(peers=peers, received=4096, sent=512))
    assert cp1(seen) == NodeReading(
        name=CP1,
        site=FLEET.nodes[CP1].site,
        planned=2,
        reachable=True,
        up=True,
        generation=4,
        received=4096,
        sent=512,
        drift=0,
        errors=0,
        peers=(PeerReading(W1, 12.0, 1000, 2000), PeerReading(NAS1, 200.0, 100, 7)),
    )
    assert (cp1(seen).fresh, cp1(seen).handshake_ages) == (1, [12.0, 200.0])


UNKNOWN = {
    "a node that does not answer": (False, Unreachable(CP1, "no answer")),
    "a node that refuses us": (False, Unreachable(CP1, "no login", refused=True)),
}


@pytest.mark.parametrize(("reachable", "seen"), UNKNOWN.values(), ids=UNKNOWN)
def test_nothing_is_known_of_who_was_not_seen(reachable: bool, seen: Unreachable) -> None:
    assert cp1(seen) == NodeReading(CP1, FLEET.nodes[CP1].site, 2, reachable=reachable)


def test_nothing_is_known_of_who_is_not_asked() -> None:
    seen = {name: one for name, one in SCENE.seen().items() if name != CP1}
    assert read(seen)[CP1] == NodeReading(CP1, FLEET.nodes[CP1].site, 2)


def test_an_interface_that_is_not_there_is_down_and_has_no_sessions() -> None:
    one = cp1(state(link=None))
    assert (one.up, one.received, one.fresh, one.handshake_ages) == (False, None, 0, [])
    assert one.drift
    assert one.peers == (PeerReading(W1), PeerReading(NAS1))


def test_an_interface_that_is_down() -> None:
    assert cp1(state(link=link(up=False))).up is False


@pytest.mark.parametrize(("up", "probe"), [(True, "os"), (None, "links")])
def test_an_answer_without_sense_is_no_session_and_no_lack_of_one(up: bool | None, probe: str) -> None:
    garbled = state(garbled=(probe,), **({"link": None} if probe == "links" else {}))
    one = cp1(garbled)
    assert (one.reachable, one.up, one.peers, one.fresh) == (True, up, None, None)


def test_who_is_no_peer_of_the_plan_is_no_session() -> None:
    stranger = link().peers[key_of(W1)]
    peers = dict([peer(W1, None), peer(NAS1, None)]) | {
        key_of(NodeName("eve")): replace(stranger, handshake=1)
    }
    assert cp1(state(link=link(peers=peers))).handshake_ages == []


def test_a_clock_that_was_set_back_makes_no_negative_age() -> None:
    one = cp1(state(link=link(peers=dict([peer(W1, -10), peer(NAS1, 5)]))))
    assert one.handshake_ages == [0.0, 5.0]


def test_drift_is_what_a_plan_would_change() -> None:
    drifted = Scene.drifted(CP1)
    plan = drifted.plan()
    nodes = read(drifted.seen(), scene=drifted)
    assert [nodes[name].drift for name in NAMES] == [len(node.changes) for node in plan.nodes]
    assert nodes[CP1].drift
    assert nodes[W1].drift == 0


def test_what_can_not_be_planned_for_has_errors_and_no_drift() -> None:
    seen = state(system=replace(state().system, tools=frozenset()))
    assert cp1(seen).errors
    assert cp1(seen).drift is None


def test_without_an_underlay_only_who_answers_is_told() -> None:
    seen: Seen = {CP1: state(), W1: Unreachable(W1, "no answer")}
    network = weave(SCENE.fleet, SCENE.lock)
    assert [(node.reachable, replace(node, reachable=None)) for node in read_reachable(network, seen)] == [
        (reachable, NodeReading(name, FLEET.nodes[name].site))
        for name, reachable in ((CP1, True), (W1, False), (NAS1, None))
    ]


Bytes = tuple[int | None, int]
"""The age of a handshake, and bytes sent."""
UNANSWERED: dict[str, tuple[int, Bytes, Bytes]] = {
    "sent, and no session": (1, (None, 148), (None, 296)),
    "sent, and a session that died long ago": (1, (300, 148), (360, 296)),
    "nothing sent: nobody uses it": (0, (300, 148), (360, 148)),
    "never anything sent": (0, (None, 0), (None, 0)),
    "sent, and answered": (0, (300, 148), (2, 296)),
    "sent over a session that has died since": (0, (130, 148), (190, 296)),
    "the interface was made anew, and sends": (1, (300, 148), (None, 100)),
    "the interface was made anew": (0, (300, 148), (None, 0)),
}


@pytest.mark.parametrize(("expected", "before", "now"), UNANSWERED.values(), ids=UNANSWERED)
def test_only_who_was_sent_to_can_be_missed(expected: int, before: Bytes, now: Bytes) -> None:
    def look(w1: Bytes, before: Snapshot | None = None) -> NodeReading:
        return cp1(state(link=link(peers=dict([peer(W1, w1[0], sent=w1[1]), peer(NAS1, 1)]))), before)

    assert look(now, snapshot(look(before))).unanswered == expected


def test_one_look_alone_misses_nobody() -> None:
    assert cp1(state()).unanswered is None


def test_after_a_look_that_failed_nobody_is_missed_yet() -> None:
    before = snapshot(cp1(Unreachable(CP1, "no answer")))
    assert cp1(state(), before).unanswered is None


def test_a_peer_that_was_not_there_before_is_not_missed_yet() -> None:
    before = snapshot(replace(cp1(state()), peers=()))
    now = state(link=link(peers=dict([peer(W1, None, sent=148), peer(NAS1, 1)])))
    assert cp1(now, before).unanswered == 0
