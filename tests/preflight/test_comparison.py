"""Machines compared with each other: their clocks, and what no two of them may have in common."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.network.fleets import key
from tests.plan.world import World, away, settled
from tests.preflight.look import A, B, Changes, N, find, inspect_world, lines
from wireloom.observe.state import ClockSeen, NodeState
from wireloom.preflight.comparison import MOST_OFF
from wireloom.values import NodeName

# ---- clocks


def clocks(*offsets: float | None, doubt: float = 0.0) -> dict[NodeName, Changes]:
    """The clocks of a, b and n; None: it could not be read."""
    return {
        name: {"clock": None if offset is None else ClockSeen(offset, doubt)}
        for name, offset in zip((A, B, N), offsets, strict=True)
    }


def slow(offset: float) -> dict[NodeName, Changes]:
    """The clock of n, whose answer took 20 s."""
    return {N: {"clock": ClockSeen(offset, 10)}}


OFF = {
    "an hour behind": (clocks(0, 0, -3600), [("n", "3600 s behind the median of 3 machines")]),
    "an hour ahead": (clocks(7200, 3600, 3600), [("a", "3600 s ahead of the median of 3 machines")]),
    "just too much": (clocks(0, 1, 32.5), [("n", "32 s ahead of the median of 3 machines")]),
    "nobody knows which of two is right": (
        clocks(0, None, 100),
        [("a", "50 s behind the median of 2 machines"), ("n", "50 s ahead of the median of 2 machines")],
    ),
    "off by more than the answers took": (
        clocks(0, 0, 100, doubt=10),
        [("n", "100 s, give or take 10 s, ahead of the median of 3 machines")],
    ),
}


@pytest.mark.parametrize(("changes", "expected"), OFF.values(), ids=OFF)
def test_a_clock_that_is_off(changes: dict[NodeName, Changes], expected: list[tuple[str, str]]) -> None:
    found = find(changes)
    assert lines(found) == [(name, "clock", "error", f"its clock is {what}") for name, what in expected]
    assert all(
        one.hint == "there: timedatectl set-ntp true; if that finds no NTP client: apt-get install chrony"
        for one in found
    )


RIGHT = {
    "the same": clocks(5, 5, 5),
    "within the limit": clocks(0, MOST_OFF, 2 * MOST_OFF),
    "perhaps off, perhaps a slow answer": clocks(0, 0, 40, doubt=10),
    "perhaps ahead, by an answer slower than the others": {**clocks(0, 0, 35), **slow(35)},
    "perhaps behind, by an answer slower than the others": {**clocks(0, 0, -35), **slow(-35)},
    "one alone": clocks(3600, None, None),
    "none": clocks(None, None, None),
}


@pytest.mark.parametrize("changes", RIGHT.values(), ids=RIGHT)
def test_a_clock_that_may_be_right(changes: dict[NodeName, Changes]) -> None:
    assert find(changes) == []


def test_without_systemd_another_command_sets_it() -> None:
    changes = clocks(0, 0, 3600) | {N: {"clock": ClockSeen(3600, 0), "systemd": False}}
    assert [one.hint for one in find(changes)] == ["let an NTP client set it there: apt-get install chrony"]


@given(
    zero=st.floats(-1e9, 1e9),
    errors=st.lists(st.floats(-MOST_OFF / 2, MOST_OFF / 2), min_size=3, max_size=3),
    moments=st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(0, 1)), min_size=3, max_size=3),
)
@example(zero=0, errors=[-15, 15, 15], moments=[(0, 0, 0), (0, 20, 1), (0, 20, 1)])
def test_neither_the_operators_clock_nor_slow_answers_make_a_good_clock_bad(
    zero: float, errors: list[float], moments: list[tuple[float, float, float]]
) -> None:
    """Machines within 15 s of the true time, read at any moment of answers of any length."""
    changes = {}
    for name, error, (sent, took, moment) in zip((A, B, N), errors, moments, strict=True):
        clock = zero + sent + took * moment + error
        changes[name] = {"clock": ClockSeen.measured(clock, sent, sent + took)}
    assert find(changes) == []


@given(
    zero=st.floats(-1e6, 1e6),
    moments=st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20), st.floats(0, 1)), min_size=3, max_size=3),
)
def test_an_hour_is_found_however_slow_the_answers(
    zero: float, moments: list[tuple[float, float, float]]
) -> None:
    changes = {}
    for name, error, (sent, took, moment) in zip((A, B, N), (0, 3600, 0), moments, strict=True):
        clock = zero + sent + took * moment + error
        changes[name] = {"clock": ClockSeen.measured(clock, sent, sent + took)}
    assert [one.node for one in find(changes)] == [B]


# ---- clones

ONE, TWO = "ssh-ed25519 AAAA", "ssh-ed25519 BBBB"


def test_one_machine_id_on_three_machines_is_found_on_two() -> None:
    found = find({name: {"identity": "beef"} for name in (A, B, N)})
    what = "its machine-id is that of `a`, too: a clone, or one machine under two names"
    assert lines(found) == [("b", "identity", "error", what), ("n", "identity", "error", what)]
    removed = "rm -f /etc/machine-id /var/lib/dbus/machine-id"
    assert found[0].hint == f"make a new one there: {removed}; systemd-machine-id-setup; reboot"


def test_machines_without_a_machine_id_are_not_alike() -> None:
    assert find({A: {"identity": ""}, B: {"identity": ""}, N: {"identity": "beef"}}) == []


def test_one_ssh_host_key_on_two_machines() -> None:
    found = find({A: {"host_key": ONE}, B: {"host_key": TWO}, N: {"host_key": ONE}})
    what = "its SSH host key is that of `a`, too: a clone, or one machine under two names"
    assert lines(found) == [("n", "identity", "error", what)]
    assert "ssh-keygen -A; systemctl restart ssh; and take `ssh_host_key` of n out" in found[0].hint


def test_the_host_key_of_a_machine_that_is_away_counts() -> None:
    world = settled()
    world.lock = world.lock.with_host_keys({B: ONE})
    world.away = away(B)
    found = find({A: {"host_key": ONE}}, world)
    assert [(one.node, str(one.check)) for one in found] == [("a", "identity"), ("b", "answer")]


def test_clones_that_are_both_away_are_nobodys_finding_now() -> None:
    world = settled()
    world.lock = world.lock.with_host_keys({A: ONE, B: ONE})
    world.away = {**away(A), **away(B)}
    assert [str(one.check) for one in find({}, world)] == ["answer", "answer"]


def cloned(world: World) -> None:
    world.machines[A].key = key(2)


def test_one_private_key_on_two_machines() -> None:
    world = settled()
    cloned(world)
    [one] = find({}, world)
    what = "its private key is that of `a`, too: a cloned machine?"
    assert lines([one]) == [("b", "identity", "error", what)]
    assert one.hint == "remove it there (rm /etc/wireguard/wg0.key): the next apply makes a new one"


def test_a_clone_of_one_that_is_away_is_found_on_who_can_be_mended() -> None:
    world = settled()
    cloned(world)
    world.away = away(B)
    assert [one.node for one in find({}, world) if str(one.check) == "identity"] == ["a"]


# ---- all together


def test_findings_are_in_the_order_of_the_fleet_file() -> None:
    strange = {"architecture": "pdp11", "identity": "x"}
    found = find({N: {"net_admin": False}, B: strange, A: strange})
    assert [(one.node, str(one.check)) for one in found] == [
        ("a", "system"),
        ("b", "identity"),  # an error, before warnings
        ("b", "system"),
        ("n", "capability"),
    ]


@pytest.mark.parametrize(("refused", "check"), [(False, "answer"), (True, "login")])
def test_a_machine_that_is_away_is_a_finding_beside_those_of_others(refused: bool, check: str) -> None:
    world = settled()
    world.away = away(B, refused=refused)
    found = find({N: {"net_admin": False}}, world)
    assert lines(found)[0] == ("b", check, "error", "no route to host")
    assert [one.node for one in found] == ["b", "n"]


def test_a_node_that_is_not_dialled_is_a_warning() -> None:
    world = settled()
    seen = {name: state for name, state in world.seen().items() if name != A}
    [one] = inspect_world(world, seen)
    assert lines([one]) == [("a", "login", "warning", "no `ssh`: not applied from here")]


def test_an_answer_that_makes_no_sense_is_not_judged() -> None:
    world = settled()
    state = world.seen()[A]
    assert isinstance(state, NodeState)
    world.machines[A].stamp = None
    changes = {"garbled": ("config",), "port_holder": "x", "link": None}
    assert [str(one.check) for one in find({A: changes}, world)] == ["probes"]
