"""A client that means it: each item is posted under its own id until some gateway has accepted it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import httpx

_BODY_BYTES = 200
_PAUSE_S = 0.05
_TIMEOUT_S = 10.0
_CONNECTIONS = 64


class Load:
    """Posts at a steady rate to whichever gateway answers; `accepted` are the ids that got a 202."""

    def __init__(self, urls: Sequence[str], rate_per_s: float) -> None:
        self._urls = urls
        self._rate_per_s = rate_per_s
        self.accepted: set[str] = set()
        self.offered = self.refusals = 0

    async def run(self, seconds: float) -> None:
        """Offer items for that long, and return when the last one was accepted."""
        limits = httpx.Limits(max_connections=_CONNECTIONS)
        async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S, limits=limits) as client:
            began, tasks = time.monotonic(), set[asyncio.Task[None]]()
            while (passed := time.monotonic() - began) < seconds:
                while self.offered < passed * self._rate_per_s:
                    tasks.add(asyncio.create_task(self._insist(client, self.offered)))
                    self.offered += 1
                tasks = {task for task in tasks if not task.done()}
                await asyncio.sleep(_PAUSE_S)
            await asyncio.gather(*tasks)

    async def _insist(self, client: httpx.AsyncClient, number: int) -> None:
        """Post one item, to one gateway after the other, until it is accepted."""
        id = f"item-{number}"
        body = id.encode().ljust(_BODY_BYTES, b".")
        turn = number
        while True:
            try:
                answer = await client.post(
                    f"{self._urls[turn % len(self._urls)]}/items", content=body, headers={"Idempotency-Key": id}
                )
                if answer.status_code == httpx.codes.ACCEPTED:
                    self.accepted.add(id)
                    return
            except httpx.HTTPError:
                pass  # the gateway was killed, or cannot reach its broker: what a client does is ask again
            self.refusals += 1
            turn += 1
            await asyncio.sleep(_PAUSE_S)
