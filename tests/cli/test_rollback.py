"""Which generation is meant, and what is said of it."""

import pytest

from wireloom.apply.order import Order
from wireloom.cli.rollback import _answered, _at, _choose
from wireloom.errors import UserError
from wireloom.lock.lock import Lock
from wireloom.observe.state import Generation
from wireloom.plan.plan import Action, Change, NodePlan, Plan
from wireloom.transport.port import TransportError
from wireloom.values import NodeName

A, B = NodeName("a"), NodeName("b")


def kept(*numbers: int) -> list[Generation]:
    return [Generation(number, "ada", "2026", "what") for number in numbers]


# the generation, what two nodes keep, the newest that one is at, what was asked for
MEANT = {
    "the one before": (2, {A: kept(1, 2, 3), B: kept(1, 2, 3)}, 3, None),
    "a number that failed is passed over": (2, {A: kept(1, 2, 5), B: kept(1, 2, 5)}, 5, None),
    "one that only another node has": (4, {A: kept(1, 5), B: kept(1, 4)}, 5, None),
    "the note of the present one is missing": (2, {A: kept(1, 2), B: kept(1, 2)}, 3, None),
    "one that was asked for": (1, {A: kept(1, 2, 3), B: kept(2)}, 3, 1),
    "the present one": (3, {A: kept(1, 2, 3), B: []}, 3, 3),
}


@pytest.mark.parametrize(("expected", "histories", "present", "asked"), MEANT.values(), ids=MEANT)
def test_the_generation_that_is_meant(
    expected: int, histories: dict[NodeName, list[Generation]], present: int, asked: int | None
) -> None:
    assert expected == _choose(histories, present, asked)


NONE = {
    "nobody keeps any": ({A: [], B: []}, 0, None, "there is no generation to go back to"),
    "only the present one": ({A: kept(1), B: kept(1)}, 1, None, "there is no generation to go back to"),
    "one that failed": ({A: kept(1, 3)}, 3, 2, "no node keeps generation 2"),
    "any, and nobody keeps any": ({A: []}, 0, 2, "no node keeps generation 2"),
}


@pytest.mark.parametrize(("histories", "present", "asked", "expected"), NONE.values(), ids=NONE)
def test_there_is_none(
    histories: dict[NodeName, list[Generation]], present: int, asked: int | None, expected: str
) -> None:
    with pytest.raises(UserError) as raised:
        _choose(histories, present, asked)
    assert expected == raised.value.diagnostics[0].what


def test_of_many_that_are_kept_the_last_are_named() -> None:
    with pytest.raises(UserError) as raised:
        _choose({A: kept(*range(1, 21))}, 20, 99)
    hint = "the nodes keep … 13, 14, 15, 16, 17, 18, 19, 20; see: wireloom history"
    assert hint == raised.value.diagnostics[0].hint


@pytest.mark.parametrize(("expected", "target"), [(None, 1), (2, 2), (2, 4), (5, 5), (5, 9)])
def test_what_a_node_had_then_is_its_newest_up_to_it(expected: int | None, target: int) -> None:
    assert expected == _at(kept(2, 5), target)


def test_everybody_who_could_not_be_asked_is_told() -> None:
    with pytest.raises(UserError) as raised:
        _answered({A: TransportError("gone"), B: TransportError("gone, too", hint="look")})
    assert [(one.where, one.what, one.hint) for one in raised.value.diagnostics] == [
        ("a", "gone", "nothing was changed"),
        ("b", "gone, too", "look"),
    ]


@pytest.mark.parametrize(
    ("back_to", "summary", "retry"),
    [
        (None, "create peer b", "the next apply"),
        (4, "back to generation 4: create peer b", "`wireloom rollback 4`"),
    ],
)
def test_what_an_order_is_called(back_to: int | None, summary: str, retry: str) -> None:
    order = Order(Plan("shop", 5, ()), Lock("shop"), {}, {}, "wg0", back_to=back_to)
    plan = NodePlan(A, (Change(Action.CREATE, "peer b", ""),))
    assert (summary, retry) == (order.summary(plan), order.retry)
