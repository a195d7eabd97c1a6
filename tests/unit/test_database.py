"""Group commit, isolation of failing jobs, wakes, and the time that processes share."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from millrace.broker import Queue
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database, machine
from millrace.database.file import open_file
from millrace.errors import StorageError
from millrace.testing import ManualClock
from millrace.types import Commit, Message, Outcome, Put

_INSERT = "INSERT INTO messages (queue, id, sent_at) VALUES ('q', ?, 0)"
NORMAL, FULL = 1, 2  # PRAGMA synchronous
_IDS = "SELECT id FROM messages ORDER BY seq"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database.open(tmp_path / "state" / "test.db", clock=ManualClock())
    yield database
    await database.close()


def insert(id: str):
    return lambda connection: connection.execute(_INSERT, (id,)).lastrowid


def ids(connection: sqlite3.Connection) -> list[str]:
    return [id for (id,) in connection.execute(_IDS)]


class Gate:
    """Holds up the writer, so that what is submitted meanwhile shares the next transaction."""

    def __init__(self, database: Database) -> None:
        self._open = threading.Event()
        self.reached = threading.Event()
        self.task = asyncio.ensure_future(database.write(self._wait))

    def _wait(self, connection: sqlite3.Connection) -> None:
        self.reached.set()
        assert self._open.wait(30)

    async def shut(self) -> None:
        await asyncio.to_thread(self.reached.wait, 30)

    async def open(self) -> None:
        self._open.set()
        await self.task


async def together(database: Database, *jobs):
    """Run jobs in one transaction."""
    gate = Gate(database)
    await gate.shut()
    tasks = [asyncio.ensure_future(database.write(job)) for job in jobs]
    await asyncio.sleep(0)
    await gate.open()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_was_written_can_be_read(database: Database) -> None:
    assert await database.write(insert("a")) == 1
    assert await database.read(ids) == ["a"]


async def test_what_waits_shares_one_transaction(database: Database) -> None:
    begun: list[bool] = []

    def watching(connection: sqlite3.Connection) -> int:
        begun.append(connection.total_changes > before)
        return connection.execute(_INSERT, (str(len(begun)),)).lastrowid

    before = await database.write(lambda connection: connection.total_changes)
    assert await together(database, watching, watching, watching) == [1, 2, 3]
    assert begun == [False, True, True]  # nothing was begun anew between them
    assert await database.read(ids) == ["1", "2", "3"]


async def test_a_job_that_fails_is_undone_alone(database: Database) -> None:
    def failing(connection: sqlite3.Connection) -> None:
        connection.execute(_INSERT, ("bad",))
        raise ValueError("after a write")

    first, error, last = await together(database, insert("a"), failing, insert("b"))
    assert (first, last) == (1, 2)
    assert isinstance(error, ValueError)
    assert await database.read(ids) == ["a", "b"]


async def test_a_job_that_refuses_before_writing_costs_the_others_nothing(database: Database) -> None:
    runs: list[int] = []

    def counted(connection: sqlite3.Connection) -> None:
        runs.append(1)
        connection.execute(_INSERT, ("a",))

    def refusing(connection: sqlite3.Connection) -> None:
        raise ValueError("before any write")

    _, error, _ = await together(database, counted, refusing, insert("b"))
    assert isinstance(error, ValueError)
    assert runs == [1]
    assert await database.read(ids) == ["a", "b"]


async def test_sqlites_errors_are_translated(database: Database) -> None:
    for failing in (database.write, database.read):
        with pytest.raises(StorageError, match="no such table: nowhere"):
            await failing(lambda connection: connection.execute("SELECT * FROM nowhere"))


async def test_reading_cannot_write(database: Database) -> None:
    with pytest.raises(StorageError, match="readonly"):
        await database.read(insert("a"))


async def test_a_cancelled_write_harms_nobody(database: Database) -> None:
    gate = Gate(database)
    await gate.shut()
    task = asyncio.ensure_future(database.write(insert("a")))
    await asyncio.sleep(0)
    task.cancel()
    await gate.open()
    assert await database.write(insert("b")) == 2
    assert await database.read(ids) == ["a", "b"]


async def test_several_loops_write_to_one_database(database: Database) -> None:
    def elsewhere(name: str) -> int:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(database.write(insert(name)))

    rows = await asyncio.gather(*(asyncio.to_thread(elsewhere, str(number)) for number in range(5)))
    assert sorted(rows) == [1, 2, 3, 4, 5]


async def test_a_wake_reaches_who_listens_to_its_topic(database: Database) -> None:
    with database.listen("a") as here, database.listen("b") as there:
        await database.write(lambda connection: None, wakes=["a"])
        assert await asyncio.wait_for(here.wait(1e6), 30)
        waiting = asyncio.ensure_future(there.wait(5.0))
        await database.clock.until_sleeping()
        database.clock.advance(5.0)
        assert await waiting is False


async def test_a_wake_between_looking_and_waiting_is_not_missed(database: Database) -> None:
    with database.listen("a") as signal:
        await database.write(insert("x"), wakes=["a"])
        await asyncio.wait_for(signal.wait(1e6), 30)


async def test_a_failed_job_wakes_nobody(database: Database) -> None:
    def failing(connection: sqlite3.Connection) -> None:
        raise ValueError("before the commit")

    with database.listen("a") as signal:
        with pytest.raises(ValueError, match="before the commit"):
            await database.write(failing, wakes=["a"])
        assert await signal.wait(0) is False


async def test_wait_returns_for_wake_and_timeout(database: Database) -> None:
    waiting = asyncio.ensure_future(database.wait("a", 1e6))
    await database.clock.until_sleeping()
    await database.write(insert("x"), wakes=["a"])
    await asyncio.wait_for(waiting, 30)
    waiting = asyncio.ensure_future(database.wait("a", 1.0))
    await database.clock.until_sleeping()
    database.clock.advance(1.0)
    await asyncio.wait_for(waiting, 30)


async def test_a_commit_elsewhere_wakes_everybody(database: Database) -> None:
    other = Database.open(database.path)
    try:
        waiting = asyncio.ensure_future(database.wait("a", 1e6))
        await database.clock.until_sleeping()
        await other.write(insert("x"))
        await asyncio.wait_for(waiting, 30)
    finally:
        await other.close()


async def test_the_writer_is_told_of_a_listener_that_it_can_see(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(database._writer, "look", lambda: seen.append(database._signals.any))
    with database.listen("a"):
        assert seen == [True]


async def test_a_closed_database_says_so(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "test.db")
    await database.close()
    await database.close()
    with pytest.raises(StorageError, match="closed"):
        await database.write(insert("a"))
    with pytest.raises(StorageError, match="closed"):
        await database.read(ids)


async def test_closing_finishes_what_was_begun(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "test.db")
    tasks = [asyncio.ensure_future(database.write(insert(str(number)))) for number in range(10)]
    await asyncio.sleep(0)
    await database.close()
    assert sorted(await asyncio.gather(*tasks)) == list(range(1, 11))


# ---- broker time


async def test_a_jump_of_the_wall_clock_moves_nothing(database: Database) -> None:
    before = database.now()
    database.clock.jump(-3600)
    assert database.now() == before
    database.clock.advance(10)
    assert database.now() == before + 10


async def test_processes_of_one_boot_share_the_time(tmp_path: Path) -> None:
    clock = ManualClock(now=1000.0, monotonic=50.0)
    first = Database.open(tmp_path / "test.db", clock=clock, boot="one")
    clock.jump(+7200)
    second = Database.open(tmp_path / "test.db", clock=clock, boot="one")
    assert first.now() == second.now() == 1000.0
    await first.close()
    await second.close()


async def test_a_new_boot_follows_the_wall_clock_but_never_backwards(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    first = ManualClock(now=1000.0, monotonic=50.0)
    database = Database.open(path, clock=first, boot="one")
    first.advance(100)
    await database.close()

    later = Database.open(path, clock=ManualClock(now=5000.0, monotonic=1.0), boot="two")
    assert later.now() == 5000.0
    await later.close()

    backwards = Database.open(path, clock=ManualClock(now=10.0, monotonic=1.0), boot="three")
    assert backwards.now() == 5000.0
    await backwards.close()


def test_the_boot_has_an_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert machine.boot_id() == machine.boot_id()
    monkeypatch.setattr(machine, "_LINUX_BOOT_ID", tmp_path / "nowhere")
    assert machine.boot_id().startswith("since-")


# ---- settings that the promises rest on


async def test_a_commit_is_on_the_disk(database: Database) -> None:
    def pragma(name: str):
        return lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert await database.write(pragma("journal_mode")) == "wal"
    assert await database.write(pragma("synchronous")) == 2  # FULL


def test_a_file_of_a_newer_millrace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 1000")
    connection.close()
    with pytest.raises(StorageError, match="schema version 1000") as caught:
        open_file(path, ManualClock(), "boot")
    assert "install" in caught.value.hint


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 0))
    with pytest.raises(StorageError, match="too old"):
        Database.open(tmp_path / "test.db")


async def test_only_what_a_power_loss_may_take_back_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "millrace.db")
    gate = threading.Event()

    def level(connection: sqlite3.Connection) -> int:
        gate.wait()
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])

    try:
        gate.set()
        assert await database.write(level) == FULL
        assert await database.write(level, durable=False) == NORMAL
        gate.clear()
        first = asyncio.create_task(database.write(level, durable=False))
        await asyncio.sleep(0)  # it holds the writer; the two behind it share a transaction
        both = [asyncio.create_task(database.write(level, durable=durable)) for durable in (False, True)]
        await asyncio.sleep(0)
        gate.set()
        assert await first in (NORMAL, FULL)
        assert await asyncio.gather(*both) == [FULL, FULL]
        assert await database.write(level) == FULL
    finally:
        gate.set()
        await database.close()


async def test_only_leases_and_commits_that_say_so_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "millrace.db")
    broker = SqliteBroker(database, [])
    told: list[bool] = []
    write = database.write

    async def spy(job: Callable[[sqlite3.Connection], Any], *, wakes: Any = (), durable: bool = True) -> Any:
        told.append(durable)
        return await write(job, wakes=wakes, durable=durable)

    try:
        await broker.declare([Queue("q")])
        database.write = spy  # type: ignore[method-assign]
        await broker.put([Put("q", Message("a")), Put("q", Message("b"))])
        first, second = await broker.take("q", 2)
        (first,) = await broker.extend([first], 5)
        await broker.settle(Commit("q", [Outcome(first, "done")]))
        await broker.settle(Commit("q", [Outcome(second, "done")], durable=False))
        assert told == [True, False, False, True, False]
    finally:
        database.write = write  # type: ignore[method-assign]
        await broker.close()
        await database.close()
