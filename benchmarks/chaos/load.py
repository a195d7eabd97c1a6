"""A client that means it: each item is posted under its own id until some gateway has accepted it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import httpx

_BODY_BYTES = 200
_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.8  # asking on and on would take the processor that a broker needs to start
_TIMEOUT_S = 10.0
_CONNECTIONS = 32


class Load:
    """Posts at a steady rate to whichever gateway answers; `accepted` are the ids that its messages got."""

    def __init__(self, urls: Sequence[str], rate_per_s: float) -> None:
        self._urls = urls
        self._rate_per_s = rate_per_s
        self.accepted: set[str] = set()
        self.offered = 0
        self.refusals: Counter[str] = Counter()  # by the answer's status, or the error's name

    async def run(self, seconds: float) -> None:
        """Offer items for that long, and return when the last one was accepted."""
        limits = httpx.Limits(max_connections=_CONNECTIONS)
        waiting: asyncio.Queue[int | None] = asyncio.Queue()
        async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S, limits=limits) as client:
            posters = [asyncio.create_task(self._post(client, waiting)) for _ in range(_CONNECTIONS)]
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds:
                while self.offered < passed * self._rate_per_s:
                    waiting.put_nowait(self.offered)
                    self.offered += 1
                await asyncio.sleep(_PAUSE_S)
            for _ in posters:
                waiting.put_nowait(None)
            await asyncio.gather(*posters)

    async def _post(self, client: httpx.AsyncClient, waiting: asyncio.Queue[int | None]) -> None:
        """Post what waits, one item after the other."""
        while (number := await waiting.get()) is not None:
            await self._insist(client, number)

    async def _insist(self, client: httpx.AsyncClient, number: int) -> None:
        """Post one item, to one gateway after the other, until it is accepted."""
        id = f"item-{number}"
        body = id.encode().ljust(_BODY_BYTES, b".")
        turn, pause_s = number, _PAUSE_S
        while True:
            try:
                answer = await client.post(
                    f"{self._urls[turn % len(self._urls)]}/items", content=body, headers={"Idempotency-Key": id}
                )
                if answer.is_success:  # 202, or 200 where an earlier post had been accepted after all
                    self.accepted.add(answer.json()["id"])
                    return
                self.refusals[str(answer.status_code)] += 1
            except httpx.HTTPError as error:  # the gateway was killed: what a client does is ask again
                self.refusals[type(error).__name__] += 1
            turn += 1
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
