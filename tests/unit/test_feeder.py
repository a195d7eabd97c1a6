"""The feeder: a page, a durable put, a checkpoint; whatever interrupts it, the queue holds each item once."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.brokers.limits import check_texts
from millrace.errors import QueueFull, StorageError
from millrace.feeds import Bad, Checkpoints, Cursor, Feeder, FeedError, open_reader
from millrace.types import Accepted, Put


class Queue:
    """A queue that knows ids, may be full, may fail after it stored, and may be told to stop somebody."""

    def __init__(self, max_depth: int = 1_000_000) -> None:
        self.messages: dict[str, Put] = {}
        self.room = max_depth
        self.puts = 0
        self.fail_after: int | None = None

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        fresh = [put for put in puts if put.message.id not in self.messages]
        if len(fresh) > self.room:
            raise QueueFull("full")
        self.room -= len(fresh)
        accepted = [Accepted(put.message.id, put.message.id in self.messages) for put in puts]
        self.messages.update({put.message.id: put for put in fresh})
        self.puts += 1
        if self.puts == self.fail_after:
            raise StorageError("the power went, after the commit")
        return accepted

    @property
    def bodies(self) -> list[object]:
        return [json.loads(put.message.body) for put in self.messages.values()]


class Consumer:
    """A clock that takes a few messages out of the queue whenever somebody sleeps."""

    def __init__(self, queue: Queue, takes: int) -> None:
        self._queue = queue
        self._takes = takes
        self.slept = 0

    def now(self) -> float:
        raise NotImplementedError

    monotonic = now

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        self._queue.room += self._takes


class Bench:
    """A source of ten lines, a queue and the checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.ndjson"
        self.lines(range(10))
        self.queue = Queue()
        self.checkpoints = Checkpoints(folder / "state" / "feeds")
        self.bad: list[Bad] = []

    def lines(self, values: Sequence[object]) -> None:
        self.path.write_text("".join(f"{value}\n" for value in values))

    def feeder(self, **options: object) -> Feeder:
        clock = Consumer(self.queue, 3)
        return Feeder(
            open_reader(self.path), "q", self.queue.put, self.checkpoints, clock, **{"page_items": 4, **options}
        )  # type: ignore[arg-type]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_every_line_is_put_once_in_order(bench: Bench) -> None:
    progress = await bench.feeder().run()
    assert (progress.sent, progress.known, progress.finished) == (10, 0, True)
    assert bench.queue.bodies == list(range(10))
    assert bench.queue.puts == 3
    assert {put.message.content_type for put in bench.queue.messages.values()} == {"application/json"}


async def test_a_finished_feed_does_nothing_again_until_the_file_grows(bench: Bench) -> None:
    await bench.feeder().run()
    progress = await bench.feeder().run()
    assert (progress.sent, progress.known, progress.resumed) == (0, 0, True)
    bench.lines(range(12))
    progress = await bench.feeder().run()
    assert (progress.sent, progress.known) == (2, 0)
    assert bench.queue.bodies == list(range(12))


