"""Calls that need no queue: straight to the function, watched for time and for the client."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from gateway_parts import Parts, done, problem

from millrace.errors import Draining
from millrace.sources.http.presence import answered
from millrace.sources.http.problems import Disconnected
from millrace.sources.http.requests import Request
from millrace.testing import ManualClock
from millrace.types import Message, Put, Record


class Pending:
    def __init__(self, message: Message) -> None:
        self.message = message
        self.answer: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self.withdrawn = False

    def withdraw(self) -> None:
        self.withdrawn = True


class Function:
    """What is called: answers at once with `value`, or leaves it to the test."""

    def __init__(self, value: Any = None) -> None:
        self.value = value
        self.calls: list[Pending] = []
        self.called = asyncio.Event()

    def __call__(self, message: Message) -> Pending:
        self.calls.append(Pending(message))
        if self.value is not None:
            self.calls[-1].answer.set_result(done(Put("hello", message), self.value))
        self.called.set()
        return self.calls[-1]


async def asked_and_looked_at(client: httpx.AsyncClient, clock: ManualClock) -> asyncio.Task[httpx.Response]:
    """A call that has no answer when its client is looked at for the first time."""
    asked = asyncio.create_task(client.get("/hello/you"))
    await clock.until_sleeping()
    clock.advance(0.05)
    await clock.until_sleeping()
    return asked


async def test_a_call_goes_straight_to_the_function() -> None:
    function = Function({"statusCode": 201, "body": "made"})
    parts = Parts(callers={"hello": function})
    async with parts.client() as client:
        answer = await client.get("/hello/you")
    assert (answer.status_code, answer.text) == (201, "made")
    assert parts.memory.puts == []
    (call,) = function.calls
    assert call.message.attributes["millrace-event"] == "http"


async def test_a_call_with_a_key_goes_through_the_queue_where_the_second_finds_it() -> None:
    function = Function({"statusCode": 200, "body": "straight"})
    parts = Parts(callers={"hello": function}, answer=lambda put: done(put, "once"))
    async with parts.client(headers={"idempotency-key": "k"}) as client:
        assert [(await client.get("/hello/you")).text for _ in range(2)] == ["once", "once"]
    assert len(parts.memory.puts) == 1
    assert function.calls == []


async def test_a_call_without_an_answer_in_time_is_a_504_and_withdrawn() -> None:
    clock, function = ManualClock(), Function()
    async with Parts(callers={"hello": function}, clock=clock).client() as client:
        asked = await asked_and_looked_at(client, clock)
        clock.advance(2.95)
        told = problem(await asked, 504, "function-timeout")
    assert told["id"] == function.calls[0].message.id
    assert function.calls[0].withdrawn


async def test_an_answer_may_come_after_the_client_is_looked_at() -> None:
    clock, function = ManualClock(), Function()
    async with Parts(callers={"hello": function}, clock=clock).client() as client:
        asked = await asked_and_looked_at(client, clock)
        (call,) = function.calls
        call.answer.set_result(done(Put("hello", call.message), "late"))
        assert (await asked).text == "late"


async def test_a_limit_below_the_first_look_is_kept() -> None:
    clock, answer = ManualClock(), asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(answered(Request({"headers": []}, _never), answer, 0.01, clock))
    await clock.until_sleeping()
    clock.advance(0.01)
    assert await waiting is None


async def test_a_function_that_is_shutting_down_is_a_503() -> None:
    function = Function()
    async with Parts(callers={"hello": function}).client() as client:
        asked = asyncio.create_task(client.get("/hello/you"))
        await function.called.wait()
        function.calls[0].answer.set_exception(Draining("over"))
        problem(await asked, 503, "draining")


async def test_too_many_that_wait_are_a_429() -> None:
    function = Function()
    async with Parts(callers={"hello": function}, max_waiting=1).client() as client:
        first = asyncio.create_task(client.get("/hello/you"))
        await function.called.wait()
        problem(await client.get("/hello/me"), 429, "gateway-busy")
        (call,) = function.calls
        call.answer.set_result(done(Put("hello", call.message), "first"))
        assert (await first).text == "first"


async def test_nobody_waits_for_a_client_that_went_away() -> None:
    clock, leaving = ManualClock(), asyncio.Event()
    answer: asyncio.Future[Record] = asyncio.get_running_loop().create_future()

    async def receive() -> dict[str, Any]:
        await leaving.wait()
        return {"type": "http.disconnect"}

    waiting = asyncio.create_task(answered(Request({"headers": []}, receive), answer, 30.0, clock))
    await clock.until_sleeping()
    clock.advance(0.05)
    leaving.set()
    with pytest.raises(Disconnected):
        await waiting


async def test_a_fault_while_it_is_watched_is_not_swallowed() -> None:
    clock, answer = ManualClock(), asyncio.get_running_loop().create_future()

    async def receive() -> dict[str, Any]:
        raise RuntimeError("a fault")

    waiting = asyncio.create_task(answered(Request({"headers": []}, receive), answer, 30.0, clock))
    await clock.until_sleeping()
    clock.advance(0.05)
    with pytest.raises(RuntimeError, match="a fault"):
        await waiting


async def _never() -> dict[str, Any]:
    return await asyncio.get_running_loop().create_future()
