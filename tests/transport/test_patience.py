"""Who does not answer is dialled ever more seldom."""

import itertools

import pytest

from wireloom.transport.fake import Answer, FakeTransport
from wireloom.transport.patience import FIRST_PAUSE, LONGEST_PAUSE, PatientTransport
from wireloom.transport.port import Completed, HostKeyUnknown, TransportError
from wireloom.values import NodeName

A, B = NodeName("a"), NodeName("b")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Counting(FakeTransport):
    """Counts how often a node is dialled."""

    dialled = 0

    async def connect(self, node: NodeName):  # type: ignore[no-untyped-def]
        self.dialled += 1
        return await super().connect(node)


def well(_: str) -> Completed:
    return Completed(0, "", "")


async def try_to(transport: PatientTransport, node: NodeName = A) -> TransportError | None:
    try:
        await transport.connect(node)
    except TransportError as error:
        return error
    return None


async def test_pauses_grow_up_to_a_longest() -> None:
    clock, below = Clock(), Counting({})
    transport = PatientTransport(below, clock=clock)
    dialled_at = []
    for second in range(1200):
        clock.now = second
        before = below.dialled
        assert await try_to(transport) is not None
        if below.dialled > before:
            dialled_at.append(second)
    pauses = [after - one for one, after in itertools.pairwise(dialled_at)]
    assert pauses == [15, 30, 60, 120, 240, 300, 300]
    assert (pauses[0], pauses[-1]) == (FIRST_PAUSE, LONGEST_PAUSE)


async def test_in_between_the_last_failure_is_told() -> None:
    stranger = HostKeyUnknown("new", node=A, host_key="ssh-ed25519 A", fingerprint="SHA256:x")
    transport = PatientTransport(FakeTransport({A: stranger}), clock=Clock())
    told = [await try_to(transport) for _ in range(3)]
    assert told == [stranger] * 3


async def test_a_failure_that_is_told_again_does_not_grow() -> None:
    transport = PatientTransport(FakeTransport({}), clock=Clock())
    lengths = set()
    for _ in range(4):
        error = await try_to(transport)
        assert error is not None
        trace, length = error.__traceback__, 0
        while trace is not None:
            trace, length = trace.tb_next, length + 1
        lengths.add(length)
    assert max(lengths) < 5


async def test_one_that_answers_again_begins_anew() -> None:
    answers: dict[NodeName, Answer] = {}
    clock, below = Clock(), Counting(answers)
    transport = PatientTransport(below, clock=clock)
    for _ in range(3):
        await try_to(transport)
        clock.now += LONGEST_PAUSE
    answers[A] = well
    assert await try_to(transport) is None
    del answers[A]
    await try_to(transport)
    dialled = below.dialled
    clock.now += FIRST_PAUSE
    await try_to(transport)
    assert below.dialled == dialled + 1


async def test_nobody_waits_for_another() -> None:
    transport = PatientTransport(FakeTransport({B: well}), clock=Clock())
    assert await try_to(transport, A) is not None
    assert await try_to(transport, B) is None


@pytest.mark.parametrize("seconds", [0.0, FIRST_PAUSE - 0.1])
async def test_too_early_is_not_dialled(seconds: float) -> None:
    clock, below = Clock(), Counting({})
    transport = PatientTransport(below, clock=clock)
    await try_to(transport)
    clock.now += seconds
    await try_to(transport)
    assert below.dialled == 1
