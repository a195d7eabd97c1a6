"""Every table against the suite that third parties get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from millrace.database import Database
from millrace.store import Table
from millrace.stores.memory import MemoryTables
from millrace.stores.sqlite import SqliteTables
from millrace.testing.table import CHECKS, check_table

Open = Callable[[Path], AbstractAsyncContextManager[Table]]


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[Table]:
    yield await MemoryTables().open("pets", "id", stream=True)


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Table]:
    database = Database.open(folder / "test.db")
    try:
        yield await SqliteTables(database).open('odd "name"; --', "id", stream=True)
    finally:
        await database.close()


@pytest.mark.parametrize("opened", [memory, sqlite])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_table(opened: Open, check: Callable[[Table], Awaitable[None]], tmp_path: Path) -> None:
    async with opened(tmp_path) as table:
        await check(table)


async def test_the_suite_fails_a_table_that_forgets(tmp_path: Path) -> None:
    @asynccontextmanager
    async def forgetful() -> AsyncIterator[Table]:
        async with memory(tmp_path) as table:
            table.delete = lambda keys: _nothing()  # type: ignore[assignment, method-assign]
            yield table

    with pytest.raises(AssertionError):
        await check_table(forgetful)


async def _nothing() -> int:
    return 0


async def test_the_whole_suite_runs(tmp_path: Path) -> None:
    await check_table(lambda: memory(tmp_path))


async def test_a_table_without_a_stream_is_held_to_the_rest() -> None:
    @asynccontextmanager
    async def plain() -> AsyncIterator[Table]:
        yield await MemoryTables().open("pets", "id")

    await check_table(plain, stream=False)
    with pytest.raises(AssertionError):
        await check_table(plain)
