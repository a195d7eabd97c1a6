"""The stores in memory: their bounds, and how they take part in a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from millrace.errors import StorageError
from millrace.stores.memory import MemoryBookmarks, MemoryResults, MemoryTables
from millrace.types import Commit, Lease, Message, Outcome, Record, Row


class Wall:
    """A clock that stands until it is set; its sleeps end at once."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds

    def alarm(self, seconds: float, ring: Callable[[], object]) -> asyncio.Handle:
        self.time += seconds
        return asyncio.get_running_loop().call_soon(ring)


def outcome(record: Record | None = None, *rows: Row) -> Outcome:
    return Outcome(Lease("q", Message("m"), "r", 1, 0.0), "done", record, rows)


async def test_a_commit_writes_rows_or_none() -> None:
    tables = MemoryTables()
    pets = await tables.open("pets", "id")
    assert await tables.open("pets", "id") is pets
    tables.apply(Commit("q", [outcome(None, Row("pets", "a", b"1")), outcome(None, Row("pets", "a", b"2"))]))
    assert await pets.get("a") == b"2"
    with pytest.raises(StorageError, match="'cats' is not open"):
        tables.apply(Commit("q", [outcome(None, Row("pets", "a", b"3"), Row("cats", "b", b"4"))]))
    assert await pets.get("a") == b"2"


async def test_changes_are_forgotten_after_a_day() -> None:
    clock = Wall()
    pets = await MemoryTables(clock).open("pets", "id", stream=True)
    await pets.put([Row("pets", "a", b"1")])
    clock.time += 86_401
    await pets.put([Row("pets", "a", b"2")])
    assert [change.sequence for change in await pets.changes(after=0)] == [2]


async def test_who_waits_for_a_change_in_vain_gets_none() -> None:
    clock = Wall()
    pets = await MemoryTables(clock).open("pets", "id", stream=True)
    assert await pets.changes(after=0, wait_s=5.0) == []
    assert clock.time == 1_800_000_005.0


async def test_records_are_kept_by_number_and_age() -> None:
    clock = Wall()
    results = MemoryResults(clock, keep=3)
    for number in range(5):
        results.apply(Commit("q", [outcome(Record(f"m{number}", "q", "done")), outcome()]))
    assert [number for number in range(5) if await results.get(f"m{number}")] == [2, 3, 4]
    clock.time += 86_401
    assert await results.get("m4") is None


async def test_records_are_kept_by_their_bytes_but_the_last_always() -> None:
    results = MemoryResults(Wall(), keep_bytes=10)
    for id, size in (("a", 4), ("b", 4), ("b", 6), ("c", 4)):
        results.apply(Commit("q", [outcome(Record(id, "q", "done", msgspec.Raw(b"1" * size)))]))
    assert [id for id in "abc" if await results.get(id)] == ["b", "c"]
    results.apply(Commit("q", [outcome(Record("d", "q", "done", msgspec.Raw(b"1" * 99)))]))
    assert [id for id in "abcd" if await results.get(id)] == ["d"]


async def test_an_apply_wakes_who_waits() -> None:
    results = MemoryResults()
    waiting = [asyncio.create_task(results.wait("m", 600.0)) for _ in range(2)]
    await asyncio.sleep(0)
    results.apply(Commit("q", [outcome(Record("m", "q", "dead"))]))
    assert [record and record.state for record in await asyncio.gather(*waiting)] == ["dead", "dead"]


async def test_live_says_where_a_message_is_that_has_no_record() -> None:
    async def live(id: str) -> Record | None:
        return Record(id, "q", "running") if id == "m" else None

    results = MemoryResults(Wall(), live=live)
    for found in (await results.get("m"), await results.wait("m", 5.0)):
        assert found
        assert found.state == "running"
    assert await results.get("x") is None


async def test_bookmarks_set_replace_and_forget() -> None:
    bookmarks = MemoryBookmarks()
    await bookmarks.save("a", {"x": b"1", "y": b"2", "gone": None})
    await bookmarks.save("a", {"x": None, "y": b"3"})
    assert await bookmarks.load("a") == {"y": b"3"}
    assert await bookmarks.load("b") == {}
