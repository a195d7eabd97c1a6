"""Rows of tables that join no commit, DynamoDB's: they are written before it, under keys that a repeat has too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import msgspec

from millrace.errors import TooLarge
from millrace.store import Table
from millrace.types import Commit, Failure, Outcome, Row

_WRITES_AT_ONCE = 16
Refused = Callable[[Outcome, Failure], Outcome]


class ApartRows:
    """Writes each outcome's rows at once, and those of one key in the order of their outcomes."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._gate = asyncio.Semaphore(_WRITES_AT_ONCE)

    async def write(self, commit: Commit, refused: Refused) -> Commit:
        """The commit without these rows, which are durable now. Raises StorageError: it may be called again.

        An outcome with a row that is too large becomes what `refused` makes of it.
        """
        if all(self._joins(row) for row in commit.rows):
            return commit
        done: list[Outcome] = []
        for wave in self._waves(commit.outcomes):
            done += await asyncio.gather(*(self._written(outcome, refused) for outcome in wave))
        return Commit(commit.queue, done)

    def _joins(self, row: Row) -> bool:
        table = self._tables.get(row.table)
        return table is None or table.joins

    def _waves(self, outcomes: Sequence[Outcome]) -> Iterator[list[Outcome]]:
        """Slices of the outcomes in which no two write the same row."""
        wave: list[Outcome] = []
        held: set[tuple[str, str]] = set()
        for outcome in outcomes:
            keys = {(row.table, row.key) for row in outcome.rows if not self._joins(row)}
            if held & keys:
                yield wave
                wave, held = [], set()
            wave.append(outcome)
            held |= keys
        yield wave

    async def _written(self, outcome: Outcome, refused: Refused) -> Outcome:
        rows = sorted((row for row in outcome.rows if not self._joins(row)), key=attrgetter("table"))
        if not rows:
            return outcome
        try:
            async with self._gate:
                for table, mine in groupby(rows, attrgetter("table")):
                    await self._tables[table].put(list(mine))
        except TooLarge as error:
            return refused(outcome, Failure(type(error).__name__, str(error)))
        return msgspec.structs.replace(outcome, rows=tuple(row for row in outcome.rows if self._joins(row)))
