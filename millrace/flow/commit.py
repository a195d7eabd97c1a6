"""Carries out one Commit: in one transaction where the broker has one, else writes, then puts, then acks.

Objects, webhooks and rows of tables that join no transaction come first: they are keyed, so doing them twice is doing
them once, and the deletion that says "done" must be the last thing to become durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import groupby
from operator import attrgetter

import msgspec

from millrace.broker import Broker
from millrace.errors import MillraceError
from millrace.flow.apart import ApartRows, Refused
from millrace.store import Bucket, Results, Table
from millrace.types import Commit, Failure, Lease, Outcome, Post

_WRITES_AT_ONCE = 16

Poster = Callable[[Post], Awaitable[None]]


class Committer:
    """Knows the sinks behind their names; `poster` sends a result to a webhook."""

    def __init__(
        self,
        broker: Broker,
        tables: Mapping[str, Table],
        buckets: Mapping[str, Bucket],
        results: Results,
        poster: Poster,
    ) -> None:
        self._broker = broker
        self._tables = tables
        self._buckets = buckets
        self._results = results
        self._poster = poster
        self._apart = ApartRows(tables)
        self._gate = asyncio.Semaphore(_WRITES_AT_ONCE)

    async def commit(self, commit: Commit, refused: Refused) -> list[Lease]:
        """Make the commit durable; return the leases that were lost, whose outcomes had no effect.

        An outcome whose object or webhook could not be written, or whose row is too large, becomes what `refused` makes
        of it. Raises StorageError or BrokerError when the rest could not be made durable; then nothing was deleted and
        it may be called again.
        """
        commit = await self._apart.write(commit, refused)
        if any(outcome.objects or outcome.posts for outcome in commit.outcomes):
            written = await asyncio.gather(*(self._written(outcome, refused) for outcome in commit.outcomes))
            commit = Commit(commit.queue, written)
        if not self._broker.capabilities.transactional:
            await self._write_first(commit)
        return await self._broker.settle(commit)

    async def _written(self, outcome: Outcome, refused: Refused) -> Outcome:
        """The outcome with its objects and posts done, or what becomes of it when one could not be."""
        try:
            async with self._gate:
                for item in outcome.objects:
                    await self._buckets[item.bucket].put(item.key, item.body)
                for post in outcome.posts:
                    await self._poster(post)
        except MillraceError as error:
            return refused(outcome, Failure(type(error).__name__, str(error)))
        return msgspec.structs.replace(outcome, objects=(), posts=())

    async def _write_first(self, commit: Commit) -> None:
        """Keyed writes, then confirmed puts: what a crash leaves is done again under the same keys and ids."""
        by_table = attrgetter("table")
        for table, rows in groupby(sorted(commit.rows, key=by_table), by_table):
            await self._tables[table].put(list(rows))
        if puts := list(commit.puts):
            await self._broker.put(puts)
        if records := list(commit.records):
            await self._results.put(records)
