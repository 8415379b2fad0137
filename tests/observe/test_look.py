"""A look at machines that answer as told: what comes of their clocks and host keys."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from wireloom.observe.look import look
from wireloom.observe.state import ClockSeen, NodeState
from wireloom.transport.crew import Crew
from wireloom.transport.fake import FakeTransport
from wireloom.transport.port import Completed
from wireloom.values import NodeName

A, B = NodeName("a"), NodeName("b")
BARE = (Path(__file__).parent / "recordings" / "bare.txt").read_text()
CLOCK = BARE.split()[BARE.split().index("x86_64") + 1]


def answering(clock: Callable[[], str], *, after: float = 0.0) -> Callable[[str], Completed]:
    """A bare machine, whose clock shows this, and that answers a while later."""

    def answer(_: str) -> Completed:
        told = BARE.replace(CLOCK, clock())
        time.sleep(after)
        return Completed(0, told, "")

    return answer


def fast() -> str:
    """A clock that is 5,000 s ahead of our own zero."""
    return str(time.monotonic() + 5000)


async def see(transport: FakeTransport) -> dict[NodeName, NodeState]:
    async with Crew(transport) as crew:
        seen = await look(crew, transport.answers, "wg0", "NONCE", port=51820)
    assert all(isinstance(one, NodeState) for one in seen.values())
    return {name: one for name, one in seen.items() if isinstance(one, NodeState)}


async def test_clocks_that_are_read_at_different_moments_compare() -> None:
    """Each within its own doubt: a slow answer is no less right, only less sharp."""
    began = time.monotonic()
    seen = await see(FakeTransport({A: answering(fast, after=0.2), B: answering(fast)}))
    took = time.monotonic() - began
    clocks = [seen[name].ground.clock for name in (A, B)]
    assert all(clock and abs(clock.offset - 5000) <= clock.doubt for clock in clocks)
    assert clocks[0]
    assert 0.1 <= clocks[0].doubt <= took / 2


async def test_a_clock_that_makes_no_sense_is_none() -> None:
    seen = await see(FakeTransport({A: answering(lambda: "noon")}))
    assert (seen[A].garbled, seen[A].ground.clock) == (("os",), None)


async def test_the_host_key_is_the_one_that_the_machine_proved_to_have() -> None:
    answers = {A: answering(lambda: CLOCK), B: answering(lambda: CLOCK)}
    seen = await see(FakeTransport(answers, host_keys={B: "ssh-ed25519 B"}))
    assert seen[B].ground.host_key == "ssh-ed25519 B"
    assert seen[A].ground.host_key not in ("", "ssh-ed25519 B")
    assert replace(seen[A].ground, host_key="", clock=None) == replace(
        seen[B].ground, host_key="", clock=None
    )


def test_an_offset_lies_in_the_middle_of_what_it_can_be() -> None:
    assert ClockSeen(offset=85, doubt=5) == ClockSeen.measured(100, 10, 20)
