"""The embedded queue under kill -9, a full disk, a lock, damage, and other processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from needs import needs

from millrace.broker import Queue
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database, faults, salvage
from millrace.database.writer import Job
from millrace.errors import StorageBusy, StorageDamaged, StorageError, StorageFull, StorageReadOnly
from millrace.stores.sqlite import SqliteTables
from millrace.testing import ManualClock
from millrace.testing.bench import outcome
from millrace.types import Accepted, Commit, Message, Put, Row

WRITER = Path(__file__).with_name("writer.py")


@asynccontextmanager
async def opened(folder: Path, **how) -> AsyncIterator[tuple[Database, SqliteBroker]]:
    database = Database.open(folder / "test.db", **how)
    try:
        broker = SqliteBroker(database)
        await broker.declare([Queue("q"), Queue("out")])
        yield database, broker
    finally:
        await database.close()


@contextmanager
def writer(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, WRITER, *map(str, arguments)], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def killed_after(process: subprocess.Popen[str], lines: int) -> list[str]:
    """What it said until it was killed in the middle of its work."""
    said = [process.stdout.readline().strip() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    return [*said, *process.stdout.read().split()]


async def ids(broker: SqliteBroker, queue: str) -> set[str]:
    return {peeked.message.id for peeked in await broker.peek(queue, 100_000)}


# ---- kill -9


@pytest.mark.parametrize("lines", [1, 7, 30])
async def test_what_was_accepted_survives_a_kill(tmp_path: Path, lines: int) -> None:
    with writer("put", tmp_path) as process:
        said = killed_after(process, lines)
    async with opened(tmp_path) as (_, broker):
        found = await ids(broker, "q")
    assert {f"{number}.{part}" for number in said for part in range(3)} <= found
    assert len(found) % 3 == 0, "a put is stored whole or not at all"


@pytest.mark.parametrize("lines", [1, 7, 30])
async def test_a_kill_leaves_each_message_or_its_results_once(tmp_path: Path, lines: int) -> None:
    names = {f"m{number}" for number in range(500)}
    async with opened(tmp_path) as (_, broker):
        await broker.put([Put("q", Message(name)) for name in sorted(names)])
    with writer("settle", tmp_path) as process:
        said = killed_after(process, lines)
    async with opened(tmp_path) as (_, broker):
        waiting = await ids(broker, "q")
        results = {id.removesuffix(".out") for id in await ids(broker, "out")}
    assert set(said) <= results, "what was reported as settled is durable"
    assert waiting | results == names, "nothing is lost"
    assert not waiting & results, "nothing is there twice"


@pytest.mark.parametrize("lines", [1, 30])
async def test_a_dedupe_key_survives_a_kill(tmp_path: Path, lines: int) -> None:
    with writer("keyed", tmp_path) as process:
        said = dict(line.split(":") for line in killed_after(process, lines))
    async with opened(tmp_path) as (_, broker):
        answers = await broker.put([Put("q", Message(f"again{number}"), dedupe=number) for number in said])
    expected = [Accepted(f"m{number}", True, int(place)) for number, place in said.items()]
    assert answers == expected, "what was accepted under a key is known by it, settled or not"


# ---- several processes


async def test_a_put_of_another_process_is_noticed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, broker):
        waiting = asyncio.ensure_future(broker.wait("q", 1e6))
        with writer("count", tmp_path, 1, "other"):
            await asyncio.wait_for(waiting, 60)


async def test_processes_share_one_file(tmp_path: Path) -> None:
    with writer("count", tmp_path, 40, "a") as a, writer("count", tmp_path, 40, "b") as b:
        taken = [int(process.stdout.readline()) for process in (a, b)]
    async with opened(tmp_path) as (_, broker):
        left = await broker.stats("q")
    assert sum(taken) + left.depth == 80
    assert left.in_flight == 0


async def test_who_waits_for_the_lock_gets_its_turn(tmp_path: Path) -> None:
    with writer("put", tmp_path):
        async with opened(tmp_path) as (_, broker):
            await broker.put([Put("out", Message(str(number))) for number in range(3)])
            for number in range(20):
                await asyncio.wait_for(broker.put([Put("out", Message(f"one {number}"))]), 60)


# ---- locked


async def test_a_lock_that_stays_is_an_error_that_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path, patience_s=0.0) as (database, broker):
        await broker.put([Put("q", Message("before"))])
        other = sqlite3.connect(database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusy, match="another process holds") as caught:
            await broker.put([Put("q", Message("refused"))])
        assert "fuser" in caught.value.hint
        assert await ids(broker, "q") == {"before"}, "reading goes on"
        with pytest.raises(StorageBusy):
            Database.open(database.path, patience_s=0.0)
        other.execute("ROLLBACK")
        other.close()
        await broker.put([Put("q", Message("after"))])
        assert await ids(broker, "q") == {"before", "after"}


async def test_patience_counts_from_when_the_oldest_job_came(tmp_path: Path) -> None:
    async with opened(tmp_path, patience_s=1000.0) as (database, _):
        other = sqlite3.connect(database.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        old, young = Job(lambda connection: None, ()), Job(lambda connection: None, ())
        old.since -= 1000.0
        database._writer.submit(old)
        with pytest.raises(StorageBusy):
            await asyncio.wait_for(old.future, 30)
        database._writer.submit(young)
        other.execute("ROLLBACK")
        other.close()
        assert await asyncio.wait_for(young.future, 30) is None


async def test_a_lock_that_goes_is_waited_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, broker):
        other = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        putting = asyncio.ensure_future(broker.put([Put("q", Message("a"))]))
        await asyncio.sleep(0)
        other.execute("COMMIT")
        other.close()
        await asyncio.wait_for(putting, 30)


# ---- full


async def test_a_full_disk_refuses_the_put_and_keeps_the_rest(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, broker):
        await broker.put([Put("q", Message("before", b"x" * 100))])
        await database.write(lambda connection: limit_pages(connection, 10))
        with pytest.raises(StorageFull, match="no space left") as caught:
            await broker.put([Put("q", Message("large", b"x" * 1_000_000))])
        assert "free some space" in caught.value.hint
        assert await ids(broker, "q") == {"before"}
        await database.write(lambda connection: limit_pages(connection, 1_000_000))
        await broker.put([Put("q", Message("large", b"x" * 1_000_000))])
        assert await ids(broker, "q") == {"before", "large"}


def limit_pages(connection: sqlite3.Connection, spare: int) -> None:
    """As if the disk had room for so many pages more."""
    (used,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {used + spare}").fetchone()


async def test_a_full_disk_fails_a_shared_transaction_job_by_job(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, broker):
        await database.write(lambda connection: limit_pages(connection, 10))
        puts = [broker.put([Put("q", Message(f"m{size}", b"x" * size))]) for size in (10, 1_000_000, 20)]
        small, large, other = await asyncio.gather(*puts, return_exceptions=True)
        assert isinstance(large, StorageFull)
        assert not isinstance(small, BaseException)
        assert not isinstance(other, BaseException)
        assert await ids(broker, "q") == {"m10", "m20"}


# ---- damaged


async def filled(folder: Path) -> Path:
    async with opened(folder) as (database, broker):
        await broker.put([Put("q", Message(f"m{number}", b"x" * 2000)) for number in range(200)])
    return database.path


async def test_a_damaged_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = await filled(tmp_path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096 * 8))
    with pytest.raises(StorageDamaged, match="damaged") as caught:
        Database.open(path)
    assert "millrace.database.salvage" in caught.value.hint
    assert "\n" not in caught.value.problem


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    path.write_bytes(b"this is a letter to my grandmother, and no database" * 100)
    with pytest.raises(StorageDamaged, match="not a database"):
        Database.open(path)
    assert path.read_bytes().startswith(b"this is a letter"), "and left as it was"


async def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = await filled(tmp_path)
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    with pytest.raises(StorageDamaged):
        Database.open(path)


def spoil(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(b"\xff" * 4096)


def run_the_hint(path: Path) -> subprocess.CompletedProcess[str]:
    commands = "\n".join(faults.damaged(path, "x").hint.split("\n")[1:3])
    return subprocess.run(commands, shell=True, check=True, capture_output=True, text=True)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.99])
async def test_the_hint_saves_what_can_be_read(tmp_path: Path, share: float) -> None:
    path = await filled(tmp_path)
    spoil(path, int(path.stat().st_size // 4096 * share))
    with pytest.raises(StorageDamaged):
        Database.open(path)
    assert "rows of messages" in run_the_hint(path).stdout
    async with opened(tmp_path) as (_, broker):
        assert 190 < (await broker.stats("q")).depth < 200, "all but what lay in one page"
        (lease,) = await broker.take("q", 1)
        assert lease.message.body == b"x" * 2000
        await broker.settle(Commit("q", [outcome(lease)]))


async def test_a_number_of_a_change_does_not_come_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as (database, _):
        table = await SqliteTables(database).open("rows", "id", stream=True)
        await table.put([Row("rows", f"r{number}", b"{}") for number in range(5)])
        await database.write(lambda connection: connection.execute("DELETE FROM changes_rows").rowcount)
    assert salvage.salvage(database.path, tmp_path / "new.db")["table_rows"] == 5
    (tmp_path / "new.db").replace(database.path)
    async with opened(tmp_path) as (database, _):
        table = await SqliteTables(database).open("rows", "id", stream=True)
        await table.put([Row("rows", "another", b"{}")])
        assert [change.sequence for change in await table.changes(after=0)] == [6]


async def test_a_table_that_cannot_be_read_at_all_costs_the_others_nothing(tmp_path: Path) -> None:
    path = await filled(tmp_path)
    connection = sqlite3.connect(path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'records'").fetchone()
    connection.close()
    spoil(path, root - 1)
    saved = salvage.salvage(path, tmp_path / "new.db")
    assert (saved["messages"], saved["queues"], saved["records"]) == (200, 4, 0)


def test_salvage_says_what_it_cannot_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    letter, there = tmp_path / "letter", tmp_path / "there"
    letter.write_bytes(b"this is a letter to my grandmother, and no database" * 100)
    there.touch()
    assert salvage.main([str(letter), str(tmp_path / "new")]) == 1
    assert salvage.main([str(letter), str(there)]) == 1
    assert salvage.main([str(letter)]) == 2
    said = capsys.readouterr()
    assert "not a database" in said.err
    assert f"{there} is there already" in said.err
    assert "usage" in said.err
    assert not (tmp_path / "new").exists()


# ---- read-only


@pytest.mark.parametrize("place", ["/proc/millrace/test.db", "/sys/millrace/test.db", "/proc/test.db"])
def test_a_folder_that_cannot_be_written_is_named(place: str) -> None:
    needs(f"the file system {Path(place).parents[-2]}", Path(place).parents[-2].is_dir())
    with pytest.raises(StorageReadOnly) as caught:
        Database.open(Path(place))
    assert place in caught.value.problem
    assert str(Path(place).parent) in caught.value.hint


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageReadOnly, match="state"):
        Database.open(tmp_path / "state" / "test.db")


def test_every_family_of_sqlites_errors_has_its_words(tmp_path: Path) -> None:
    def error(code: int) -> sqlite3.OperationalError:
        made = sqlite3.OperationalError("said")
        made.sqlite_errorcode = code
        return made

    kinds = {
        sqlite3.SQLITE_FULL: StorageFull,
        sqlite3.SQLITE_BUSY: StorageBusy,
        sqlite3.SQLITE_BUSY_SNAPSHOT: StorageBusy,
        sqlite3.SQLITE_READONLY_DIRECTORY: StorageReadOnly,
        sqlite3.SQLITE_CANTOPEN: StorageReadOnly,
        sqlite3.SQLITE_CORRUPT: StorageDamaged,
        sqlite3.SQLITE_IOERR_FSYNC: StorageError,
    }
    for code, kind in kinds.items():
        translated = faults.translate(error(code), tmp_path / "x.db")
        assert type(translated) is kind
        assert translated.hint, "an error says what to do"
    assert type(faults.translate(sqlite3.ProgrammingError("said"), tmp_path)) is StorageError


# ---- the clock


async def test_the_wall_clock_jumps_back_an_hour(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock=clock) as (_, broker):
        await broker.put([Put("q", Message("leased"))])
        await broker.put([Put("q", Message("delayed"), delay_s=60)])
        (lease,) = await broker.take("q", 10)
        clock.jump(-3600)
        await broker.put([Put("q", Message("fresh"))])
        fresh = await broker.take("q", 10)
        assert [each.message.id for each in fresh] == ["fresh"], "a lease holds and a fresh message is not hidden"
        assert await broker.settle(Commit("q", [outcome(each) for each in (lease, *fresh)])) == []
        clock.advance(61)
        assert [each.message.id for each in await broker.take("q", 10)] == ["delayed"]


async def test_opening_waits_for_a_lock_that_goes(tmp_path: Path) -> None:
    path = await filled(tmp_path)
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    opening = asyncio.ensure_future(asyncio.to_thread(Database.open, path))
    await asyncio.sleep(0)
    other.execute("COMMIT")
    other.close()
    await (await asyncio.wait_for(opening, 30)).close()
