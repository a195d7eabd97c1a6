"""The way to the server: a pool of connections, and what is repeated when the way or the transaction breaks.

Everything that the stores send may be sent twice: writes are keyed, and a commit knows its own delivery again. So a
connection that broke in the middle is no doubt that anybody has to live with.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from millrace.errors import StorageError, not_utf8
from millrace.stores.postgres.address import Address
from millrace.stores.postgres.faults import is_lost_connection, is_worth_repeating, translate

T = TypeVar("T")
Connection = AsyncConnection[TupleRow]
Parameters = Mapping[str, Any]
Statement = sql.SQL | bytes  # bytes: with names of tables in it
Row = tuple[Any, ...]
_CONNECTIONS = 8  # of one process at most; commits and reads share them
_PATIENCE_S = 5.0  # for a connection; the pool reconnects meanwhile, with growing pauses
_STATEMENT_S = 60
_TRIES = 5
# While the server is away the pool would say so at each try; the listener says it once.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


class Link:
    """Connections to one schema; made by `Link.open`. Every method raises StorageError."""

    def __init__(self, address: Address, pool: AsyncConnectionPool[Connection]) -> None:
        self.address = address
        self._pool = pool

    @classmethod
    async def open(cls, address: Address) -> Link:
        """Connect. The schema need not be there yet."""
        await (await connect(address)).close()  # says what is wrong, which a pool does not

        async def configure(connection: Connection) -> None:
            await prepare(connection, address)

        pool = AsyncConnectionPool(
            address.conninfo,
            min_size=1,
            max_size=_CONNECTIONS,
            kwargs={"autocommit": True},
            configure=configure,
            timeout=_PATIENCE_S,
            reconnect_timeout=10.0,
            max_idle=120.0,
            check=None,
            open=False,
        )
        await pool.open()
        return cls(address, pool)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do something with a connection; again when it lost against another transaction, or its connection."""
        tried = 0
        while True:
            try:
                return await self._once(work)
            except psycopg.Error as error:
                tried += 1
                lost = is_lost_connection(error) and not isinstance(error, PoolTimeout | PoolClosed)
                if tried == _TRIES or not (lost or is_worth_repeating(error)):
                    raise translate(error, self.address) from error
                if lost:
                    await self._pool.check()  # or the next one would be as old
            except UnicodeEncodeError as error:
                raise not_utf8(error) from None

    async def rows(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """What one statement returns; it is a transaction of its own, durable when this returns."""

        async def work(connection: Connection) -> list[Row]:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []

        return await self.run(work)

    async def count(self, statement: Statement, parameters: Parameters | None = None) -> int:
        """How many rows one statement touched."""

        async def work(connection: Connection) -> int:
            return (await connection.execute(statement, parameters)).rowcount

        return await self.run(work)

    async def relaxed(self, *steps: tuple[Statement, Parameters]) -> list[Row]:
        """What the last of some statements returns: one transaction, one journey, and no wait for the server's disk.

        A crash of the server may take back what it wrote in the last half second.
        """

        async def work(connection: Connection) -> list[Row]:
            async with connection.pipeline(), connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit = off")
                for statement, parameters in steps:
                    cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []

        return await self.run(work)

    async def together(self, *steps: tuple[Statement, Parameters]) -> None:
        """Run some statements as one transaction, in one journey."""

        async def work(connection: Connection) -> None:
            async with connection.pipeline(), connection.transaction():
                for statement, parameters in steps:
                    await connection.execute(statement, parameters)

        await self.run(work)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[Connection]:
        """A connection of one's own, outside the pool. Raises StorageError; psycopg.Error once it is there."""
        connection = await connect(self.address)
        try:
            await prepare(connection, self.address)
            yield connection
        finally:
            await connection.close()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._pool.close()

    async def _once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._pool.connection() as connection:
            return await work(connection)


async def connect(address: Address) -> Connection:
    """One connection. Raises StorageError."""
    try:
        return await AsyncConnection.connect(address.conninfo, autocommit=True)
    except (psycopg.Error, OSError) as error:
        raise translate(error, address) from error


async def prepare(connection: Connection, address: Address) -> None:
    """What each connection needs: names without a schema are ours, and nothing waits for ever."""
    await connection.execute(
        sql.SQL("SELECT set_config('search_path', {}, false), set_config('statement_timeout', {}, false)").format(
            address.schema, f"{_STATEMENT_S}s"
        )
    )


def unavailable(error: Exception, address: Address) -> StorageError:
    """The error of a connection outside the pool."""
    return error if isinstance(error, StorageError) else translate(error, address)
