"""Every ledger against the suite that third parties get; PostgreSQL's is in test_postgres_stores.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from millrace.database import Database
from millrace.stores.memory import MemoryResults, MemoryTables
from millrace.stores.memory_ledger import MemoryLedger
from millrace.stores.sqlite import SqliteLedger, SqliteResults, SqliteTables
from millrace.testing import ManualClock
from millrace.testing.ledger import CHECKS, LedgerBench, check_ledger
from tests.conformance.outbox_parts import advancing

Open = Callable[[Path], AbstractAsyncContextManager[LedgerBench]]


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[LedgerBench]:
    clock = ManualClock()
    tables, results = MemoryTables(clock), MemoryResults(clock)
    table = await tables.open("rows", "id", stream=True)
    yield LedgerBench(MemoryLedger(clock, [tables, results]), table, results, advancing(clock))


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[LedgerBench]:
    clock = ManualClock()
    database = Database.open(folder / "test.db", clock=clock)
    tables = SqliteTables(database)
    table = await tables.open("rows", "id", stream=True)
    try:
        yield LedgerBench(SqliteLedger(database, [tables]), table, SqliteResults(database), advancing(clock))
    finally:
        await database.close()


@pytest.mark.parametrize("opened", [memory, sqlite])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_ledger(opened: Open, check: Callable[[LedgerBench], Awaitable[None]], tmp_path: Path) -> None:
    async with opened(tmp_path) as bench:
        await check(bench)


async def test_the_suite_fails_a_ledger_that_lets_everybody_win(tmp_path: Path) -> None:
    @asynccontextmanager
    async def generous() -> AsyncIterator[LedgerBench]:
        async with memory(tmp_path) as bench:
            write = bench.ledger.write

            async def forgetting(commit, **how):
                await bench.ledger.forget(commit.queue, None)
                return await write(commit, **how)

            bench.ledger.write = forgetting
            yield bench

    with pytest.raises(AssertionError):
        await check_ledger(generous)


async def test_the_whole_suite_runs(tmp_path: Path) -> None:
    await check_ledger(lambda: memory(tmp_path))


async def test_what_has_expired_is_swept(tmp_path: Path) -> None:
    clock = ManualClock()
    database = Database.open(tmp_path / "test.db", clock=clock)
    ledger = SqliteLedger(database, [])
    bench = LedgerBench(ledger, None, SqliteResults(database), advancing(clock))
    from millrace.testing.bench import outcome
    from millrace.testing.ledger import delivery, put

    await bench.queued(*(put(f"m{number}", f"k{number}") for number in range(300)))
    for start in (0, 250):
        await bench.write(
            *(outcome(delivery(f"m{start + number}"), puts=(put("x", queue="out"),)) for number in range(250))
        )
    clock.advance(1e6)
    await bench.write(*(outcome(delivery(f"n{number}")) for number in range(500)))
    for table, expected in (("notes", 500), ("note_keys", 0), ("outputs", 0), ("records", 500)):
        query = f"SELECT count(*) FROM {table}"
        assert await database.read(lambda connection, query=query: connection.execute(query).fetchone()) == (expected,)
    await database.close()
