"""Who waits for the result of which message, for the stores that can wake them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from millrace.clock import Clock
from millrace.types import Record

FINISHED = ("done", "dead")


Waiter = asyncio.Future[Record | None]  # None: its time is up


class Waiters:
    """Futures by message id; all of one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._futures: dict[str, set[Waiter]] = {}

    @property
    def ids(self) -> list[str]:
        """Every id that somebody waits for."""
        return list(self._futures)

    def join(self, id: str) -> Waiter:
        """Begin to wait: the future is resolved by `wake`; `leave` must follow."""
        future: Waiter = asyncio.get_running_loop().create_future()
        self._futures.setdefault(id, set()).add(future)
        return future

    def leave(self, id: str, future: Waiter) -> None:
        """Wait no longer."""
        futures = self._futures.get(id, set())
        futures.discard(future)
        if not futures:
            self._futures.pop(id, None)

    async def until(self, future: Waiter, timeout_s: float) -> Record | None:
        """The record, or None after timeout_s; raises what `fail` was given."""
        alarm = self._clock.alarm(timeout_s, partial(_resolve, future, None))
        try:
            return await future
        finally:
            alarm.cancel()

    def wake(self, records: Iterable[Record]) -> None:
        """Hand finished records to who waits for them; others are passed over."""
        for record in records:
            if record.state in FINISHED:
                for future in self._futures.pop(record.id, ()):
                    _resolve(future, record)

    def fail(self, error: Exception) -> None:
        """Raise an error in everybody who waits."""
        for future in [future for futures in self._futures.values() for future in futures]:
            if not future.done():
                future.set_exception(error)
        self._futures.clear()


def _resolve(future: Waiter, record: Record | None) -> None:
    if not future.done():
        future.set_result(record)
