"""How a request waits for results: until they are there, its time is up, or the gateway drains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from millrace.clock import Clock
from millrace.sources.http import problems
from millrace.store import Results
from millrace.types import Record

# A drain ends all waits within this time: what they wait for is durable, the client can ask the next gateway.
_SLICE_S = 0.5


def finished(record: Record | None) -> bool:
    """Whether nothing more will happen to the message."""
    return record is not None and record.state in ("done", "dead")


class Waiting:
    """All requests that are held until a result is there; `with` it one more is, if it may: else a 429 problem."""

    def __init__(self, results: Results, draining: Callable[[], bool], clock: Clock, limit: int) -> None:
        self._results = results
        self._draining = draining
        self._clock = clock
        self._limit = limit
        self._held = 0

    async def get(self, id: str, wait_s: float = 0.0) -> Record | None:
        """The record of one message, finished if it was within wait_s."""
        if wait_s <= 0:
            return await self._results.get(id)
        return (await self.all([id], wait_s))[0]

    async def all(self, ids: Sequence[str], wait_s: float) -> list[Record | None]:
        """The records of messages, in order, up to the first that was not finished in time.

        Raises a 429 problem when too many requests wait already.
        """
        with self:
            return await self._each(ids, self._clock.monotonic() + wait_s)

    def __enter__(self) -> None:
        if self._held >= self._limit:
            raise problems.busy(f"{self._limit} requests already wait for results.")
        self._held += 1

    def __exit__(self, *_: object) -> None:
        self._held -= 1

    async def _each(self, ids: Sequence[str], until: float) -> list[Record | None]:
        # One after the other: all are waited for in the end, and a request of 10,000 lines costs one waiter.
        records: list[Record | None] = []
        for id in ids:
            records.append(await self._one(id, until))
            if not finished(records[-1]):
                break
        return records

    async def _one(self, id: str, until: float) -> Record | None:
        while True:
            left = max(until - self._clock.monotonic(), 0.0)
            record = await self._results.wait(id, min(left, _SLICE_S))
            if finished(record) or left <= _SLICE_S or self._draining():
                return record
