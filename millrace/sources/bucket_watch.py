"""Puts a message for each object that was created in a bucket, or removed from it.

Every poll lists the bucket and compares it with what was announced, which the bookmarks keep: what happened while no
process was up is found at the next start, and nothing is announced twice. At the very first start everything that is
there counts as created. An object is announced when two polls have seen the same of it, so that a file which somebody
is still copying is left alone. An overwritten object is created anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Literal

import msgspec

from millrace.clock import Clock
from millrace.source import EVENT_ATTRIBUTE, Emit, ObjectChange
from millrace.sources.globs import literal_prefix, matcher
from millrace.store import Bookmarks, Bucket
from millrace.types import JSON, Message, Put

_AT_ONCE = 500  # changes in one put, and in one step of the bookmarks
_MIN_POLL_S = 0.05


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """One version of an object."""

    etag: str
    size: int
    modified_at: float


class Step(msgspec.Struct, frozen=True):
    """A key's change: `seen` is there now, None when it was removed; `put` when somebody is to hear of it."""

    key: str
    seen: Seen | None
    put: Put | None


class BucketSource:
    """One `bucket:` event: `pattern` chooses keys, `on` says which change counts.

    What was announced is kept per queue, bucket, pattern and change, so it survives a renaming of the source.
    """

    def __init__(
        self,
        name: str,
        queue: str,
        bucket: Bucket,
        pattern: str,
        on: Literal["created", "removed"],
        poll_s: float,
        bookmarks: Bookmarks,
        clock: Clock,
    ) -> None:
        self.name = name
        self._queue = queue
        self._bucket = bucket
        self._matches = matcher(pattern)
        self._prefix = literal_prefix(pattern)
        self._on = on
        self._poll_s = max(poll_s, _MIN_POLL_S)
        self._bookmarks = bookmarks
        self._clock = clock
        self._source = f"bucket {queue} {bucket.name}/{pattern} {on}"

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled. Raises StorageError when the bucket cannot be listed, BrokerError from `emit`."""
        marks = await self._bookmarks.load(self._source)
        announced = {key: msgspec.msgpack.decode(mark, type=Seen) for key, mark in marks.items()}
        fresh: dict[str, Seen] = {}
        while True:
            # The whole listing first: a page that failed must not look like objects that were removed.
            there = await self._list()
            steady = {key: seen for key, seen in fresh.items() if there.get(key) == seen}
            steps = self._steps(announced, there, steady)
            while chunk := list(islice(steps, _AT_ONCE)):
                await self._announce(emit, chunk, announced)
            fresh = {key: seen for key, seen in there.items() if announced.get(key) != seen}
            await self._clock.sleep(self._poll_s)

    async def _list(self) -> dict[str, Seen]:
        return {
            info.key: Seen(info.etag, info.size, info.modified_at)
            async for info in self._bucket.list(self._prefix)
            if self._matches(info.key)
        }

    def _steps(
        self, announced: Mapping[str, Seen], there: Mapping[str, Seen], steady: Mapping[str, Seen]
    ) -> Iterator[Step]:
        for key, seen in [item for item in announced.items() if item[0] not in there]:
            yield Step(key, None, self._put("removed", key, seen))
        for key, seen in steady.items():
            yield Step(key, seen, self._put("created", key, seen))

    async def _announce(self, emit: Emit, steps: Sequence[Step], announced: dict[str, Seen]) -> None:
        """Emit, then remember: after a crash in between the same ids are emitted again, and dropped."""
        if puts := [step.put for step in steps if step.put]:
            await emit(puts)
        marks = {step.key: msgspec.msgpack.encode(step.seen) if step.seen else None for step in steps}
        await self._bookmarks.save(self._source, marks)
        for step in steps:
            if step.seen:
                announced[step.key] = step.seen
            else:
                del announced[step.key]

    def _put(self, kind: Literal["created", "removed"], key: str, seen: Seen) -> Put | None:
        if kind != self._on:
            return None
        at = seen.modified_at if kind == "created" else self._clock.now()
        change = ObjectChange(kind, self._bucket.name, key, seen.size, seen.etag, at)
        attributes = {"content-type": JSON, EVENT_ATTRIBUTE: "bucket"}
        message = Message(self._id(kind, key, seen), msgspec.json.encode(change), attributes, self._clock.now(), key)
        return Put(self._queue, message)

    def _id(self, kind: str, key: str, seen: Seen) -> str:
        """From the version itself, whose time is part of it: the same bytes put again are another event, as in S3."""
        version = msgspec.msgpack.encode([self._queue, self._bucket.name, kind, key, seen])
        return f"{max(0, int(seen.modified_at * 1000)):012x}{blake2b(version, digest_size=10).hexdigest()}"
