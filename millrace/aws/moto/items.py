"""The mirror of DynamoDB: items of the project's tables, and of those made at run time, are rows of tables of ours.

Tables go by labels: the name in the project's region, region/name in another.

moto answers; our table keeps. What others write into the table (a function's `to: table:`) is read from its change
stream before a call that names the table.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from millrace.aws.moto.journal import Attributes, Journal, recording
from millrace.aws.rows import row_key, to_item, to_row
from millrace.store import Change, Table
from millrace.types import Row

_log = logging.getLogger("millrace.aws")
_PAGE = 1000

Run = Callable[..., Awaitable[Any]]  # calls a function in moto's thread


class TableWrite(msgspec.Struct, frozen=True):
    """What one call did to one table: rows to write, keys to delete; `dropped` deletes everything first."""

    table: str
    rows: list[Row]
    keys: list[str]
    dropped: bool = False


class ItemMirror:
    """Tables in moto and in ours, at first the project's. `run` calls a function in moto's thread."""

    def __init__(self, tables: Mapping[str, Table], account: str, region: str, run: Run) -> None:
        self._tables = dict(tables)
        self._account = account
        self._region = region
        self._run = run
        self._after: dict[str, int] = {}

    async def load(self) -> None:
        """Put the rows into moto's tables, a page at a time."""
        for name in list(self._tables):
            await self.fill(name)

    async def fill(self, name: str) -> None:
        """Put one table's rows into moto's."""
        # The stream's end first: what changes while the rows are read is read again, not missed.
        await self._news(name)
        after: str | None = None
        while rows := await self._tables[name].scan(after=after, limit=_PAGE):
            await self._run(self._put_back, name, {row.key: row.value for row in rows})
            after = rows[-1].key

    def add(self, name: str, table: Table) -> None:
        """Mirror one more table."""
        self._tables[name] = table

    def remove(self, name: str) -> None:
        """Mirror a table no more."""
        self._tables.pop(name, None)
        self._after.pop(name, None)

    def label(self, region: str, name: str) -> str:
        """By what a table goes here."""
        return name if region == self._region else f"{region}/{name}"

    def place(self, label: str) -> tuple[str, str]:
        """The region and name of a table."""
        region, _, name = label.rpartition("/")
        return region or self._region, name

    def table(self, label: str) -> Any:
        """moto's table, None where it has none; in its thread."""
        from moto.dynamodb.models import dynamodb_backends

        region, name = self.place(label)
        return dynamodb_backends[self._account][region].tables.get(name)

    async def refresh(self, body: bytes) -> None:
        """Take in what others wrote into the tables that a request may name."""
        for name in list(self._tables):
            if name.encode() in body:
                changes = await self._news(name)
                if changes:
                    await self._run(self._follow, name, changes)

    def note(self, journal: Journal, table: Any, attributes: Mapping[str, Any]) -> None:
        """Remember what an item is before it changes, unless this call touched it before."""
        if not self._holds(table):
            return
        try:
            key = {name: dict(attributes[name]) for name in table.table_key_attrs}
            place = (self.label(table.region_name, table.name), row_key(list(key.values())))
            if place not in journal.items:
                journal.items[place] = (key, _attributes(table, key))
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            _log.debug("no key of table %r, which moto will refuse: %r", table.name, error)

    def note_all(self, journal: Journal, label: str, table: Any) -> None:
        """A table that began with items, as a restored one does, and is not mirrored yet."""
        for item in table.all_items():
            attributes = item.to_json()["Attributes"]
            key = {name: dict(attributes[name]) for name in table.table_key_attrs}
            journal.items[(label, row_key(list(key.values())))] = (key, None)

    def note_drop(self, journal: Journal, region: str, table: str) -> None:
        """A table was deleted: so are its rows, as on AWS."""
        label = self.label(region, table)
        if label in self._tables:
            journal.dropped.append(label)
            for place in [place for place in journal.items if place[0] == label]:
                del journal.items[place]

    def collect(self, journal: Journal) -> list[TableWrite]:
        """The writes of a call, from what the items are now; in moto's thread."""
        writes = {name: TableWrite(name, [], [], dropped=True) for name in journal.dropped}
        for (name, key), (attributes, _) in journal.items.items():
            table = self.table(name)
            item = None if table is None else _attributes(table, attributes)
            write = writes.setdefault(name, TableWrite(name, [], []))
            if item is None:
                write.keys.append(key)
            else:
                write.rows.append(Row(name, key, to_row(item)))
        return list(writes.values())

    async def write(self, writes: Sequence[TableWrite]) -> None:
        """Make the writes durable, in order. Raises StorageError."""
        for write in writes:
            table = self._tables[write.table]
            if write.dropped:
                await _empty(table)
            if write.rows:
                await table.put(write.rows)
            if write.keys:
                await table.delete(write.keys)

    def revert(self, journal: Journal) -> None:
        """Give moto's items back what they were; in moto's thread."""
        with recording(Journal()):
            for (name, _), (key, old) in journal.items.items():
                table = self.table(name)
                if table is not None:
                    _set(table, key, old)

    async def _news(self, name: str) -> dict[str, Change]:
        """The last change of each key since the last look."""
        found: dict[str, Change] = {}
        while changes := await self._tables[name].changes(after=self._after.get(name, 0), limit=_PAGE):
            found.update({change.key: change for change in changes})
            self._after[name] = changes[-1].sequence
        return found

    def _follow(self, name: str, changes: Mapping[str, Change]) -> None:
        self._take_in(name, {key: change.new for key, change in changes.items() if change.new is not None})
        table = self.table(name)
        if table is None:
            return
        with recording(Journal()):
            for change in changes.values():
                if change.new is None and change.old is not None:
                    self._quietly(name, table, change.key, change.old, remove=True)

    def _put_back(self, name: str, rows: Mapping[str, bytes]) -> None:
        """Rows that were there before this start: none of them is news in moto's stream."""
        table = self.table(name)
        if table is not None:
            shard, table.stream_shard = table.stream_shard, None
            self._take_in(name, rows)
            table.stream_shard = shard

    def _take_in(self, name: str, rows: Mapping[str, bytes]) -> None:
        table = self.table(name)
        if table is None:
            return
        with recording(Journal()):
            for key, value in rows.items():
                self._quietly(name, table, key, value, remove=False)

    def _quietly(self, name: str, table: Any, key: str, row: bytes, *, remove: bool) -> None:
        """Set or remove one item; a row that is no item of the table is told and left alone."""
        try:
            item = to_item(row)
            place = {part: item[part] for part in table.table_key_attrs}
            current = _attributes(table, place)
            if remove or current is None or to_row(current) != row:
                _set(table, place, None if remove else item)
        except Exception as error:  # whatever moto raises at a row that it did not write
            _log.warning("row %r of table %r is no item of it: %s", key, name, getattr(error, "message", error))

    def _holds(self, table: Any) -> bool:
        return table.account_id == self._account and self.label(table.region_name, table.name) in self._tables


def _values(table: Any, key: Mapping[str, Any]) -> list[Any]:
    from moto.dynamodb.models.dynamo_type import DynamoType

    return [DynamoType(dict(key[name])) for name in table.table_key_attrs]


def _attributes(table: Any, key: Mapping[str, Any]) -> Attributes | None:
    """A copy of the item as it is now."""
    from moto.dynamodb.models.utilities import dynamo_json_dump

    item = table.get_item(*_values(table, key))
    found: Attributes | None = json.loads(dynamo_json_dump(item.to_json()["Attributes"])) if item else None
    return found


def _set(table: Any, key: Mapping[str, Any], item: Attributes | None) -> None:
    if item is None:
        values = _values(table, key)
        table.delete_item(values[0], values[1] if len(values) > 1 else None)
    else:
        table.put_item(item, overwrite=True)


async def _empty(table: Table) -> None:
    while rows := await table.scan(limit=_PAGE):
        await table.delete([row.key for row in rows])
