"""Tables, results and bookmarks in the embedded database: what is theirs beside the common contract."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from millrace.broker import Queue
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database
from millrace.errors import ConfigError, StorageError
from millrace.stores.sqlite import SqliteBookmarks, SqliteResults, SqliteTables
from millrace.stores.sqlite.chunks import chunks
from millrace.types import Commit, Lease, Message, Outcome, Put, Record, Row


class Wall:
    """A clock that stands until it is set; its alarms ring at once, if at all."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0
        self.rings = False

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.get_running_loop().create_future()

    def alarm(self, seconds: float, ring: Callable[[], object]) -> asyncio.Handle:
        return asyncio.get_running_loop().call_soon(ring if self.rings else int)


@pytest.fixture
def clock() -> Wall:
    return Wall()


@pytest.fixture
async def database(tmp_path: Path, clock: Wall) -> AsyncIterator[Database]:
    database = Database.open(tmp_path / "test.db", clock=clock)
    yield database
    await database.close()


def commit(*rows: Row) -> Commit:
    return Commit("q", [Outcome(Lease("q", Message("m"), "r", 1, 0.0), "done", rows=rows)])


async def apply(database: Database, tables: SqliteTables, *rows: Row) -> None:
    await database.write(lambda connection: tables.apply(connection, commit(*rows)))


async def test_a_commit_writes_rows_of_several_tables(database: Database) -> None:
    tables = SqliteTables(database)
    pets = await tables.open("pets", "id")
    logs = await tables.open("logs", "id", stream=True)
    await apply(database, tables, Row("pets", "a", b"1"), Row("logs", "x", b"2"), Row("pets", "a", b"3"))
    assert await pets.get("a") == b"3"
    assert await logs.get("x") == b"2"
    assert await pets.changes(after=0) == []
    assert [change.key for change in await logs.changes(after=0)] == ["x"]


async def test_a_row_of_a_table_that_is_not_open_undoes_the_whole(database: Database) -> None:
    tables = SqliteTables(database)
    pets = await tables.open("pets", "id")
    with pytest.raises(StorageError, match="'cats' is not open"):
        await apply(database, tables, Row("pets", "a", b"1"), Row("cats", "b", b"2"))
    assert await pets.get("a") is None


async def test_a_rolled_back_write_leaves_neither_row_nor_change(database: Database) -> None:
    pets = await SqliteTables(database).open("pets", "id", stream=True)

    def fail(connection: sqlite3.Connection) -> None:
        pets.write(connection, ["a", "1"])
        raise StorageError("no")

    with pytest.raises(StorageError):
        await database.write(fail)
    assert await pets.get("a") is None
    assert await pets.changes(after=0) == []


