"""Take the network off machines, all side by side."""

from collections.abc import Mapping

from wireloom.apply.departure import Departure, read_departure
from wireloom.apply.holding import holding
from wireloom.apply.script import Hand
from wireloom.apply.step import trouble_of
from wireloom.apply.terms import Terms
from wireloom.plan.teardown import Teardown
from wireloom.transport.crew import Crew
from wireloom.values import NodeName

STOP_TIMEOUT = 150.0
"""Seconds: where systemd is not told that a unit's processes have ended, it waits 90 for them."""


async def tear_down(
    crew: Crew, terms: Terms, interface: str, teardowns: Mapping[NodeName, Teardown]
) -> dict[NodeName, Departure]:
    """Have machines for this alone, as an apply does, and take the network off those that could be had."""
    hand = Hand(interface, terms.id, terms.who, terms.when)
    async with holding(crew, hand, teardowns) as held:
        refused = {name: answer for name, answer in held.items() if trouble_of(name, answer, "hold")}
        scripts = {name: hand.tear_down(one) for name, one in teardowns.items() if name not in refused}
        done = await crew.run(scripts, timeout=STOP_TIMEOUT)
    return {
        name: read_departure(name, refused[name], "hold")
        if name in refused
        else read_departure(name, done[name], "take off")
        for name in teardowns
    }
