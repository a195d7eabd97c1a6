"""Puts a message for each change of a table's rows, in the order in which they happened.

The message group is the row's key: the FIFO queue hands over the changes of one row one after the other. The bookmark
moves only after the messages are durable; those of a crash in between are put again under the same ids, and dropped. A
first start begins with the oldest change that is kept, or behind the latest.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from millrace.clock import Clock
from millrace.source import EVENT_ATTRIBUTE, Emit, RowChange, View
from millrace.store import Bookmarks, Change, Table
from millrace.types import JSON, Message, Put

_AT_ONCE = 500  # changes in one put
_WAIT_S = 5.0
_PAUSE_S = 0.02  # after an empty answer, so that a busy table gives many changes at once
_MARK = "sequence"


class TableSource:
    """One `table:` event; where it was is kept per queue and table, so it survives a renaming of the source.

    `sort_field` is the second field of the table's key, `view` what a handler sees of a row.
    """

    def __init__(
        self,
        name: str,
        queue: str,
        table: Table,
        bookmarks: Bookmarks,
        clock: Clock,
        *,
        sort_field: str = "",
        view: View = "new_and_old",
        start: Literal["oldest", "latest"] = "oldest",
    ) -> None:
        self.name = name
        self._queue = queue
        self._table = table
        self._bookmarks = bookmarks
        self._clock = clock
        self._sort_field = sort_field
        self._view: View = view
        self._start = start
        self._source = f"table {queue} {table.name}"

    async def run(self, emit: Emit) -> None:
        """Follow the changes until cancelled. Raises StorageError, and BrokerError from `emit`."""
        after = await self._place()
        while True:
            changes = await self._table.changes(after=after, limit=_AT_ONCE, wait_s=_WAIT_S)
            if not changes:
                await self._clock.sleep(_PAUSE_S)
                continue
            await emit([self._put(change) for change in changes])
            after = changes[-1].sequence
            await self._save(after)

    async def _place(self) -> int:
        """Where it was; at a first start with the latest, behind all that is there, even where that is nothing."""
        marks = await self._bookmarks.load(self._source)
        after = int(marks.get(_MARK, b"0"))
        if marks or self._start == "oldest":
            return after
        while changes := await self._table.changes(after=after, limit=_AT_ONCE):
            after = changes[-1].sequence
        await self._save(after)
        return after

    async def _save(self, after: int) -> None:
        await self._bookmarks.save(self._source, {_MARK: b"%d" % after})

    def _put(self, change: Change) -> Put:
        body = RowChange(
            change.kind,
            change.table,
            self._table.key,
            change.key,
            change.sequence,
            None if change.old is None else msgspec.Raw(change.old),
            None if change.new is None else msgspec.Raw(change.new),
            change.at,
            self._sort_field,
            self._view,
        )
        # The time in the id: a table that was dropped and made anew counts from 1 again.
        id = f"{int(change.at * 1000):012x}.{change.table}.{self._queue}.{change.sequence}"
        attributes = {"content-type": JSON, EVENT_ATTRIBUTE: "table"}
        return Put(self._queue, Message(id, msgspec.json.encode(body), attributes, change.at, change.key))
