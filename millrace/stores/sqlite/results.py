"""Results from the broker's own tables: the record of a settled message, else where the message is in its queue."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from millrace.database import Database
from millrace.store import Results
from millrace.stores.lookout import Lookout
from millrace.stores.sqlite.chunks import insert
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
        self._lookout = Lookout(database.clock, partial(database.listen, TOPIC), self._all_found, _LOOK_EVERY_S)

    async def get(self, id: str) -> Record | None:
        return await self._database.read(lambda connection: self._get(connection, id))

    async def put(self, records: Sequence[Record]) -> None:
        expires_at = self._database.now() + KEEP_S
        values = [part for record in records for part in _columns(record, expires_at)]
        await self._database.write(lambda connection: insert(connection, _PUT, 6, values), wakes=[TOPIC])

    async def wait(self, id: str, timeout_s: float) -> Record | None:
        record = await self._lookout.until(id, timeout_s) if timeout_s > 0 else None
        return record or await self.get(id)

    def _get(self, connection: sqlite3.Connection, id: str) -> Record | None:
        if found := self._found(connection, [id]):
            return found[-1]
        live = connection.execute(_LIVE, (id, self._database.now())).fetchone()
        if live:
            return _live(id, *live)
        noted = connection.execute(_NOTED, (id, self._database.now())).fetchone()
        return Record(id, noted[0], "queued", accepted_at=noted[1]) if noted else None

    async def _all_found(self, ids: Sequence[str]) -> list[Record]:
        return await self._database.read(lambda connection: self._found(connection, ids))

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