async def test_a_thousand_rows_are_a_few_statements(database: Database) -> None:
    tables = SqliteTables(database)
    pets = await tables.open("pets", "id", stream=True)
    statements: list[str] = []

    def job(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(statements.append)
        tables.apply(connection, commit(*(Row("pets", f"{number:04d}", b"{}") for number in range(1000))))
        connection.set_trace_callback(None)

    await database.write(job)
    assert len(statements) < 20
    assert len(await pets.scan(limit=2000)) == 1000
    assert len(await pets.changes(after=0, limit=2000)) == 1000


async def test_a_person_can_read_it_with_the_sqlite_shell(database: Database, tmp_path: Path) -> None:
    pets = await SqliteTables(database).open("pets", "id", stream=True)
    await pets.put([Row("pets", "a", b'{"id":"a","label":"cat"}')])
    shell = sqlite3.connect(tmp_path / "test.db")
    assert shell.execute("SELECT key, json_extract(value, '$.label') FROM table_pets").fetchall() == [("a", "cat")]
    assert shell.execute("SELECT kind, json_extract(new, '$.label') FROM changes_pets").fetchall() == [
        ("insert", "cat")
    ]
    shell.close()


async def test_tables_are_found_again_and_can_begin_to_keep_changes(database: Database) -> None:
    pets = await SqliteTables(database).open("pets", "id")
    await pets.put([Row("pets", "a", b"1")])
    again = await SqliteTables(database).open("pets", "id", stream=True)
    await again.put([Row("pets", "a", b"2")])
    assert [(change.kind, change.old) for change in await again.changes(after=0)] == [("modify", b"1")]


@pytest.mark.parametrize(
    ("name", "key", "says"),
    [
        ("Pets", "id", "'pets' and 'Pets' differ only in case"),
        ("pets", "name", "its rows are stored by 'id', not by 'name'"),
        ("", "id", "expected 1-128 characters"),
        ("x" * 129, "id", "expected 1-128 characters"),
        ("a\0b", "id", "no NUL"),
    ],
)
async def test_tables_that_cannot_be(database: Database, name: str, key: str, says: str) -> None:
    await SqliteTables(database).open("pets", "id")
    with pytest.raises(ConfigError) as caught:
        await SqliteTables(database).open(name, key)
    assert says in caught.value.problem


async def test_changes_are_forgotten_after_a_day_and_never_numbered_again(database: Database, clock: Wall) -> None:
    pets = await SqliteTables(database).open("pets", "id", stream=True)
    await pets.put([Row("pets", str(number), b"1") for number in range(2500)])
    clock.time += 86_399
    await pets.put([Row("pets", "later", b"1")])
    assert len(await pets.changes(after=0, limit=5000)) == 2501
    clock.time += 2
    for _ in range(3):
        await pets.put([Row("pets", "new", b"%d" % clock.time)])
        clock.time += 1
    assert [change.sequence for change in await pets.changes(after=0)] == [2501, 2502, 2503, 2504]
    clock.time += 200_000
    await pets.put([Row("pets", "new", b"1")])
    assert [change.sequence for change in await pets.changes(after=0)] == [2505]


async def test_where_a_message_is_while_no_record_speaks_of_it(database: Database, clock: Wall) -> None:
    broker, results = SqliteBroker(database), SqliteResults(database)
    await broker.declare([Queue("other"), Queue("q", lease_s=30)])
    await broker.put([Put("q", Message("m", sent_at=7.0)), Put("q", Message("n"))])
    assert await results.get("m") == Record("m", "q", "queued", accepted_at=7.0)
    leases = await broker.take("q", 2)
    assert await results.get("m") == Record("m", "q", "running", attempts=1, accepted_at=7.0)
    await broker.settle(Commit("q", [Outcome(leases[0], "retry", delay_s=60.0)]))
    assert await results.wait("m", 0.0) == Record("m", "q", "retrying", attempts=1, accepted_at=7.0)
    clock.time += 31
    found = await results.get("n")
    assert found
    assert found.state == "retrying"
    await broker.close()


async def test_settle_wakes_who_waits_and_the_record_is_found(database: Database) -> None:
    broker, results = SqliteBroker(database), SqliteResults(database)
    await broker.declare([Queue("q")])
    await broker.put([Put("q", Message("m")), Put("q", Message("bare"))])
    waiting = asyncio.create_task(results.wait("m", 600.0))
    leases = await broker.take("q", 2)
    record = Record("m", "q", "done", msgspec.Raw(b"1"))
    await broker.settle(Commit("q", [Outcome(leases[0], "done", record), Outcome(leases[1], "done")]))
    found = await asyncio.wait_for(waiting, 30)
    assert found
    assert msgspec.json.encode(found) == msgspec.json.encode(record)
    bare = await results.get("bare")
    assert bare
    assert (bare.state, bare.queue) == ("done", "q")
    await broker.close()


async def test_many_who_begin_to_wait_together_cost_few_queries(database: Database) -> None:
    results = SqliteResults(database)
    queries = 0
    read = database.read

    async def counted(job):  # type: ignore[no-untyped-def]
        nonlocal queries
        queries += 1
        return await read(job)

    database.read = counted  # type: ignore[method-assign]
    waiting = [asyncio.create_task(results.wait(f"m{number}", 600.0)) for number in range(64)]
    await asyncio.sleep(0)
    for number in range(64):
        await results.put([Record(f"m{number}", "q", "done")])
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    assert queries <= 66  # one when they came, one for each of 64 commits, at most one more


async def test_a_wait_that_times_out_says_how_far_the_message_is(database: Database, clock: Wall) -> None:
    broker, results = SqliteBroker(database), SqliteResults(database)
    await broker.declare([Queue("q")])
    await broker.put([Put("q", Message("m"))])
    clock.rings = True
    found = await results.wait("m", 5.0)
    assert found
    assert found.state == "queued"
    await broker.close()


async def test_who_waits_hears_that_the_database_is_closed(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "closed.db")
    results = SqliteResults(database)
    await database.close()
    with pytest.raises(StorageError):
        await results.wait("m", 600.0)


async def test_records_are_forgotten_after_the_window(database: Database, clock: Wall) -> None:
    results = SqliteResults(database)
    await results.put([Record("m", "q", "done")])
    clock.time += 86_401
    assert await results.get("m") is None


async def test_bookmarks_set_replace_and_forget(database: Database) -> None:
    bookmarks = SqliteBookmarks(database)
    assert await bookmarks.load("a") == {}
    await bookmarks.save("a", {str(number): b"1" for number in range(300)})
    await bookmarks.save("a", {"0": b"\x00\xff", "1": None, "unknown": None})
    await bookmarks.save("b", {"0": b"2"})
    found = await bookmarks.load("a")
    assert (found["0"], "1" in found, len(found)) == (b"\x00\xff", False, 299)
    assert await bookmarks.load("b") == {"0": b"2"}


@pytest.mark.parametrize("length", [0, 1, 2, 3, 255, 256, 257, 1000])
def test_chunks_are_powers_of_two_in_order(length: int) -> None:
    parts = list(chunks(range(length)))
    assert [item for part in parts for item in part] == list(range(length))
    assert all(len(part) & (len(part) - 1) == 0 and len(part) <= 256 for part in parts)
