"""What the flow does with a broker that is away, for tests that stand in the flow's place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from millrace.errors import BrokerError

T = TypeVar("T")
_PATIENCE_S = 60.0


async def insisted(doing: Callable[[], Awaitable[T]]) -> T:
    """Try again until it is done. Raises TimeoutError when it takes too long."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                return await doing()
            except BrokerError:
                await asyncio.sleep(0.05)
