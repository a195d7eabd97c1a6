"""Waiting on behalf of a client only as long as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from millrace.clock import Clock
from millrace.sources.http import problems
from millrace.sources.http.requests import Request

T = TypeVar("T")
_AT_ONCE_S = 0.05  # an answer that takes no longer is not worth watching the client for


async def while_connected(request: Request, wait: Coroutine[Any, Any, T]) -> T:
    """What `wait` returns; it is cancelled, and Disconnected raised, when the client goes away before.

    The request's body must have been read: what comes behind it can only be the end of the connection.
    """
    waiting = asyncio.create_task(wait)
    try:
        await asyncio.wait([waiting], timeout=_AT_ONCE_S)
        return waiting.result() if waiting.done() else await _unless_left(request, waiting)
    finally:
        waiting.cancel()


async def answered(request: Request, answer: asyncio.Future[T], limit_s: float, clock: Clock) -> T | None:
    """What the future gets, None after limit_s; raises Disconnected when the client goes away before.

    As `while_connected`, where a future is all that is waited for: no task is made for an answer that comes at once.
    """
    watch = _Watch(request, answer, limit_s, clock)
    try:
        return await answer
    except _OutOfTime:
        return None
    finally:
        watch.end()


class _OutOfTime(Exception):
    """The answer did not come within its limit."""


class _Watch:
    """Fails an answer when its time is up, or when the client left; it looks at the client after a while only."""

    def __init__(self, request: Request, answer: asyncio.Future[Any], limit_s: float, clock: Clock) -> None:
        self._request = request
        self._answer = answer
        self._left_s = limit_s
        self._clock = clock
        self._leaving: asyncio.Task[None] | None = None
        self._alarm = clock.alarm(min(_AT_ONCE_S, limit_s), self._look)

    def end(self) -> None:
        self._alarm.cancel()
        if self._leaving is not None:
            self._leaving.cancel()

    def _look(self) -> None:
        self._left_s -= _AT_ONCE_S
        if self._left_s <= 0:
            self._fail(_OutOfTime())
            return
        self._alarm = self._clock.alarm(self._left_s, lambda: self._fail(_OutOfTime()))
        self._leaving = asyncio.create_task(_left(self._request.receive))
        self._leaving.add_done_callback(self._gone)

    def _gone(self, leaving: asyncio.Task[None]) -> None:
        if not leaving.cancelled():
            self._fail(leaving.exception() or problems.Disconnected())

    def _fail(self, error: BaseException) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)


async def _unless_left(request: Request, waiting: asyncio.Task[T]) -> T:
    leaving = asyncio.create_task(_left(request.receive))
    try:
        await asyncio.wait([waiting, leaving], return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise problems.Disconnected
    finally:
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
