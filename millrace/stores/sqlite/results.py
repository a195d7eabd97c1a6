"""Results read from the broker's own tables: the record of a settled message, else where the message is in its queue.

However many wait, one task looks: at each wake it asks for all waited ids in one query. Who begins to wait wakes it
too, so that an answer which was there already is found, and those who begin together share the look.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence

import msgspec

from millrace.database import Database
from millrace.errors import StorageError
from millrace.signals import Signal
from millrace.store import Results
from millrace.stores.sqlite.chunks import insert
from millrace.stores.waiters import Waiters
from millrace.types import Record, State

TOPIC = "results"  # settle wakes it
KEEP_S = 86400.0
_LOOK_EVERY_S = 60.0  # wakes make this rare

# Finished records of some ids that are not yet forgotten; of an id in two queues the later one comes last.
_FINISHED = """
    SELECT doc, id, queue, state, finished_at FROM records
    WHERE id IN (SELECT value FROM json_each(?)) AND expires_at > ? ORDER BY finished_at"""

# A message in whatever queue it is: the index of messages begins with the queue, so the queues are gone through.
_LIVE = """
    SELECT m.queue, m.attempts, m.sent_at, m.receipt IS NOT NULL AND m.due_at > ?2
    FROM queues q CROSS JOIN messages m ON m.queue = q.name AND m.id = ?1 ORDER BY m.seq DESC LIMIT 1"""

# A message that a ledger has noted on its way through another broker, which alone knows whether it is running.
_NOTED = """
    SELECT queue, noted_at FROM notes
    WHERE id = ? AND state IN ('noted', 'queued') AND expires_at > ? ORDER BY noted_at DESC LIMIT 1"""

_PUT = "INSERT OR REPLACE INTO records (id, queue, state, finished_at, expires_at, doc)"

_decode = msgspec.json.Decoder(Record).decode


class SqliteResults(Results):
    """What became of each message, for one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiters = Waiters(database.clock)
        self._looking: asyncio.Task[None] | None = None
        self._signal: Signal | None = None

    async def get(self, id: str) -> Record | None:
        return await self._database.read(lambda connection: self._get(connection, id))

    async def put(self, records: Sequence[Record]) -> None:
        expires_at = self._database.now() + KEEP_S
        values = [part for record in records for part in _columns(record, expires_at)]
        await self._database.write(lambda connection: insert(connection, _PUT, 6, values), wakes=[TOPIC])

    async def wait(self, id: str, timeout_s: float) -> Record | None:
        if timeout_s <= 0:
            return await self.get(id)
        future = self._waiters.join(id)
        self._rouse()
        try:
            record = await self._waiters.until(future, timeout_s)
        finally:
            self._waiters.leave(id, future)
            if self._signal and not self._waiters.ids:
                self._signal.set()  # nobody is left to look for
        return record or await self.get(id)

    def _rouse(self) -> None:
        """Have somebody look, at once."""
        if self._signal:
            self._signal.set()
        elif self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Wake those whose messages are finished, until nobody waits any more."""
        try:
            with self._database.listen(TOPIC) as self._signal:
                while self._waiters.ids:
                    self._waiters.wake(await self._database.read(self._found_for_waiters))
                    if self._waiters.ids:
                        await self._signal.wait(_LOOK_EVERY_S)
        except StorageError as error:
            self._waiters.fail(error)
        finally:
            self._signal = None

    def _get(self, connection: sqlite3.Connection, id: str) -> Record | None:
        if found := self._found(connection, [id]):
            return found[-1]
        live = connection.execute(_LIVE, (id, self._database.now())).fetchone()
        if live:
            return _live(id, *live)
        noted = connection.execute(_NOTED, (id, self._database.now())).fetchone()
        return Record(id, noted[0], "queued", accepted_at=noted[1]) if noted else None

    def _found_for_waiters(self, connection: sqlite3.Connection) -> list[Record]:
        return self._found(connection, self._waiters.ids)

    def _found(self, connection: sqlite3.Connection, ids: Sequence[str]) -> list[Record]:
        wanted = msgspec.json.encode(ids).decode()
        return [_finished(*row) for row in connection.execute(_FINISHED, (wanted, self._database.now())).fetchall()]


def _columns(record: Record, expires_at: float) -> tuple[object, ...]:
    doc = msgspec.json.encode(record).decode()
    return record.id, record.queue, record.state, record.finished_at, expires_at, doc


def _finished(doc: str | None, id: str, queue: str, state: State, finished_at: float) -> Record:
    return _decode(doc) if doc else Record(id, queue, state, finished_at=finished_at)


def _live(id: str, queue: str, attempts: int, sent_at: float, is_leased: bool) -> Record:
    state: State = "running" if is_leased else "retrying" if attempts else "queued"
    return Record(id, queue, state, attempts=attempts, accepted_at=sent_at)
