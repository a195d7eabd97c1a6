"""Bookmarks in the embedded database."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from millrace.database import Database
from millrace.store import Bookmarks
from millrace.stores.sqlite.chunks import insert

_LOAD = "SELECT mark, value FROM bookmarks WHERE source = ?"
_FORGET = "DELETE FROM bookmarks WHERE source = ? AND mark IN (SELECT value FROM json_each(?))"
_SET = "INSERT OR REPLACE INTO bookmarks (source, mark, value)"


class SqliteBookmarks(Bookmarks):
    """One row per mark, so that a snapshot of many objects is changed and not rewritten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, source: str) -> dict[str, bytes]:
        return dict(await self._database.read(lambda connection: connection.execute(_LOAD, (source,)).fetchall()))

    async def save(self, source: str, marks: Mapping[str, bytes | None]) -> None:
        marks = dict(marks)
        await self._database.write(lambda connection: _save(connection, source, marks))


def _save(connection: sqlite3.Connection, source: str, marks: Mapping[str, bytes | None]) -> None:
    gone = [mark for mark, value in marks.items() if value is None]
    if gone:
        connection.execute(_FORGET, (source, msgspec.json.encode(gone).decode()))
    kept = [part for mark, value in marks.items() if value is not None for part in (source, mark, value)]
    insert(connection, _SET, 3, kept)
