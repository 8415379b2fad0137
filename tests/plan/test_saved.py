# ruff: noqa: E501 - a row of a table stays a row
"""A plan that was saved is the one that is carried out, or none is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.network.fleets import key
from tests.plan.test_drift import alter_peer
from tests.plan.world import World, settled, three
from wireloom.cli.saved import read_plan, save_plan
from wireloom.errors import UserError
from wireloom.plan.digest import plan_digest
from wireloom.values import Endpoint, NodeName

A, B = NodeName("a"), NodeName("b")
ELSEWHERE = Endpoint.parse("198.51.100.9:9")


def pending() -> World:
    """A settled world in which the port is about to change, and with it every endpoint."""
    world = settled()
    world.change(three(mtu=1300))
    world.machines[A].run(("wg", "set", "wg0", "peer", str(key(2)), "endpoint", "198.51.100.5:5"))
    return world


MOVED: dict[str, Callable[[World], None]] = {
    "a peer that roamed, which the plan moves": lambda world: alter_peer(world.machines[A], key(2), endpoint=ELSEWHERE),
    "a peer that roamed, which it leaves": lambda world: alter_peer(world.machines[A], key(3), endpoint=ELSEWHERE),
    "a handshake": lambda world: alter_peer(world.machines[A], key(2), handshake=1_760_000_000, received=9, sent=9),
}  # fmt: skip


@pytest.mark.parametrize("move", MOVED.values(), ids=MOVED)
def test_what_moves_by_itself_does_not_count(move: Callable[[World], None]) -> None:
    world = pending()
    before = plan_digest(world.plan())
    move(world)
    assert plan_digest(world.plan()) == before


CHANGED: dict[str, Callable[[World], None]] = {
    "a command": lambda world: world.machines[A].run(("wg", "set", "wg0", "fwmark", "1")),
    "another file": lambda world: world.change(three(mtu=1301)),
    "a key": lambda world: setattr(world.machines[B], "key", key(50)),
    "a unit": lambda world: setattr(world.machines[B], "enabled", False),
    "another apply": lambda world: world.apply() and None,
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_anything_else_counts(change: Callable[[World], None]) -> None:
    world = pending()
    before = plan_digest(world.plan())
    change(world)
    assert plan_digest(world.plan()) != before


def test_a_saved_plan_is_taken_while_nothing_has_changed(tmp_path: Path) -> None:
    plan = pending().plan()
    save_plan(tmp_path / "plan.json", plan_digest(plan), {"changes": []})
    read_plan(tmp_path / "plan.json").require_same(plan_digest(plan))


def test_a_saved_plan_is_refused_when_the_world_has_moved(tmp_path: Path) -> None:
    world = pending()
    save_plan(tmp_path / "plan.json", plan_digest(world.plan()), {})
    world.machines[A].run(("wg", "set", "wg0", "fwmark", "1"))
    with pytest.raises(
        UserError, match=r"have changed since this plan was made\n +nothing was changed: plan again"
    ):
        read_plan(tmp_path / "plan.json").require_same(plan_digest(world.plan()))


def test_a_saved_plan_says_what_json_says(tmp_path: Path) -> None:
    plan = pending().plan()
    save_plan(tmp_path / "plan.json", plan_digest(plan), {"changes": ["x"]})
    assert json.loads((tmp_path / "plan.json").read_text()) == {
        "version": 1,
        "digest": plan_digest(plan),
        "changes": ["x"],
    }


NO_PLANS = {
    "nothing": "",
    "a list": "[]",
    "no digest": "{}",
    "text": "x",
    "very deep": "[" * 100_000,
    "not UTF-8": "\xff",
}


@pytest.mark.parametrize("text", NO_PLANS.values(), ids=NO_PLANS)
def test_what_is_no_plan_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match="not a plan of `wireloom plan -o`"):
        read_plan(tmp_path / "plan.json").require_same(plan_digest(settled().plan()))


def test_a_plan_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a plan of"):
        read_plan(tmp_path / "plan.json").require_same(plan_digest(settled().plan()))


def test_a_plan_that_cant_be_written_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"plan\.json: can't be written: No such file or directory"):
        save_plan(tmp_path / "no" / "plan.json", plan_digest(settled().plan()), {})
