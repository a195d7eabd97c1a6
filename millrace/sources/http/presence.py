"""Waiting on behalf of a client only as long as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from millrace.sources.http import problems
from millrace.sources.http.requests import Request

T = TypeVar("T")


async def while_connected(request: Request, wait: Coroutine[Any, Any, T]) -> T:
    """What `wait` returns; it is cancelled, and Disconnected raised, when the client goes away before.

    The request's body must have been read: what comes behind it can only be the end of the connection.
    """
    waiting = asyncio.create_task(wait)
    leaving = asyncio.create_task(_left(request.receive))
    leaving.add_done_callback(lambda _: waiting.cancel())
    try:
        return await waiting
    except asyncio.CancelledError:
        if leaving.done():
            raise problems.Disconnected from None
        raise
    finally:
        waiting.cancel()
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
