"""Waiting on behalf of a client only as long as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

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
