"""What really became of every item, from the database itself: a trigger counts each write of each keyed row."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec
import psycopg
from psycopg import sql

from benchmarks.chaos.recovery import Sample

_SCHEMA = "millrace"  # that of the fleet's tables
_SAMPLE_EVERY_S = 0.1
_WATCH = """
CREATE SCHEMA audit;
CREATE TABLE audit.writes (effect text NOT NULL, key text NOT NULL);
CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO audit.writes VALUES (TG_TABLE_NAME, to_jsonb(NEW) ->> 'key'); RETURN NULL; END $$;
"""
_WATCH_TABLE = "CREATE TRIGGER note AFTER INSERT OR UPDATE ON {}.{} FOR EACH ROW EXECUTE FUNCTION audit.note()"
_COUNT = "SELECT effect, key, count(*) FROM audit.writes GROUP BY effect, key"
_DONE = "SELECT count(*) FROM audit.writes WHERE effect = %s"


class Counted(msgspec.Struct, frozen=True):
    """Of what was accepted: what has its row in the last table, what has none, and what was done or written twice."""

    accepted: int
    done: int
    lost: int
    executed_twice: int
    effects_twice: int


class Audit:
    """Watches the tables of a fleet; `first` is filled by the function that is posted to, `last` by the one behind."""

    def __init__(self, url: str, first: str, last: str) -> None:
        self._url = url
        self._tables = (f"table_{first}", f"table_{last}")  # as stores/postgres names them
        self.samples: list[Sample] = []

    async def watch(self) -> None:
        """Begin to count each write, from now on."""
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            await connection.execute(_WATCH)
            for table in self._tables:
                names = (sql.Identifier(_SCHEMA), sql.Identifier(table))
                await connection.execute(sql.SQL(_WATCH_TABLE).format(*names))

    async def sample(self) -> None:
        """Note how much is done, ten times a second, until cancelled."""
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            while True:
                self.samples.append(Sample(time.monotonic(), await self._done(connection)))
                await asyncio.sleep(_SAMPLE_EVERY_S)

    async def until(self, complete: Callable[[int], bool], limit_s: float) -> bool:
        """Wait until `complete` says so of the count of what is done; whether it came to that in time."""
        end = time.monotonic() + limit_s
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            while time.monotonic() < end:
                if complete(await self._done(connection)):
                    return True
                await asyncio.sleep(_SAMPLE_EVERY_S)
        return False

    async def count(self, accepted: Collection[str], executions: Path) -> Counted:
        """Compare what was accepted with what was written and executed."""
        writes: dict[str, Counter[str]] = {table: Counter() for table in self._tables}
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            async for effect, key, times in await connection.execute(_COUNT):
                writes[effect][key] = times
        executed = Counter(executions.read_text().split())
        first, last = (writes[table] for table in self._tables)
        done = sum(id in first for id in accepted)
        return Counted(
            accepted=len(accepted),
            done=min(done, len(last)),
            lost=len(accepted) - min(done, len(last)),
            executed_twice=sum(times > 1 for times in executed.values()),
            effects_twice=sum(times > 1 for counts in writes.values() for times in counts.values()),
        )

    async def _done(self, connection: psycopg.AsyncConnection[tuple[int]]) -> int:
        cursor = await connection.execute(_DONE, (self._tables[1],))
        row = await cursor.fetchone()
        assert row is not None
        return row[0]
