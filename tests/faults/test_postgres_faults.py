"""PostgreSQL under faults: nothing is missed, nothing written twice, and everybody is told what is wrong."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from millrace.errors import ConfigError, StorageError, StorageReadOnly
from millrace.store import Change, Table
from millrace.stores.postgres import PostgresStore, open_postgres
from millrace.testing import ManualClock
from millrace.testing.bench import outcome
from millrace.testing.ledger import delivery, put
from millrace.types import Commit, Record, Row
from tests.conformance.postgres_parts import drop, fresh_url, opened, schema_of
from tests.needs import needs
from tests.services import service
from tests.services.postgres import Postgres
from tests.services.proxy import Proxy, proxied


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    parts = urlsplit(service("postgres"))
    with proxied(parts.hostname or "", parts.port or 5432) as proxy:
        yield proxy


def through(proxy: Proxy, url: str) -> str:
    """A URL by way of the proxy."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))


@asynccontextmanager
async def by_hand(url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """A connection of somebody with psql."""
    async with await psycopg.AsyncConnection.connect(service("postgres"), autocommit=True) as connection:
        await connection.execute(f"SET search_path TO {schema_of(url)}".encode())
        yield connection


async def changed(table: Table, after: int, count: int) -> list[Change]:
    """So many changes behind a sequence number, as a watcher reads them."""
    found: list[Change] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            found += await table.changes(after=found[-1].sequence if found else after, wait_s=10.0)
    return found


async def test_no_change_is_missed_whatever_commits_first() -> None:
    """Twenty writers, and a reader that reads on from the last number it saw."""
    async with opened() as store:
        table = await store.open_table("rows", "id", stream=True)
        writers = [
            asyncio.create_task(table.put([Row("rows", f"{writer} {key}", b"%d" % number) for key in range(5)]))
            for writer in range(20)
            for number in range(10)
        ]
        kinds = [(change.key, change.kind) for change in await changed(table, 0, 20 * 5)]
        await asyncio.gather(*writers)
        every = await table.changes(after=0, limit=10_000)
        assert [(change.key, change.kind) for change in every[: len(kinds)]] == kinds
        for key in {change.key for change in every}:
            steps = [change for change in every if change.key == key]
            assert [step.old for step in steps[1:]] == [step.new for step in steps[:-1]], "each begins where one ended"


async def test_an_open_transaction_holds_later_numbers_back() -> None:
    """The known trap: a number is drawn, a higher one commits first, and a reader goes on from that."""
    url = fresh_url()
    async with opened(url) as store, by_hand(url) as connection:
        table = await store.open_table("rows", "id", stream=True)
        async with connection.transaction():
            await connection.execute("INSERT INTO table_rows VALUES ('slow', '1')")
            later = asyncio.create_task(table.put([Row("rows", "fast", b"2")]))
            done, _ = await asyncio.wait([later], timeout=0.3)
            assert not done
            assert await table.changes(after=0) == []
        await later
        assert [change.key for change in await table.changes(after=0)] == ["slow", "fast"]


async def test_people_can_query_and_change_rows() -> None:
    url = fresh_url()
    async with opened(url) as store, by_hand(url) as connection:
        table = await store.open_table("pets", "id", stream=True)
        await table.put([Row("pets", "a", b'{"id": "a", "label": "cat"}')])
        cursor = await connection.execute("SELECT key FROM table_pets WHERE row ->> 'label' = 'cat'")
        assert await cursor.fetchone() == ("a",)
        await connection.execute("UPDATE table_pets SET key = 'b' WHERE key = 'a'")
        await connection.execute("UPDATE table_pets SET row = '{}'")
        await connection.execute("DELETE FROM table_pets")
        told = [(change.key, change.kind) for change in await changed(table, 0, 5)]
        assert told == [("a", "insert"), ("a", "remove"), ("b", "insert"), ("b", "modify"), ("b", "remove")]


async def test_others_wake_those_who_wait() -> None:
    url = fresh_url()
    async with opened(url) as here:
        there = await open_postgres(url)
        table = await here.open_table("rows", "id", stream=True)
        waiting = asyncio.create_task(here.results.wait("m0", 60.0))
        watching = asyncio.create_task(changed(table, 0, 1))
        await there.open_table("rows", "id", stream=True)
        done = outcome(delivery("m0"), rows=(Row("rows", "m0", b"1"),))
        await there.ledger.write(Commit("q", [done]), dedupe_s=60.0, dead_s=60.0)
        record = await asyncio.wait_for(waiting, 60)
        assert record is not None
        assert record.state == "done"
        assert [change.key for change in await watching] == ["m0"]
        await there.close()


async def test_a_queued_message_has_a_record() -> None:
    async with opened() as store:
        await store.ledger.note([put("a")], [60.0])
        record = await store.results.get("a")
        assert record is not None
        assert (record.id, record.queue, record.state) == ("a", "q", "queued")
        await store.ledger.write(Commit("q", [outcome(delivery("a"), record=None)]), dedupe_s=60.0, dead_s=60.0)
        record = await store.results.wait("a", 10.0)
        assert record is not None
        assert record.state == "done"


async def test_odd_ids_and_keys() -> None:
    async with opened() as store:
        table = await store.open_table("rows", "id")
        for id in ("a\0b", "x" * 5000):
            await store.ledger.note([put(id)], [60.0])
            rows = (Row("rows", id[:500], b'{"nul":"\\u0000"}'),)
            await store.ledger.write(Commit("q", [outcome(delivery(id), rows=rows)]), dedupe_s=60.0, dead_s=60.0)
            record = await store.results.wait(id, 10.0)
            assert record is not None
            assert record.id == id
            assert await table.get(id[:500]) == rows[0].value
        assert [row.key for row in await table.scan()] == ["a\0b", "x" * 500]


async def test_bookmarks() -> None:
    async with opened() as store:
        assert await store.bookmarks.load("s") == {}
        await store.bookmarks.save("s", {"a": b"1", "b\0": b"\0\xff", "gone": None})
        await store.bookmarks.save("t", {"a": b"3"})
        await store.bookmarks.save("s", {"a": None, "c": b""})
        assert await store.bookmarks.load("s") == {"b\0": b"\0\xff", "c": b""}


async def test_what_has_expired_is_swept() -> None:
    url = fresh_url()
    clock = ManualClock()
    async with opened(url, clock) as store, by_hand(url) as connection:
        table = await store.open_table("rows", "id", stream=True)
        await table.put([Row("rows", str(number), b"1") for number in range(3)])
        await store.results.put([Record("old", "q", "done"), Record("young", "q", "done")])
        await store.ledger.note([put("a", "k")], [1e-6])
        await connection.execute("UPDATE records SET expires_at = now() - interval '1 s' WHERE id = 'old'")
        await connection.execute("UPDATE changes_rows SET at = now() - interval '25 h' WHERE key < '2'")
        await clock.until_sleeping()
        clock.advance(100.0)
        async with asyncio.timeout(60):
            while await count(connection, "changes_rows") > 1:
                await asyncio.sleep(0.02)
        assert [change.key for change in await table.changes(after=0)] == ["2"]
        assert await count(connection, "records") == 1
        assert await count(connection, "note_keys") == 0
        await connection.execute("ALTER TABLE records RENAME TO away")
        await clock.until_sleeping()
        clock.advance(100.0)  # a sweep that fails is tried again
        await asyncio.sleep(0.1)
        await connection.execute("ALTER TABLE away RENAME TO records")
        await store.sweep()


async def count(connection: psycopg.AsyncConnection, table: str) -> int:
    found = await (await connection.execute(f"SELECT count(*) FROM {table}".encode())).fetchone()
    return int(found[0]) if found else 0


# ---- opening


async def test_many_processes_make_one_schema() -> None:
    url = fresh_url()
    stores = await asyncio.gather(*(open_postgres(url) for _ in range(6)))
    tables = await asyncio.gather(*(store.open_table("rows", "id", stream=True) for store in stores))
    await tables[0].put([Row("rows", "a", b"1")])
    assert {await table.get("a") for table in tables} == {b"1"}
    for store in stores:
        await store.close()
    await drop(url)


async def test_a_table_is_opened_as_it_is() -> None:
    url = fresh_url()
    async with opened(url) as store, by_hand(url) as connection:
        plain = await store.open_table("rows", "id")
        await plain.put([Row("rows", "a", b"1")])
        assert await plain.changes(after=0, wait_s=60.0) == []
        streamed = await store.open_table("rows", "id", stream=True)
        await plain.put([Row("rows", "b", b"1")])
        assert [change.key for change in await streamed.changes(after=0)] == ["b"]
        with pytest.raises(ConfigError, match="stored by 'id', not by 'name'"):
            await store.open_table("rows", "name")
        with pytest.raises(ConfigError, match="1-128 characters"):
            await store.open_table("", "id")
        rows = outcome(delivery("a"), rows=(Row("nowhere", "a", b"1"),))
        with pytest.raises(StorageError, match="'nowhere' is not open"):
            await store.ledger.write(Commit("q", [rows]), dedupe_s=1.0, dead_s=1.0)
        await connection.execute("DROP TABLE table_rows")
        with pytest.raises(StorageError, match="does not exist"):
            await plain.get("a")
        again = await store.open_table("rows", "id", stream=True)
        assert await again.get("a") is None


async def test_a_schema_of_a_newer_millrace_is_refused() -> None:
    url = fresh_url()
    async with opened(url), by_hand(url) as connection:
        await connection.execute("UPDATE meta SET value = '99'")
        with pytest.raises(StorageError, match="newer millrace"):
            await open_postgres(url)


async def test_a_wrong_password_and_a_missing_database() -> None:
    parts = urlsplit(fresh_url())
    wrong = urlunsplit(parts._replace(netloc=f"{parts.username}:wrong@{parts.hostname}:{parts.port}"))
    with pytest.raises(StorageError, match="check user and password") as caught:
        await open_postgres(wrong)
    assert "wrong" not in str(caught.value)
    with pytest.raises(StorageError, match="create the database"):
        await open_postgres(urlunsplit(parts._replace(path="/nowhere")))


async def test_who_may_not_create_is_told_what_to_grant() -> None:
    url = fresh_url()
    role = schema_of(url)
    async with by_hand(url) as connection:
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'hush'".encode())
        parts = urlsplit(url)
        theirs = urlunsplit(parts._replace(netloc=f"{role}:hush@{parts.hostname}:{parts.port}"))
        with pytest.raises(StorageReadOnly, match="GRANT"):
            await open_postgres(theirs)
        await connection.execute(f"CREATE SCHEMA {role} AUTHORIZATION {role}".encode())
        store = await open_postgres(theirs)
        await store.bookmarks.save("s", {"a": b"1"})
        await store.close()
        await drop(url)
        await connection.execute(f"DROP ROLE {role}".encode())


# ---- the way to the server


async def test_a_server_that_is_not_there() -> None:
    with pytest.raises(StorageError, match="cannot be reached"):
        await open_postgres("postgresql://ann:hush@127.0.0.1:1/work")


async def test_cut_connections_cost_nobody_anything(proxy: Proxy) -> None:
    url = fresh_url()
    async with opened(through(proxy, url)) as store:
        table = await store.open_table("rows", "id", stream=True)
        for number in range(20):
            writing = asyncio.create_task(table.put([Row("rows", str(number), b"1")]))
            await asyncio.sleep(0.002 * number)
            proxy.cut()
            await writing
        assert len(await table.changes(after=0)) == 20, "each once"


async def test_a_pool_of_dead_connections_costs_nobody_anything(proxy: Proxy) -> None:
    """However many connections died at once, as when the server was restarted: the next call gets a living one."""
    async with opened(through(proxy, fresh_url())) as store:
        table = await store.open_table("rows", "id")
        await asyncio.gather(*(table.put([Row("rows", f"{key:03}", b"1")]) for key in range(200)))
        assert proxy.cut() > 5
        await table.put([Row("rows", "after", b"1")])


async def test_a_commit_whose_answer_was_lost_is_known_again(proxy: Proxy) -> None:
    url = fresh_url()
    async with opened(through(proxy, url)) as store, by_hand(url) as connection:
        table = await store.open_table("rows", "id", stream=True)
        lease = delivery("m0")
        async with connection.transaction():
            await connection.execute("LOCK TABLE table_rows")
            commit = Commit("q", [outcome(lease, rows=(Row("rows", "m0", b"1"),))])
            writing = asyncio.create_task(store.ledger.write(commit, dedupe_s=60.0, dead_s=60.0))
            await until_waiting(connection)
            proxy.cut()  # the server goes on with the first, and the second waits behind it
            await until_waiting(connection, 2)
        assert await asyncio.wait_for(writing, 30) == []
        assert len(await table.changes(after=0)) == 1


async def until_waiting(connection: psycopg.AsyncConnection, least: int = 1) -> None:
    """Return when so many wait for a lock."""
    async with asyncio.timeout(60):
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'millrace'"
        )
        while ((await (await connection.execute(waiting)).fetchone()) or (0,))[0] < least:
            await connection.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees the first look again
            await asyncio.sleep(0.01)


