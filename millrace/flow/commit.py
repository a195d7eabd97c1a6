"""Carries out one Commit: in one transaction where the broker has one, else writes, then puts, then acks.

Objects, webhooks and rows of tables that join no transaction come first: they are keyed, so doing them twice is doing
them once, and the deletion that says "done" must be the last thing to become durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import msgspec

from millrace.broker import Broker
from millrace.errors import MillraceError
from millrace.flow.apart import ApartRows, Refused
from millrace.flow.outcomes import is_left_to_its_lease
from millrace.store import Bucket, Results, Table
from millrace.types import Commit, Failure, Lease, Outcome, Post

_WRITES_AT_ONCE = 16

Poster = Callable[[Post], Awaitable[None]]


class Lines(msgspec.Struct):
    """What must not overtake what: `of` names the line of a message, None where it may.

    `held` learns of the lines in which a commit left a message to be tried again, or lost one.
    """

    of: Callable[[Lease], str | None] = lambda _: None
    held: set[str] = msgspec.field(default_factory=set)

    def holds(self, lease: Lease) -> bool:
        """Whether a message waits for one before it."""
        return bool(self.held) and self.of(lease) in self.held


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

    async def commit(self, commit: Commit, refused: Refused, lines: Lines | None = None) -> list[Lease]:
        """Make the commit durable; return the leases that were lost, whose outcomes had no effect.

        An outcome whose object or webhook could not be written, or whose row is too large, becomes what `refused` makes
        of it; where that is another try, what follows it in its line is given back. What is left to its lease is not
        settled. Raises StorageError or BrokerError when the rest could not be made durable; then nothing was deleted
        and it may be called again.
        """
        lines = lines or Lines()
        outcomes = (apart := await self._apart.write(commit, refused)).outcomes
        held: set[str] = set()
        if apart is not commit or any(outcome.objects or outcome.posts for outcome in outcomes):
            outcomes = await self._written(outcomes, refused, lines.of, held)
        commit = Commit(commit.queue, [outcome for outcome in outcomes if not is_left_to_its_lease(outcome)])
        if not self._broker.capabilities.transactional:
            await self._write_first(commit)
        lost = await self._broker.settle(commit) if commit.outcomes else []
        # Not before: a commit that is called again is the same. What it finds lost then may be what it gave back by a
        # settle whose answer did not come, so nothing may overtake it.
        lines.held |= held.union(line for lease in lost if (line := lines.of(lease)) is not None)
        return lost

    async def _written(
        self, outcomes: Sequence[Outcome], refused: Refused, line_of: Callable[[Lease], str | None], held: set[str]
    ) -> list[Outcome]:
        """The outcomes with their objects and posts done: line beside line, and within one in order."""
        places: dict[Hashable, list[int]] = {}
        for place, outcome in enumerate(outcomes):
            line = line_of(outcome.lease)
            places.setdefault(place if line is None else line, []).append(place)
        written = list(outcomes)

        async def write(line: Hashable) -> None:
            waits = False
            for place in places[line]:
                outcome = written[place]
                written[place] = Outcome(outcome.lease, "release") if waits else await self._one(outcome, refused)
                waits = waits or written[place].verdict == "retry"
            if waits and isinstance(line, str):
                held.add(line)

        await asyncio.gather(*map(write, places))
        return written

    async def _one(self, outcome: Outcome, refused: Refused) -> Outcome:
        """The outcome with its objects and posts done, or what becomes of it when one could not be."""
        if not outcome.objects and not outcome.posts:
            return outcome
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
