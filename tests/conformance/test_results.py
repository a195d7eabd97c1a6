"""Every store of records against the suite that third parties get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from millrace.database import Database
from millrace.store import Results
from millrace.stores.memory import MemoryResults
from millrace.stores.sqlite import SqliteResults
from millrace.testing.results import CHECKS, check_results

Open = Callable[[Path], AbstractAsyncContextManager[Results]]


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[Results]:
    yield MemoryResults()


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Results]:
    database = Database.open(folder / "test.db")
    try:
        yield SqliteResults(database)
    finally:
        await database.close()


@pytest.mark.parametrize("opened", [memory, sqlite])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_results(opened: Open, check: Callable[[Results], Awaitable[None]], tmp_path: Path) -> None:
    async with opened(tmp_path) as results:
        await check(results)


async def test_the_whole_suite_runs(tmp_path: Path) -> None:
    await check_results(lambda: memory(tmp_path))
