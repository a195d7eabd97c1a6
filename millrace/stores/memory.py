"""Stores that live as long as the process: for the memory broker, for tests, and to read what a store must do.

Commits arrive through `apply`, which MemoryBroker calls while it settles; nothing is awaited there, so a commit is
seen whole or not at all.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence

from millrace.clock import Clock, SystemClock
from millrace.errors import StorageError
from millrace.store import Bookmarks, Change, Results, Table, change_kind
from millrace.stores.waiters import FINISHED, Waiters
from millrace.types import Commit, Record, Row

KEEP_S = 86400.0  # records and changes: SEMANTICS' dedupe window


class MemoryTable(Table):
    """Rows in a dict; with `stream`, their changes in a list, the oldest beyond KEEP_S dropped."""

    def __init__(self, name: str, key: str, stream: bool, clock: Clock) -> None:
        self.name = name
        self.key = key
        self._clock = clock
        self._rows: dict[str, bytes] = {}
        self._changes: list[Change] | None = [] if stream else None
        self._sequence = 0
        self._listeners: set[asyncio.Future[None]] = set()

    async def put(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.write(row.key, row.value)

    async def get(self, key: str) -> bytes | None:
        return self._rows.get(key)

    async def delete(self, keys: Sequence[str]) -> int:
        found = [key for key in dict.fromkeys(keys) if key in self._rows]
        for key in found:
            self.write(key, None)
        return len(found)

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> list[Row]:
        keys = sorted(self._rows)
        start = 0 if after is None else bisect_right(keys, after)
        return [Row(self.name, key, self._rows[key]) for key in keys[start : start + limit]]

    async def changes(self, *, after: int, limit: int = 1000, wait_s: float = 0.0) -> list[Change]:
        if wait_s > 0 and after >= self._sequence:
            await self._next_change(wait_s)
        changes = self._changes or []
        start = bisect_right(changes, after, key=lambda change: change.sequence)
        return changes[start : start + limit]

    def write(self, key: str, new: bytes | None) -> None:
        """Set a row, or remove it with None, and note the change; writing what is there already is none."""
        old = self._rows.get(key)
        if new is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = new
        if self._changes is not None and old != new:
            self._note(self._changes, key, old, new)

    def _note(self, changes: list[Change], key: str, old: bytes | None, new: bytes | None) -> None:
        now = self._clock.now()
        while changes and changes[0].at < now - KEEP_S:
            del changes[0]
        self._sequence += 1
        kind = change_kind(old, new)
        changes.append(Change(self._sequence, self.name, key, kind, old, new, now))
        for future in self._listeners:
            if not future.done():
                future.set_result(None)

    async def _next_change(self, timeout_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeper = asyncio.ensure_future(self._clock.sleep(timeout_s))
        self._listeners.add(future)
        try:
            await asyncio.wait([future, sleeper], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._listeners.discard(future)
            sleeper.cancel()


class MemoryTables:
    """Tables by name, and the participant that writes a commit's rows into them."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._tables: dict[str, MemoryTable] = {}

    async def open(self, name: str, key: str, stream: bool = False) -> MemoryTable:
        """The table of that name, made on first use."""
        return self._tables.setdefault(name, MemoryTable(name, key, stream, self._clock))

    def apply(self, commit: Commit) -> None:
        """Write the commit's rows; raises StorageError for a table that is not open, before any is written."""
        rows = list(commit.rows)
        if unknown := {row.table for row in rows} - self._tables.keys():
            raise StorageError(f"table {min(unknown)!r} is not open", "Declare it under `tables`.")
        for row in rows:
            self._tables[row.table].write(row.key, row.value)


class MemoryResults(Results):
    """The latest finished records, each for KEEP_S; `live` looks into the queues.

    At most `keep` of them, and those before the last only as long as all values together are `keep_bytes` or less.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        keep: int = 10_000,
        keep_bytes: int = 64_000_000,
        live: Callable[[str], Awaitable[Record | None]] | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._bytes = 0
        self._live = live
        self._records: dict[str, tuple[float, Record]] = {}  # when kept (monotonic), in that order
        self._waiters = Waiters(self._clock)

    async def get(self, id: str) -> Record | None:
        self._forget()
        if kept := self._records.get(id):
            return kept[1]
        return await self._live(id) if self._live else None

    async def put(self, records: Sequence[Record]) -> None:
        self._keep_all(records)

    async def wait(self, id: str, timeout_s: float) -> Record | None:
        record = await self.get(id)
        if timeout_s <= 0 or (record and record.state in FINISHED):
            return record
        future = self._waiters.join(id)
        try:
            return await self._waiters.until(future, timeout_s) or await self.get(id)
        finally:
            self._waiters.leave(id, future)

    def apply(self, commit: Commit) -> None:
        """Keep the commit's records and wake who waits for them."""
        self._keep_all(list(commit.records))

    def _keep_all(self, records: Sequence[Record]) -> None:
        for record in records:
            self._drop(record.id)
            self._records[record.id] = (self._clock.monotonic(), record)
            self._bytes += _size(record)
        self._waiters.wake(records)
        self._forget()

    def _forget(self) -> None:
        """Drop the oldest beyond number, bytes and age; they stand in the order of their keeping."""
        too_old = self._clock.monotonic() - KEEP_S
        while self._records:
            kept_at, record = next(iter(self._records.values()))
            if kept_at >= too_old and not self._is_over_full():
                return
            self._drop(record.id)

    def _is_over_full(self) -> bool:
        count = len(self._records)
        return count > self._keep or (count > 1 and self._bytes > self._keep_bytes)

    def _drop(self, id: str) -> None:
        if dropped := self._records.pop(id, None):
            self._bytes -= _size(dropped[1])


def _size(record: Record) -> int:
    return memoryview(record.value).nbytes if record.value is not None else 0


class MemoryBookmarks(Bookmarks):
    """Marks in a dict: a source starts from the beginning in every process."""

    def __init__(self) -> None:
        self._marks: dict[str, dict[str, bytes]] = {}

    async def load(self, source: str) -> dict[str, bytes]:
        return dict(self._marks.get(source, {}))

    async def save(self, source: str, marks: Mapping[str, bytes | None]) -> None:
        mine = self._marks.setdefault(source, {})
        for mark, value in marks.items():
            if value is None:
                mine.pop(mark, None)
            else:
                mine[mark] = value