async def test_who_waits_is_answered_after_the_server_was_away(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = fresh_url()
    async with opened(through(proxy, url)) as here:
        there = await open_postgres(url)
        table = await here.open_table("rows", "id", stream=True)
        watching = asyncio.create_task(changed(table, 0, 1))
        await asyncio.sleep(0.2)
        proxy.refuse()
        await until_logged(caplog, "cannot be reached")
        await there.results.put([Record("m0", "q", "done")])
        writer = await there.open_table("rows", "id", stream=True)
        await writer.put([Row("rows", "a", b"1")])
        proxy.accept()
        await until_logged(caplog, "is back")
        record = await here.results.wait("m0", 30.0)
        assert record is not None
        assert record.state == "done"
        watching.cancel()
        assert [change.key for change in await changed(table, 0, 1)] == ["a"]
        assert sum("cannot be reached" in line for line in caplog.messages) == 1, "once, however often it was tried"
        await there.close()


async def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    async with asyncio.timeout(60):
        while not any(text in line for line in caplog.messages):
            await asyncio.sleep(0.02)


async def test_a_transaction_that_lost_is_run_again() -> None:
    """Two commits that write the same rows in opposite orders with a lock of somebody else's between them."""
    url = fresh_url()
    async with opened(url) as store, by_hand(url) as connection:
        table = await store.open_table("rows", "id")
        await table.put([Row("rows", key, b"0") for key in "ab"])
        async with connection.transaction():
            await connection.execute("UPDATE table_rows SET row = '1' WHERE key = 'b'")
            writing = asyncio.create_task(table.put([Row("rows", key, b"2") for key in "ab"]))
            await until_waiting(connection)
            await connection.execute("SET LOCAL deadlock_timeout = '1h'")  # the other one shall find it
            await connection.execute("UPDATE table_rows SET row = '1' WHERE key = 'a'")
        await writing
        assert await table.get("a") == b"2"


async def test_a_read_only_server_says_so() -> None:
    url = fresh_url()
    async with opened(url):
        parts = urlsplit(url)
        options = "&options=-c%20default_transaction_read_only%3Don"
        store = await open_postgres(urlunsplit(parts) + options)
        with pytest.raises(StorageReadOnly, match="connect to the primary"):
            await store.bookmarks.save("s", {"a": b"1"})
        await store.close()


async def test_the_server_is_killed_and_comes_back(tmp_path: Path) -> None:
    needs("PostgreSQL", Postgres.program())
    with Postgres() as server:
        store = await open_postgres(server.start())
        table = await store.open_table("rows", "id", stream=True)
        waiting = asyncio.create_task(answered(store, "m0"))
        await asyncio.sleep(0)
        written: list[str] = []
        for number in range(3):
            writing = asyncio.create_task(insisting(table, [Row("rows", str(number), b"1")]))
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.restart)
            await asyncio.wait_for(writing, 60)
            written.append(str(number))
            assert [row.key for row in await table.scan()] == written, "what was accepted is there"
        await store.results.put([Record("m0", "q", "done")])
        assert (await asyncio.wait_for(waiting, 30)).state == "done"
        await store.close()


async def insisting(table: Table, rows: list[Row]) -> None:
    while True:
        try:
            await table.put(rows)
        except StorageError:
            await asyncio.sleep(0.05)
        else:
            return


async def answered(store: PostgresStore, id: str) -> Record:
    while True:
        try:
            if record := await store.results.wait(id, 30.0):
                return record
        except StorageError:
            await asyncio.sleep(0.05)


async def test_closing_lets_those_who_wait_go() -> None:
    url = fresh_url()
    store = await open_postgres(url)
    waiting = asyncio.create_task(store.results.wait("a", 600.0))
    await asyncio.sleep(0.1)
    await store.close()
    with pytest.raises(StorageError):
        await waiting
    with pytest.raises(StorageError, match="cannot be reached"):
        await store.results.get("a")
    await drop(url)
