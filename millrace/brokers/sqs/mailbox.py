"""Waiting for one queue: a long poll for all who wait, whose messages lie ready for the next take.

A poll cannot be called off: SQS may have leased messages to it already. So it goes on when nobody waits any more, for
its twenty seconds at most, and what it brings is kept until its lease ends.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from millrace.brokers.sqs.letters import Received
from millrace.clock import Clock

_LONGEST_POLL_S = 20
_LATE_S = 5.0  # an answer this long after its poll's end has lain around, and its leases with it


class Parked(msgspec.Struct, gc=False):
    """A message that a poll brought; it was leased for `lease_s` between `asked_at` and `came_at` (monotonic)."""

    received: Received
    lease_s: int
    asked_at: float
    came_at: float


Poll = Callable[[int, int], Awaitable[tuple[list[Parked], float]]]


class Mailbox:
    """`poll(wait_s, limit)` receives, and tells when its request left; `appetite` is how many a take wants."""

    def __init__(self, poll: Poll, clock: Clock) -> None:
        self.appetite = 1
        self._poll = poll
        self._clock = clock
        self._parked: deque[Parked] = deque()
        self._polling: asyncio.Task[None] | None = None
        self._waiters: dict[int, float] = {}  # until when each waits, monotonic
        self._number = 0

    def __len__(self) -> int:
        self._drop_old()
        return len(self._parked)

    async def wait(self, timeout_s: float) -> None:
        """Return when a message lies ready, or after timeout_s. Raises what the poll was refused with."""
        if len(self):
            return
        self._number += 1
        number = self._number
        self._waiters[number] = self._clock.monotonic() + timeout_s
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._run())
        sleep = asyncio.ensure_future(self._clock.sleep(timeout_s))
        try:
            await asyncio.wait({self._polling, sleep}, return_when=asyncio.FIRST_COMPLETED)
            if self._polling.done() and not self._polling.cancelled():
                self._polling.result()
        finally:
            sleep.cancel()
            self._waiters.pop(number, None)

    def take(self, limit: int) -> list[Parked]:
        """What lies ready, oldest first."""
        self._drop_old()
        return [self._parked.popleft() for _ in range(min(limit, len(self._parked)))]

    def put_back(self, parked: list[Parked]) -> None:
        """Keep what a take could not use, before all others."""
        self._parked.extendleft(reversed(parked))

    async def close(self) -> list[Parked]:
        """Poll no more; what lies ready."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait({self._polling})
        return self.take(len(self))

    async def _run(self) -> None:
        """Poll while somebody waits and nothing has come."""
        while self._waiters:
            left_s = max(self._waiters.values()) - self._clock.monotonic()
            wait_s = max(1, min(_LONGEST_POLL_S, math.ceil(left_s)))
            found, sent_at = await self._poll(wait_s, self.appetite)
            if self._clock.monotonic() - sent_at > wait_s + _LATE_S:
                continue
            self._parked.extend(found)
            if found:
                return

    def _drop_old(self) -> None:
        now_s = self._clock.monotonic()
        while self._parked and self._parked[0].came_at + self._parked[0].lease_s <= now_s:
            self._parked.popleft()
