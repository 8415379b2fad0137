"""``wireloom`` without what keeps it safe: it stages, commits and confirms. For ``bench/safety.py`` alone.

``python bench/careless.py RECORD WORD...`` runs ``wireloom WORD...`` and writes RECORD, as ``recorder.py``
does. A change made by this is undone by nobody, and nobody has seen that it works. What it does without:

- the canary: all nodes change at once;
- the clock on the node that undoes a change, and what runs before it, after it and at confirm;
- the heartbeat;
- the old neighbours that are asked before a change;
- the fresh login that proves a change, and the neighbours asked then.

``hoping.py`` beside it keeps the last two: it looks whether it went well, and has no way back.
"""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import recorder

from wireloom.apply import engine, script
from wireloom.apply.neighbours import Neighbourhood
from wireloom.apply.order import Order
from wireloom.apply.waves import Wave

CARELESS = """
arm() { :; }
disarm() { :; }
before() { :; }
committed() { :; }
waits() { :; }
replace_file() {
    test "$(digest "$staged")" = "$2" || die "$staged has changed since it was checked"
    mv "$staged" "$config" || die "$config can't be replaced"
}
"""
"""Functions of transaction.sh once more: a shell takes the last of one name."""


@asynccontextmanager
async def _silence(*_: object) -> AsyncIterator[None]:
    yield


def _at_once(order: Order, _: int) -> list[Wave]:
    return [tuple(sorted(order.changing))]


async def _believe(*_: object) -> None:
    pass


def forget_safety(*, prove: bool = False) -> None:
    """From here on, in this process. ``prove``: but for the proof."""
    for function in re.findall(r"^(\w+)\(\) {", CARELESS, re.MULTILINE):
        assert f"\n{function}() {{" in script.HANDS, f"no {function} any more: careless.py has to follow"
    left_out: list[tuple[object, str, object]] = [
        (script, "HANDS", script.HANDS + CARELESS),
        (engine, "make_waves", _at_once),
        (engine, "heartbeat", _silence),
    ]
    if not prove:
        left_out += [(engine._Job, "prove", _believe), (Neighbourhood, "old", lambda *_: [])]
    for owner, name, without in left_out:
        assert hasattr(owner, name), f"{owner} has no {name} any more: careless.py has to follow"
        setattr(owner, name, without)


if __name__ == "__main__":
    forget_safety()
    sys.exit(recorder.main(*sys.argv[1:]))
