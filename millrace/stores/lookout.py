"""Looks for the results that anybody waits for: however many wait, one task asks for all their ids in one query.

It looks at each wake. Who begins to wait wakes it too, so that an answer which was there already is found, and those
who begin together share the look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager

from millrace.clock import Clock
from millrace.errors import StorageError
from millrace.signals import Signal
from millrace.stores.waiters import Waiters
from millrace.types import Record

Listen = Callable[[], AbstractContextManager[Signal]]
Find = Callable[[Sequence[str]], Awaitable[Iterable[Record]]]


class Lookout:
    """Hands finished records to who waits for them: `listen` hears of news, `find` has the records of some ids."""

    def __init__(self, clock: Clock, listen: Listen, find: Find, every_s: float) -> None:
        """Without news it looks again `every_s`."""
        self._waiters = Waiters(clock)
        self._listen = listen
        self._find = find
        self._every_s = every_s
        self._looking: asyncio.Task[None] | None = None
        self._signal: Signal | None = None

    async def until(self, id: str, timeout_s: float) -> Record | None:
        """The record of a finished message, None after timeout_s. Raises StorageError."""
        future = self._waiters.join(id)
        self._rouse()
        try:
            return await self._waiters.until(future, timeout_s)
        finally:
            self._waiters.leave(id, future)
            if self._signal and not self._waiters.ids:
                self._signal.set()  # nobody is left to look for

    async def close(self, error: StorageError) -> None:
        """Raise it in everybody who waits, and look no more."""
        self._waiters.fail(error)
        if self._signal:
            self._signal.set()
        if self._looking is not None:
            await self._looking

    def _rouse(self) -> None:
        """Have somebody look, at once."""
        if self._signal:
            self._signal.set()
        elif self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Wake those whose messages are finished, until nobody waits any more."""
        try:
            with self._listen() as self._signal:
                while self._waiters.ids:
                    self._waiters.wake(await self._find(self._waiters.ids))
                    if self._waiters.ids:
                        await self._signal.wait(self._every_s)
        except StorageError as error:
            self._waiters.fail(error)
        finally:
            self._signal = None