async def test_a_source_whose_name_is_no_text_is_fed_and_gone_on_with(bench: Bench, tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff")
    folder = tmp_path / odd
    folder.mkdir()
    for name in ("a", f"b{odd}", "c"):
        (folder / name).write_text(f'"{name[0]}"')
    bench.path = folder
    feeder = bench.feeder(page_items=2, on_progress=lambda progress: feeder.stop())
    progress = await feeder.run()
    assert (progress.sent, progress.cursor.path) == (2, f"b{odd}")
    progress = await bench.feeder().run()
    assert (progress.sent, progress.known, progress.resumed) == (1, 0, True)
    assert bench.queue.bodies == ["a", "b", "c"]
    check_texts(bench.queue.messages.values())


async def test_stop_ends_after_the_put_under_way_and_the_next_run_goes_on(bench: Bench) -> None:
    feeder = bench.feeder(on_progress=lambda progress: feeder.stop())
    progress = await feeder.run()
    assert (progress.sent, progress.finished) == (4, False)
    progress = await bench.feeder().run()
    assert (progress.sent, progress.known, progress.resumed) == (6, 0, True)
    assert bench.queue.bodies == list(range(10))


@given(st.integers(1, 3), st.integers(1, 4))
async def test_a_crash_between_put_and_checkpoint_costs_no_duplicate(
    tmp_path_factory: pytest.TempPathFactory, crash: int, page: int
) -> None:
    bench = Bench(tmp_path_factory.mktemp("feed"))
    bench.queue.fail_after = crash
    with pytest.raises(StorageError):
        await bench.feeder(page_items=page).run()
    progress = await bench.feeder().run()
    assert progress.known == min(page, 10 - page * (crash - 1))
    assert bench.queue.bodies == list(range(10))


async def test_again_sends_all_as_new(bench: Bench) -> None:
    await bench.feeder().run()
    progress = await bench.feeder(again=True).run()
    assert (progress.sent, progress.known) == (10, 0)
    progress = await bench.feeder().run()
    assert progress.sent == 0


async def test_a_changed_file_is_read_from_its_beginning_and_what_is_known_dropped(bench: Bench) -> None:
    await bench.feeder().run()
    bench.lines([0, 1, 77, *range(3, 10)])
    progress = await bench.feeder().run()
    assert (progress.changed, progress.sent, progress.known) == (True, 1, 9)


async def test_a_folder_is_looked_through_again_for_new_files(bench: Bench, tmp_path: Path) -> None:
    bench.path = tmp_path / "files"
    bench.path.mkdir()
    (bench.path / "b").write_text("1")
    await bench.feeder(group="g").run()
    (bench.path / "a").write_text("2")
    progress = await bench.feeder().run()
    assert (progress.sent, progress.known, progress.cursor) == (1, 1, Cursor(2, path="b"))
    first = next(iter(bench.queue.messages.values())).message
    assert (first.attributes, first.group) == ({"content-type": "application/octet-stream", "filename": "b"}, "g")


async def test_a_bad_line_ends_the_feed_where_it_stands(bench: Bench) -> None:
    bench.lines([0, "{", 2])
    with pytest.raises(FeedError, match=r"a\.ndjson:2: not JSON") as caught:
        await bench.feeder().run()
    assert "--skip-bad" in caught.value.hint
    assert bench.queue.bodies == [0]
    bench.lines([0, 1, 2])
    assert (await bench.feeder().run()).sent == 2


async def test_bad_lines_are_told_and_passed_over(bench: Bench) -> None:
    bench.lines([0, "{", 2, "}"])
    progress = await bench.feeder(on_bad=bench.bad.append).run()
    assert (progress.sent, progress.skipped) == (2, 2)
    assert [bad.where.rpartition(":")[2] for bad in bench.bad] == ["2", "4"]
    assert (await bench.feeder(on_bad=bench.bad.append).run()).skipped == 0


async def test_a_bad_line_behind_the_stop_is_left_for_the_next_run(bench: Bench) -> None:
    bench.lines([0, "{"])
    feeder = bench.feeder(on_progress=lambda progress: feeder.stop())
    await feeder.run()
    with pytest.raises(FeedError):
        await bench.feeder().run()


async def test_a_full_queue_makes_it_wait(bench: Bench) -> None:
    bench.queue.room = 3
    waits: list[bool] = []
    progress = await bench.feeder(on_progress=lambda progress: waits.append(progress.waiting)).run()
    assert (progress.sent, progress.waiting) == (10, False)
    assert any(waits)
    assert bench.queue.bodies == list(range(10))


async def test_stop_ends_the_wait_for_room(bench: Bench) -> None:
    bench.queue.room = 2
    feeder = bench.feeder(on_progress=lambda progress: feeder.stop() if progress.waiting else None)
    assert (await feeder.run()).sent == 2
    assert (await bench.feeder().run()).sent == 8
    assert bench.queue.bodies == list(range(10))


async def test_a_checkpoint_that_cannot_be_read_costs_only_time(bench: Bench) -> None:
    await bench.feeder().run()
    (saved,) = (bench.path.parent / "state" / "feeds").iterdir()
    saved.write_text("{")
    progress = await bench.feeder().run()
    assert (progress.sent, progress.known) == (0, 10)
