"""Results: the record of a finished message, else what the ledger has noted of one that is in its queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import msgspec
from psycopg import sql

from millrace.clock import Clock
from millrace.errors import StorageError
from millrace.store import Results
from millrace.stores.lookout import Lookout
from millrace.stores.postgres.link import Link
from millrace.stores.postgres.listener import LOOK_EVERY_S, Listener
from millrace.stores.postgres.texts import indexed
from millrace.stores.waiters import FINISHED
from millrace.types import Record, State

TOPIC = "results"
KEEP_S = 86400.0

# Finished records of some ids; of an id in two queues the later one comes last.
_FINISHED = sql.SQL("""
SELECT id, doc, queue, state, finished_at FROM records
WHERE id = ANY(%(ids)s::text[]) AND state IN ('done', 'dead') AND expires_at > now() ORDER BY finished_at
""")

# The last that is known of an id: finished before noted.
_LATEST = sql.SQL("""
SELECT doc, queue, state, coalesce(finished_at, noted_at) FROM records WHERE id = %(id)s AND expires_at > now()
ORDER BY state IN ('done', 'dead') DESC, coalesce(finished_at, noted_at) DESC LIMIT 1
""")

_PUT = sql.SQL("""
INSERT INTO records (id, queue, state, doc, finished_at, expires_at)
SELECT DISTINCT ON (id, queue) id, queue, state, doc, now(), now() + make_interval(secs => %(keep_s)s)
FROM unnest(%(ids)s::text[], %(queues)s::text[], %(states)s::text[], %(docs)s::text[])
  WITH ORDINALITY AS asked (id, queue, state, doc, place) ORDER BY id, queue, place DESC
ON CONFLICT (id, queue) DO UPDATE SET state = excluded.state, doc = excluded.doc,
  finished_at = excluded.finished_at, expires_at = excluded.expires_at
""")

_decode = msgspec.json.Decoder(Record).decode


class PostgresResults(Results):
    """What became of each message, for one event loop."""

    def __init__(self, link: Link, listener: Listener, clock: Clock) -> None:
        self._link = link
        self._listener = listener
        self._lookout = Lookout(clock, partial(listener.listen, TOPIC), self._all_found, LOOK_EVERY_S)

    async def get(self, id: str) -> Record | None:
        found = await self._link.rows(_LATEST, {"id": indexed(id)})
        return _record(id, *found[0]) if found else None

    async def put(self, records: Sequence[Record]) -> None:
        if not records:
            return
        columns = {
            "ids": [indexed(record.id) for record in records],
            "queues": [record.queue for record in records],
            "states": [record.state for record in records],
            "docs": [msgspec.json.encode(record).decode() for record in records],
            "keep_s": KEEP_S,
        }
        await self._link.rows(_PUT, columns)
        self._listener.tell(TOPIC)

    async def wait(self, id: str, timeout_s: float) -> Record | None:
        record = await self._lookout.until(id, timeout_s) if timeout_s > 0 else None
        return record or await self.get(id)

    async def close(self) -> None:
        """Let those who wait go."""
        await self._lookout.close(StorageError(f"{self._link.address} was closed", "this process ends"))

    async def _all_found(self, waited: Sequence[str]) -> list[Record]:
        ids = {indexed(id): id for id in waited}
        found = await self._link.rows(_FINISHED, {"ids": list(ids)})
        return [_record(ids[id], *rest) for id, *rest in found]


def _record(id: str, doc: str | None, queue: str, state: State, at: datetime) -> Record:
    if doc:
        return _decode(doc)
    if state in FINISHED:
        return Record(id, queue, state, finished_at=at.timestamp())
    return Record(id, queue, "queued", accepted_at=at.timestamp())
