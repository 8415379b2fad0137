"""Take the network off machines, all side by side."""

from collections.abc import Mapping

from wireloom.apply.departure import Departure, holding_all_but, read_departure
from wireloom.apply.script import Hand
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
    async with holding_all_but(crew, hand, teardowns) as missing:
        scripts = {name: hand.tear_down(one) for name, one in teardowns.items() if name not in missing}
        answers = await crew.run(scripts, timeout=STOP_TIMEOUT)
    done = {name: read_departure(name, answer, "take off") for name, answer in answers.items()}
    return {name: missing.get(name) or done[name] for name in teardowns}
