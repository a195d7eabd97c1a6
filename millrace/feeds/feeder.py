"""From a reader into a queue, page by page: each page is one durable put, then one checkpoint.

The order matters: a checkpoint says that everything before it is durable. What was put but not yet written down when
the process died is sent again with the same ids, and the queue keeps the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from hashlib import blake2b

import msgspec

from millrace.clock import Clock
from millrace.errors import QueueFull
from millrace.feeds.checkpoint import Checkpoint, Checkpoints, usable
from millrace.feeds.item import Bad, Cursor, FeedError, Item, Reader
from millrace.types import Accepted, Put

PAGE_ITEMS = 500
PAGE_BYTES = 4_000_000
_FULL_WAIT_S = 0.05

PutAll = Callable[[Sequence[Put]], Awaitable[list[Accepted]]]


class Progress(msgspec.Struct):
    """What a feed has done so far: `sent` are new in the queue, `known` were there already, `skipped` are bad."""

    sent: int = 0
    known: int = 0
    skipped: int = 0
    cursor: Cursor = Cursor()
    resumed: bool = False
    changed: bool = False  # the source is not what it was when the last feed stopped
    waiting: bool = False  # the queue is full
    finished: bool = False


class Feeder:
    """Feeds one source into one queue; `progress` is read by whoever shows it, `stop()` ends it after the page."""

    def __init__(
        self,
        reader: Reader,
        queue: str,
        put: PutAll,
        checkpoints: Checkpoints,
        clock: Clock,
        *,
        again: bool = False,
        group: str = "",
        page_items: int = PAGE_ITEMS,
        on_bad: Callable[[Bad], None] | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        """Without `on_bad` the first bad item ends the feed with FeedError; with it, it is told and passed over."""
        self.progress = Progress()
        self._reader = reader
        self._queue = queue
        self._put = put
        self._checkpoints = checkpoints
        self._clock = clock
        self._group = group
        self._page_items = page_items
        self._on_bad = on_bad
        self._on_progress = on_progress
        self._stopping = False
        self._source = reader.path.resolve()
        self._run = self._begin(again)
        self._feed = feed_id(queue, str(self._source), self._run)

    def stop(self) -> None:
        """End after the put that is under way."""
        self._stopping = True

    async def run(self) -> Progress:
        """Feed until the source ends or stop(); raises FeedError at a bad item, StorageError from the put."""
        entries = self._reader.read(self.progress.cursor)
        while not self._stopping:
            page = await asyncio.to_thread(self._page, entries)
            if not page:
                self.progress.finished = True
                self._save()
                break
            await self._send(page)
        return self.progress

    def _begin(self, again: bool) -> int:
        last = self._checkpoints.load(self._queue, self._source)
        if last is None:
            return 0
        if again:
            return last.run + 1
        if not usable(last, self._reader):
            self.progress.changed = True
        elif not (last.done and last.cursor.path):  # a whole folder is looked through again: files may have come
            self.progress.cursor = last.cursor
            self.progress.resumed = True
        return last.run

    def _page(self, entries: Iterator[Item | Bad]) -> list[Item | Bad]:
        page: list[Item | Bad] = []
        size = 0
        for entry in entries:
            page.append(entry)
            size += len(entry.body) if isinstance(entry, Item) else 0
            if len(page) >= self._page_items or size >= PAGE_BYTES:
                break
        return page

    async def _send(self, page: list[Item | Bad]) -> None:
        items: list[Item] = []
        for entry in page:
            if isinstance(entry, Item):
                items.append(entry)
                continue
            await self._send_items(items)
            items = []
            if not self._stopping:
                self._pass_over(entry)
        await self._send_items(items)

    def _pass_over(self, bad: Bad) -> None:
        if self._on_bad is None:
            raise FeedError(
                f"{bad.where}: {bad.problem}", "mend it and run the same again, or pass over with --skip-bad"
            )
        self._on_bad(bad)
        self.progress.skipped += 1
        self.progress.cursor = bad.after

    async def _send_items(self, items: list[Item]) -> None:
        """Put all, in smaller pieces while the queue is full; each piece is durable before the next is tried."""
        size = len(items)
        while items and not self._stopping:
            try:
                accepted = await self._put(
                    [Put(self._queue, item.message(self._feed, self._group)) for item in items[:size]]
                )
            except QueueFull:
                size = await self._yield_to_consumers(size)
                continue
            self._sent(items[:size], accepted)
            items = items[size:]
            size *= 2

    async def _yield_to_consumers(self, size: int) -> int:
        if size > 1:
            return size // 2
        self.progress.waiting = True
        self._on_progress(self.progress)
        await self._clock.sleep(_FULL_WAIT_S)
        return 1

    def _sent(self, items: list[Item], accepted: list[Accepted]) -> None:
        known = sum(each.duplicate for each in accepted)
        self.progress.known += known
        self.progress.sent += len(accepted) - known
        self.progress.cursor = items[-1].after
        self.progress.waiting = False
        self._save()
        self._on_progress(self.progress)

    def _save(self) -> None:
        cursor = self.progress.cursor
        fingerprint = self._reader.fingerprint(cursor)
        self._checkpoints.save(
            Checkpoint(self._queue, str(self._source), cursor, fingerprint, self._run, self.progress.finished)
        )


def feed_id(queue: str, source: str, run: int) -> str:
    """What the ids of one feed begin with: the same source into the same queue has the same, unless fed anew."""
    seed = f"{queue}\n{source}\n{run}".encode(errors="surrogateescape")
    return f"feed-{blake2b(seed, digest_size=6).hexdigest()}"
