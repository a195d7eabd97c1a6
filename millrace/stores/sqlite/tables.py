"""Tables as SQL tables that a person can read: `SELECT key, value ->> '$.label' FROM table_predictions`.

A commit's rows arrive through `SqliteTables.apply` on the broker's connection, inside its transaction. A table opened
with `stream` reads the old rows first and appends what changed to changes_<name>, in the same transaction.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from millrace.database import Database
from millrace.errors import ConfigError, StorageError
from millrace.store import Change, Table, change_kind
from millrace.stores.sqlite.chunks import insert
from millrace.types import Commit, Row

KEEP_S = 86400.0  # how long changes are kept
_TRIM_AT_ONCE = 1000  # so that no commit pays for a day of downtime
_MAX_NAME = 128  # characters
_TOPIC = "results"  # what every settle wakes, and with it come the rows
_UPSERT = "ON CONFLICT (key) DO UPDATE SET value = excluded.value"

_rows_decoder = msgspec.json.Decoder(dict[str, str])


def _flat(rows: Sequence[Row]) -> list[str]:
    return [part for row in rows for part in (row.key, row.value.decode())]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class SqliteTable(Table):
    """Rows of one table; values are kept as JSON text."""

    def __init__(self, database: Database, name: str, key: str, stream: bool) -> None:
        self.name = name
        self.key = key
        self._database = database
        self._stream = stream
        self._rows = _quoted(f"table_{name}")
        self._changes = _quoted(f"changes_{name}")
        self._insert = f"INSERT INTO {self._rows} (key, value)"

    async def put(self, rows: Sequence[Row]) -> None:
        values = _flat(rows)
        await self._database.write(lambda connection: self.write(connection, values), wakes=[_TOPIC])

    async def get(self, key: str) -> bytes | None:
        query = f"SELECT value FROM {self._rows} WHERE key = ?"  # noqa: S608 - the name is quoted
        found = await self._database.read(lambda connection: connection.execute(query, (key,)).fetchone())
        return found[0].encode() if found else None

    async def delete(self, keys: Sequence[str]) -> int:
        wanted = list(dict.fromkeys(keys))
        return await self._database.write(lambda connection: self._delete(connection, wanted), wakes=[_TOPIC])

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> list[Row]:
        behind = "key > ?" if after is not None else "key >= ?"
        query = f"SELECT key, value FROM {self._rows} WHERE {behind} ORDER BY key LIMIT ?"  # noqa: S608
        found = await self._database.read(lambda connection: connection.execute(query, (after or "", limit)).fetchall())
        return [Row(self.name, key, value.encode()) for key, value in found]

    async def changes(self, *, after: int, limit: int = 1000, wait_s: float = 0.0) -> list[Change]:
        if not self._stream:
            return []
        with self._database.listen(_TOPIC) as signal:
            found = await self._read_changes(after, limit)
            if not found and wait_s > 0:
                await signal.wait(wait_s)
                found = await self._read_changes(after, limit)
        return found

    async def _read_changes(self, after: int, limit: int) -> list[Change]:
        query = f"""
            SELECT sequence, key, kind, CAST(old AS BLOB), CAST(new AS BLOB), at
            FROM {self._changes} WHERE sequence > ? ORDER BY sequence LIMIT ?"""  # noqa: S608
        found = await self._database.read(lambda connection: connection.execute(query, (after, limit)).fetchall())
        return [Change(sequence, self.name, *rest) for sequence, *rest in found]

    def create(self, connection: sqlite3.Connection) -> None:
        """Make the SQL tables; none of it is undone if it was there."""
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self._rows} (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)"
        )
        if self._stream:
            # AUTOINCREMENT: a sequence number is never given twice, even after the changes were trimmed away.
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self._changes} (sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
                " key TEXT NOT NULL, kind TEXT NOT NULL, old TEXT, new TEXT, at REAL NOT NULL)"
            )

    def exists(self, connection: sqlite3.Connection) -> bool:
        """Whether `create` has nothing to do."""
        wanted = {f"table_{self.name}", f"changes_{self.name}"} if self._stream else {f"table_{self.name}"}
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN (SELECT value FROM json_each(?))"
        found: int = connection.execute(query, (msgspec.json.encode(sorted(wanted)).decode(),)).fetchone()[0]
        return found == len(wanted)

    def write(self, connection: sqlite3.Connection, values: Sequence[str]) -> None:
        """Insert or replace rows, given flat as key, value, key, value; the last of a key wins."""
        if self._stream:
            self._log(connection, list(zip(values[::2], values[1::2], strict=True)))
        insert(connection, self._insert, 2, values, _UPSERT)

    def _delete(self, connection: sqlite3.Connection, keys: Sequence[str]) -> int:
        found = self._old(connection, keys)
        if self._stream:
            self._log(connection, [(key, None) for key in keys], found)
        query = f"DELETE FROM {self._rows} WHERE key IN (SELECT value FROM json_each(?))"  # noqa: S608
        connection.execute(query, (msgspec.json.encode(keys).decode(),))
        return len(found)

    def _old(self, connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, str]:
        """Those rows that are there; as one JSON object, since one row of an answer is one step."""
        query = f"""
            SELECT json_group_object(key, value) FROM {self._rows}
            WHERE key IN (SELECT value FROM json_each(?))"""  # noqa: S608
        (text,) = connection.execute(query, (msgspec.json.encode(keys).decode(),)).fetchone()
        return _rows_decoder.decode(text)

    def _log(
        self,
        connection: sqlite3.Connection,
        steps: Sequence[tuple[str, str | None]],
        found: Mapping[str, str] | None = None,
    ) -> None:
        """Append the changes that these steps make, in their order."""
        if found is None:
            found = self._old(connection, [key for key, _ in steps])
        current: dict[str, str | None] = dict(found)
        at = self._database.now()
        values: list[object] = []
        for key, new in steps:
            old = current.get(key)
            if old != new:
                values += (key, change_kind(old, new), old, new, at)
                current[key] = new
        insert(connection, f"INSERT INTO {self._changes} (key, kind, old, new, at)", 5, values)
        self._trim(connection, at - KEEP_S)

    def _trim(self, connection: sqlite3.Connection, before: float) -> None:
        """Delete some of what is too old; where the oldest is young enough, that is all that is looked at."""
        oldest = f"FROM {self._changes} ORDER BY sequence LIMIT 1"
        connection.execute(
            f"""DELETE FROM {self._changes} WHERE (SELECT at {oldest}) < ?1 AND at < ?1
                AND sequence < (SELECT sequence {oldest}) + {_TRIM_AT_ONCE}""",  # noqa: S608
            (before,),
        )


class SqliteTables:
    """Tables by name, and the broker's participant that writes a commit's rows into them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables: dict[str, SqliteTable] = {}

    async def open(self, name: str, key: str, stream: bool = False) -> SqliteTable:
        """The table of that name, made if need be, with `key` as its key field and, with `stream`, its changes kept.

        Raises ConfigError for a name that cannot be, or a key field other than the one that the rows were stored by.
        """
        if not 0 < len(name) <= _MAX_NAME or "\0" in name:
            raise ConfigError(f"table name {name[:40]!r}: expected 1-{_MAX_NAME} characters, no NUL", "Rename it.")
        table = SqliteTable(self._database, name, key, stream)
        if not await self._database.read(lambda connection: self._known(connection, table)):
            await self._database.write(lambda connection: self._create(connection, table))
        self._tables[name] = table
        return table

    def apply(self, connection: sqlite3.Connection, commit: Commit) -> None:
        """Write the commit's rows; raises StorageError for a table that is not open."""
        by_table: defaultdict[str, list[str]] = defaultdict(list)
        for outcome in commit.outcomes:
            for row in outcome.rows:
                by_table[row.table] += (row.key, row.value.decode())
        for name, values in by_table.items():
            if name not in self._tables:
                raise StorageError(f"table {name!r} is not open", "Declare it under `tables` in the project file.")
            self._tables[name].write(connection, values)

    def _known(self, connection: sqlite3.Connection, table: SqliteTable) -> bool:
        """Whether the table is registered as it is wanted and there."""
        found = connection.execute("SELECT name, key FROM tables WHERE name = ?", (table.name,)).fetchone()
        if found is None:
            return False
        name, key = found
        if name != table.name:
            raise ConfigError(f"tables {name!r} and {table.name!r} differ only in case", "Rename one of them.")
        if key != table.key:
            raise ConfigError(
                f"table {name!r}: its rows are stored by {key!r}, not by {table.key!r}",
                f"Set `key: {key}`, or choose another name for the new table.",
            )
        return table.exists(connection)

    def _create(self, connection: sqlite3.Connection, table: SqliteTable) -> None:
        connection.execute("INSERT OR IGNORE INTO tables (name, key) VALUES (?, ?)", (table.name, table.key))
        table.create(connection)
