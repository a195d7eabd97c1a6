"""One schema of a PostgreSQL database behind the ports: tables, results, bookmarks and the ledger."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress

import psycopg
from psycopg import sql

from millrace.clock import Clock, SystemClock
from millrace.errors import StorageError
from millrace.store import Bookmarks, Ledger, Results, Table
from millrace.stores.postgres.address import parse_address
from millrace.stores.postgres.bookmarks import PostgresBookmarks
from millrace.stores.postgres.faults import translate
from millrace.stores.postgres.ledger import PostgresLedger
from millrace.stores.postgres.link import Link
from millrace.stores.postgres.listener import Listener
from millrace.stores.postgres.results import PostgresResults
from millrace.stores.postgres.schema import migrate
from millrace.stores.postgres.tables import PostgresTables

_SWEEP_EVERY_S = 60.0
_SWEPT_AT_ONCE = 5000
# What expired, a part at a time; several processes share the work.
_SWEEPS = [
    sql.SQL(
        f"""
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM {table} WHERE expires_at <= now() LIMIT {_SWEPT_AT_ONCE} FOR UPDATE SKIP LOCKED
))
"""  # noqa: S608 - constants
    )
    for table in ("records", "note_keys")
]
_log = logging.getLogger(__name__)


class PostgresStore:
    """The ports of one schema, for one event loop; made by `open_postgres`."""

    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._listener = Listener(link, clock)
        self._tables = PostgresTables(link, self._listener)
        self._results = PostgresResults(link, self._listener, clock)
        self.results: Results = self._results
        self.bookmarks: Bookmarks = PostgresBookmarks(link)
        self.ledger: Ledger = PostgresLedger(link, self._listener, self._tables)
        self._sweeping = asyncio.create_task(self._sweep_for_ever())

    async def open_table(self, name: str, key: str, stream: bool = False) -> Table:
        """The table of that name, made where it is not there. Raises ConfigError for a name or key that cannot be."""
        return await self._tables.open(name, key, stream)

    async def sweep(self) -> None:
        """Delete records and keys that have expired, and changes older than a day. Raises StorageError."""
        for statement in _SWEEPS:
            while await self._link.count(statement) >= _SWEPT_AT_ONCE:
                pass
        await self._tables.sweep()

    async def close(self) -> None:
        """Finish what was begun and let go of every connection."""
        self._sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await self._sweeping
        await self._results.close()
        await self._listener.close()
        await self._link.close()

    async def _sweep_for_ever(self) -> None:
        while True:
            await self._clock.sleep(_SWEEP_EVERY_S * random.uniform(0.5, 1.5))  # noqa: S311 - spreads the processes
            try:
                await self.sweep()
            except StorageError as error:
                _log.debug("what has expired stays for now: %s", error)


async def open_postgres(url: str, *, clock: Clock | None = None) -> PostgresStore:
    """Connect, and make the schema of `?schema=` (default millrace) or bring it up to date.

    Raises StorageError for a server that is not there, refuses us or has no room, and a schema of a newer millrace.
    """
    address = parse_address(url)
    link = await Link.open(address)
    try:
        async with link.alone() as connection:
            await migrate(connection, address)
    except psycopg.Error as error:
        await link.close()
        raise translate(error, address) from error
    except BaseException:
        await link.close()
        raise
    return PostgresStore(link, clock or SystemClock())
