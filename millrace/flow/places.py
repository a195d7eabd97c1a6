"""How far a pipeline runs ahead of its replicas, and how much of what has run may still wait for its commit.

A commit waits for disks and servers, most of which do for many messages at once what they do for one. So a small batch
that has run gives its place back before it is committed, and goes into its commit together with others.
"""

from __future__ import annotations

import asyncio

MOST_AHEAD = 64  # messages that have run, wait for their commit and have no place any more
MOST_BYTES = 256 << 10  # of the bodies of a batch that goes on without


class Places:
    """The places of one pipeline: `count` batches, and beside them at most `ahead` messages that have run."""

    def __init__(self, count: int, ahead: int = MOST_AHEAD) -> None:
        self._free = count
        self._room = ahead
        self._closed = False
        self._freed = asyncio.Event()

    async def take(self) -> Place:
        """A place, as soon as there is one, or nobody needs any."""
        while self._free <= 0 and not self._closed:
            self._freed.clear()
            await self._freed.wait()
        self._free -= 1
        return Place(self)

    def close(self) -> None:
        """No batch is gathered any more: who waits for a place waits no longer."""
        self._closed = True
        self._freed.set()

    def left(self, messages: int) -> bool:
        """Whether so many messages may wait without a place, which then is free."""
        if messages > self._room:
            return False
        self._room -= messages
        self._release()
        return True

    def returned(self, messages: int) -> None:
        """Messages that were without a place are through, or a batch that kept its own: 0."""
        self._room += messages
        if not messages:
            self._release()

    def _release(self) -> None:
        self._free += 1
        self._freed.set()


class Place:
    """What one batch has until it is committed, or has run if it is small."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._without = 0  # messages that have given the place back

    def ran(self, messages: int, size: int = 0) -> None:
        """The batch, of so many messages with `size` bytes, waits for nothing but its commit."""
        if not self._without and size <= MOST_BYTES and self._places.left(messages):
            self._without = messages

    def ended(self) -> None:
        """The batch is committed or given up; to be said once."""
        self._places.returned(self._without)
