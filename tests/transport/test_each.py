"""Doing the same on many nodes, with the fake transport."""

import asyncio

import pytest

from wireloom.transport.each import carry_through, on_each
from wireloom.transport.fake import FakeTransport
from wireloom.transport.port import Completed, Transport, TransportError
from wireloom.values import NodeName

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")


async def test_one_failure_stops_no_other() -> None:
    down = TransportError("no answer", unreachable=True)
    fake = FakeTransport({A: lambda _: Completed(0, "a", ""), B: down, C: lambda _: Completed(1, "", "c")})
    transport: Transport = fake

    async def hello(node: NodeName) -> Completed:
        return await (await transport.connect(node)).run("hello", timeout=1)

    results = await on_each([C, B, A], hello)
    assert [(C, Completed(1, "", "c")), (B, down), (A, Completed(0, "a", ""))] == list(results.items())
    assert fake.scripts == [(C, "hello"), (A, "hello")]


async def test_no_more_than_the_limit_at_once() -> None:
    now = most = 0

    async def count(_: NodeName) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    await on_each([NodeName(str(number)) for number in range(20)], count, limit=4)
    assert most == 4


async def test_progress_is_told() -> None:
    told: list[NodeName] = []

    async def nothing(_: NodeName) -> None:
        return

    await on_each([A, B], nothing, done=lambda node, _: told.append(node))
    assert told == [A, B]


async def test_a_bug_cancels_the_rest_and_is_raised() -> None:
    cleaned: list[NodeName] = []

    async def act(node: NodeName) -> None:
        if node == A:
            await asyncio.sleep(0)
            raise ZeroDivisionError
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(node)

    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(5):
            await on_each([A, B, C], act)
    assert cleaned == [B, C]


async def test_cancellation_reaches_every_action_and_waits_for_it() -> None:
    cleaned: list[NodeName] = []

    async def act(node: NodeName) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(node)

    task = asyncio.create_task(on_each([A, B, C], act))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {A, B, C} == set(cleaned)


async def test_the_fake_says_unreachable_for_who_has_no_answer() -> None:
    with pytest.raises(TransportError) as caught:
        await FakeTransport({}).connect(A)
    assert caught.value.unreachable


async def test_a_closed_fake_connection_runs_nothing() -> None:
    connection = await FakeTransport({A: lambda _: Completed(0, "", "")}).connect(A)
    await connection.close()
    with pytest.raises(TransportError):
        await connection.run("true", timeout=1)


async def test_what_is_carried_through_is_not_ended_by_being_cancelled_twice() -> None:
    done = []

    async def step() -> str:
        for number in range(3):
            await asyncio.sleep(0.02)
            done.append(number)
        return "done"

    task = asyncio.create_task(carry_through(step()))
    for _ in range(2):
        await asyncio.sleep(0.01)
        task.cancel()
    assert (await task, done) == ("done", [0, 1, 2])


async def test_the_failure_of_what_is_carried_through_is_its_own() -> None:
    async def step() -> None:
        raise TransportError("gone")

    with pytest.raises(TransportError, match="gone"):
        await carry_through(step())
