"""Watches of buckets and tables: what is announced, once, across restarts, refusals and half-written files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from millrace.errors import QueueFull, StorageError
from millrace.source import EVENT_ATTRIBUTE, ObjectChange, RowChange, Source
from millrace.sources.bucket_watch import BucketSource
from millrace.sources.globs import literal_prefix, matcher
from millrace.sources.table_watch import TableSource
from millrace.store import Bucket, ObjectInfo
from millrace.stores.memory import MemoryBookmarks, MemoryTable, MemoryTables
from millrace.stores.objects import open_bucket
from millrace.types import Accepted, Put, Row


class Turns:
    """A clock that stands still: each sleep ends when the test says so."""

    def __init__(self) -> None:
        self.asleep = asyncio.Event()
        self.awake = asyncio.Event()

    def now(self) -> float:
        return 1_800_000_000.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.awake.clear()
        self.asleep.set()
        await self.awake.wait()

    async def turn(self) -> None:
        """Let the sleeper go round once more."""
        self.asleep.clear()
        self.awake.set()
        await asyncio.wait_for(self.asleep.wait(), 30)


class Inbox:
    """Remembers what was emitted, and drops the ids that it knows; refuses while `full`."""

    def __init__(self) -> None:
        self.puts: list[Put] = []
        self.repeats = 0
        self.full = False

    async def __call__(self, puts: Sequence[Put]) -> list[Accepted]:
        if self.full:
            raise QueueFull("full", "wait")
        known = {put.message.id for put in self.puts}
        self.repeats += sum(put.message.id in known for put in puts)
        self.puts += [put for put in puts if put.message.id not in known]
        return [Accepted(put.message.id, put.message.id in known) for put in puts]

    def take(self, kind: type[Any]) -> list[Any]:
        puts, self.puts = self.puts, []
        return [msgspec.json.decode(put.message.body, type=kind) for put in puts]


@asynccontextmanager
async def running(source: Source, inbox: Inbox, clock: Turns) -> AsyncIterator[asyncio.Task[None]]:
    """The source, after its first look."""
    clock.asleep.clear()
    task = asyncio.create_task(source.run(inbox))
    looked = asyncio.create_task(clock.asleep.wait())
    await asyncio.wait([task, looked], return_when=asyncio.FIRST_COMPLETED, timeout=30)
    try:
        yield task
    finally:
        looked.cancel()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Watched:
    """A bucket in a folder, watched by a source that is made anew at each start."""

    def __init__(self, folder: Path, bucket: Bucket | None = None) -> None:
        self.folder = folder / "lake"
        self.bucket = bucket or open_bucket("lake", "lake", folder)
        self.bookmarks = MemoryBookmarks()
        self.clock = Turns()
        self.inbox = Inbox()

    def source(self, on: Literal["created", "removed"] = "created", pattern: str = "in/*.jpg") -> BucketSource:
        return BucketSource("f.0", "inbox", self.bucket, pattern, on, 1.0, self.bookmarks, self.clock)

    async def looks(self, times: int = 2, source: BucketSource | None = None) -> list[tuple[str, str]]:
        """Start, look so often, stop; what was announced."""
        async with running(source or self.source(), self.inbox, self.clock):
            for _ in range(times - 1):
                await self.clock.turn()
        return [(change.kind, change.key) for change in self.inbox.take(ObjectChange)]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def test_what_is_there_at_the_very_first_start_counts_as_created(watched: Watched) -> None:
    await watched.bucket.put("in/a.jpg", b"1")
    await watched.bucket.put("in/a.png", b"1")
    await watched.bucket.put("in/deep/a.jpg", b"1")
    assert await watched.looks() == [("created", "in/a.jpg")]


async def test_a_restart_neither_repeats_nor_misses(watched: Watched) -> None:
    await watched.bucket.put("in/a.jpg", b"1")
    assert await watched.looks() == [("created", "in/a.jpg")]
    await watched.bucket.put("in/b.jpg", b"2")
    assert await watched.looks(4) == [("created", "in/b.jpg")]
    assert await watched.looks(4) == []


async def test_an_event_says_what_the_object_is(watched: Watched) -> None:
    await watched.bucket.put("in/a.jpg", b"12345")
    (info,) = [info async for info in watched.bucket.list()]
    async with running(watched.source(), watched.inbox, watched.clock):
        await watched.clock.turn()
    (put,) = watched.inbox.puts
    assert (put.queue, put.message.group, put.message.attributes[EVENT_ATTRIBUTE]) == ("inbox", "in/a.jpg", "bucket")
    change = msgspec.json.decode(put.message.body, type=ObjectChange)
    assert change == ObjectChange("created", "lake", "in/a.jpg", 5, info.etag, info.modified_at)


async def test_a_half_written_file_is_not_announced(watched: Watched) -> None:
    path = watched.folder / "in" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"1")
    async with running(watched.source(), watched.inbox, watched.clock):
        for size in range(2, 5):
            path.write_bytes(b"1" * size)
            await watched.clock.turn()
            assert watched.inbox.puts == []
        await watched.clock.turn()
        (change,) = watched.inbox.take(ObjectChange)
    assert change.size == 4


async def test_an_overwritten_object_is_created_again_even_with_the_same_bytes(watched: Watched) -> None:
    await watched.bucket.put("in/a.jpg", b"1")
    await watched.looks()
    await watched.bucket.put("in/a.jpg", b"1")
    os.utime(watched.folder / "in" / "a.jpg", (1_700_000_000, 1_700_000_000))
    assert await watched.looks() == [("created", "in/a.jpg")]


async def test_removed_objects(watched: Watched) -> None:
    removals = watched.source("removed")
    await watched.bucket.put("in/a.jpg", b"1")
    await watched.bucket.put("in/b.jpg", b"1")
    assert await watched.looks(2, removals) == []
    await watched.bucket.delete("in/a.jpg")
    assert await watched.looks(1, watched.source("removed")) == [("removed", "in/a.jpg")]
    assert await watched.looks(2, removals) == []


async def test_created_removed_and_created_again_is_two_events(watched: Watched) -> None:
    await watched.bucket.put("in/a.jpg", b"1")
    assert await watched.looks() == [("created", "in/a.jpg")]
    await watched.bucket.delete("in/a.jpg")
    assert await watched.looks() == []
    await watched.bucket.put("in/a.jpg", b"1")
    assert await watched.looks() == [("created", "in/a.jpg")]


async def test_what_the_queue_refused_is_announced_later(watched: Watched) -> None:
    await watched.bucket.put("in/a.jpg", b"1")
    watched.inbox.full = True
    async with running(watched.source(), watched.inbox, watched.clock) as task:
        watched.clock.awake.set()
        with pytest.raises(QueueFull):
            await asyncio.wait_for(task, 30)
    watched.inbox.full = False
    assert await watched.looks() == [("created", "in/a.jpg")]


async def test_a_crash_between_put_and_bookmark_repeats_the_id(watched: Watched) -> None:
    await watched.bucket.put("in/a.jpg", b"1")
    async with running(watched.source(), watched.inbox, watched.clock):
        await watched.clock.turn()
    watched.bookmarks = MemoryBookmarks()
    async with running(watched.source(), watched.inbox, watched.clock):
        await watched.clock.turn()
    assert watched.inbox.repeats == 1
    assert len(watched.inbox.puts) == 1


async def test_a_listing_that_fails_is_not_a_removal(watched: Watched) -> None:
    removals = watched.source("removed")
    await watched.bucket.put("in/a.jpg", b"1")
    await watched.looks(2, removals)
    watched.folder.rename(watched.folder.with_name("elsewhere"))
    async with running(removals, watched.inbox, watched.clock) as task:
        with pytest.raises(StorageError, match="is gone"):
            await task
    watched.folder.with_name("elsewhere").rename(watched.folder)
    assert await watched.looks(2, removals) == []


async def test_more_objects_than_fit_in_one_put(tmp_path: Path) -> None:
    watched = Watched(tmp_path, open_bucket("lake", "memory://", tmp_path))
    for number in range(1101):
        await watched.bucket.put(f"in/{number}.jpg", b"")
    assert len(await watched.looks()) == 1101
    assert await watched.looks() == []


@pytest.mark.parametrize(
    ("pattern", "takes", "leaves"),
    [
        ("", ["a", "a/b"], []),
        ("*", ["a", ""], ["a/b"]),
        ("in/*.jpg", ["in/a.jpg", "in/.jpg"], ["in/a.png", "in/b/a.jpg", "xin/a.jpg", "in/a.jpgx"]),
        ("in/**/*.jpg", ["in/a.jpg", "in/b/a.jpg", "in/b/c/a.jpg"], ["a.jpg", "in.jpg"]),
        ("in/**", ["in/a", "in/b/c"], ["inn"]),
        ("a?c", ["abc"], ["a/c", "ac"]),
        ("a+(b)[c]", ["a+(b)[c]"], ["aab"]),
    ],
)
def test_patterns(pattern: str, takes: list[str], leaves: list[str]) -> None:
    matches = matcher(pattern)
    assert [key for key in takes + leaves if matches(key)] == takes
    assert all(key.startswith(literal_prefix(pattern)) for key in takes)


async def table_and_source(stream: bool = True) -> tuple[MemoryTable, MemoryBookmarks, Turns, Inbox]:
    return await MemoryTables().open("pets", "id", stream), MemoryBookmarks(), Turns(), Inbox()


async def test_row_changes_come_in_order_with_their_key_as_group() -> None:
    table, bookmarks, _, inbox = await table_and_source()
    for value in (b'{"n":1}', b'{"n":2}'):
        await table.put([Row("pets", "rex", value), Row("pets", "tom", value)])
    await table.delete(["rex"])
    clock = Turns()
    table._clock = clock
    async with running(TableSource("f.0", "inbox", table, bookmarks, clock), inbox, clock):
        pass
    assert [put.message.group for put in inbox.puts] == ["rex", "tom", "rex", "tom", "rex"]
    assert {put.message.attributes[EVENT_ATTRIBUTE] for put in inbox.puts} == {"table"}
    changes = inbox.take(RowChange)
    assert [change.sequence for change in changes] == [1, 2, 3, 4, 5]
    assert [change.kind for change in changes] == ["insert", "insert", "modify", "modify", "remove"]
    assert (changes[0].table, changes[0].key_field, changes[0].key) == ("pets", "id", "rex")
    assert msgspec.json.decode(changes[2].old) == {"n": 1}
    assert msgspec.json.decode(changes[2].new) == {"n": 2}
    assert msgspec.json.decode(changes[4].new) is None


async def test_a_table_watch_goes_on_where_it_was_and_wakes_at_the_next_change() -> None:
    table, bookmarks, clock, inbox = await table_and_source()
    table._clock = clock
    await table.put([Row("pets", "rex", b"1")])
    async with running(TableSource("f.0", "inbox", table, bookmarks, clock), inbox, clock):
        assert len(inbox.take(RowChange)) == 1
    await table.put([Row("pets", "rex", b"2")])
    async with running(TableSource("renamed", "inbox", table, bookmarks, clock), inbox, clock):
        assert [change.sequence for change in inbox.take(RowChange)] == [2]
        clock.asleep.clear()
        await table.put([Row("pets", "rex", b"3")])
        await asyncio.wait_for(clock.asleep.wait(), 30)
        assert [change.sequence for change in inbox.take(RowChange)] == [3]


async def test_changes_that_the_queue_refused_come_again_under_the_same_ids() -> None:
    table, bookmarks, clock, inbox = await table_and_source()
    table._clock = clock
    await table.put([Row("pets", "rex", b"1")])
    inbox.full = True
    with pytest.raises(QueueFull):
        await TableSource("f.0", "inbox", table, bookmarks, clock).run(inbox)
    inbox.full = False
    for marks in (bookmarks, MemoryBookmarks()):
        async with running(TableSource("f.0", "inbox", table, marks, clock), inbox, clock):
            pass
    assert len(inbox.puts) == 1
    assert inbox.repeats == 1


async def test_a_table_without_a_stream_does_not_make_the_watch_spin() -> None:
    table, bookmarks, clock, inbox = await table_and_source(stream=False)
    await table.put([Row("pets", "rex", b"1")])
    table._clock = clock
    async with running(TableSource("f.0", "inbox", table, bookmarks, clock), inbox, clock):
        await clock.turn()
    assert inbox.puts == []


async def test_a_watch_from_the_latest_on_announces_what_happens_from_now_on_even_after_a_restart() -> None:
    table, bookmarks, clock, inbox = await table_and_source()
    table._clock = clock

    def source() -> TableSource:
        return TableSource("f.0", "inbox", table, bookmarks, clock, start="latest")

    await table.put([Row("pets", "rex", b"1")])
    async with running(source(), inbox, clock):
        pass
    assert inbox.puts == []
    await table.put([Row("pets", "rex", b"2")])
    async with running(source(), inbox, clock):
        assert [change.sequence for change in inbox.take(RowChange)] == [2], "what happened while it was down counts"


async def test_a_watch_from_the_latest_on_of_an_empty_stream_misses_nothing_afterwards() -> None:
    table, bookmarks, clock, inbox = await table_and_source()
    table._clock = clock
    for expected in ([], [1]):
        async with running(TableSource("f.0", "inbox", table, bookmarks, clock, start="latest"), inbox, clock):
            assert [change.sequence for change in inbox.take(RowChange)] == expected
        await table.put([Row("pets", "rex", b"1")])


async def test_a_change_says_its_sort_field_and_what_a_handler_sees_of_it() -> None:
    table, bookmarks, clock, inbox = await table_and_source()
    table._clock = clock
    await table.put([Row("pets", "rex", b'{"id":"rex","at":1}')])
    source = TableSource("f.0", "inbox", table, bookmarks, clock, sort_field="at", view="keys")
    async with running(source, inbox, clock):
        (change,) = inbox.take(RowChange)
    assert (change.sort_field, change.view) == ("at", "keys")
    assert msgspec.json.decode(change.new) == {"id": "rex", "at": 1}


class SameTags(Bucket):
    """One object whose entity tag is a hash of its bytes, as in S3."""

    name = "lake"

    def __init__(self) -> None:
        self.modified_at = 1.0

    async def put(self, key: str, body: bytes) -> None:
        self.modified_at += 1

    async def get(self, key: str) -> bytes | None:
        return b"1"

    async def delete(self, key: str) -> None:
        raise NotImplementedError

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        yield ObjectInfo("in/a.jpg", 1, "hash", self.modified_at)


async def test_the_same_bytes_put_again_are_another_event_where_tags_are_hashes(tmp_path: Path) -> None:
    watched = Watched(tmp_path, SameTags())
    assert await watched.looks() == [("created", "in/a.jpg")]
    async with running(watched.source(), watched.inbox, watched.clock):
        await watched.bucket.put("in/a.jpg", b"1")
        await watched.clock.turn()
        await watched.clock.turn()
    assert len({put.message.id for put in watched.inbox.puts}) == 1
    first = watched.inbox.puts
    watched.bookmarks = MemoryBookmarks()
    watched.inbox.puts = []
    await watched.bucket.put("in/a.jpg", b"1")
    async with running(watched.source(), watched.inbox, watched.clock):
        await watched.clock.turn()
    assert watched.inbox.puts[0].message.id != first[0].message.id
