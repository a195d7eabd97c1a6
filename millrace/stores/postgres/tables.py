"""Tables that people can query: `SELECT key, row ->> 'label' FROM millrace.table_predictions`.

A table opened with `stream` has a trigger that keeps its changes (schema.py), also those made with SQL by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from psycopg import sql

from millrace.errors import ConfigError, StorageError
from millrace.store import Change, Table
from millrace.stores.postgres import schema
from millrace.stores.postgres.link import Connection, Link
from millrace.stores.postgres.listener import LOOK_EVERY_S, Listener
from millrace.stores.postgres.texts import restored, stored
from millrace.types import Row

_MAX_NAME = 128  # characters
_SWEPT_AT_ONCE = 5000
_PLAIN = re.compile(r"[a-z0-9_]{1,40}")

_REGISTERED = sql.SQL("SELECT key, relation, stream FROM tables WHERE name = %(name)s")
_REGISTER = sql.SQL("""
INSERT INTO tables (name, key, relation, stream) VALUES (%(name)s, %(key)s, %(relation)s, %(stream)s)
ON CONFLICT (name) DO UPDATE SET stream = tables.stream OR excluded.stream
""")
_THERE = sql.SQL(
    "SELECT to_regclass(%(rows)s) IS NOT NULL AND (NOT %(stream)s OR to_regclass(%(changes)s) IS NOT NULL)"
)
_SWEEP = """
DELETE FROM {changes} WHERE sequence IN (
  SELECT sequence FROM {changes} WHERE at < now() - interval '24 hours' ORDER BY sequence LIMIT {most}
)
"""
_GET = "SELECT row::text FROM {rows} WHERE key = %(key)s"
_SCAN = "SELECT key, row::text FROM {rows} WHERE key >= %(after)s ORDER BY key LIMIT %(limit)s"
_SCAN_BEHIND = _SCAN.replace(">=", ">")
_DELETE = "DELETE FROM {rows} WHERE key = ANY(%(keys)s::text[])"
_CHANGES = """
SELECT sequence, key, kind, old, new, extract(epoch FROM at)::float8 FROM {changes}
WHERE sequence > %(after)s ORDER BY sequence LIMIT %(limit)s
"""
# In the order of their putting where they become changes; else in that of their keys, in which no two writers of the
# same rows wait for each other. What is there already is not written.
_UPSERT = """
INSERT INTO {rows} AS t (key, row) SELECT key, row::json FROM {asked} ORDER BY {order}
ON CONFLICT (key) DO UPDATE SET row = excluded.row WHERE t.row::text <> excluded.row::text
"""
_ASKED = """(
  SELECT DISTINCT ON (key) key, row, place
  FROM unnest(%({keys})s::text[], %({values})s::text[]{ids}) WITH ORDINALITY AS r (key, row{id}, place) {only}
  ORDER BY key, place DESC
) AS asked"""


class PostgresTable(Table):
    """Rows of one table; a row is kept byte for byte."""

    def __init__(self, link: Link, listener: Listener, name: str, key: str, relation: str, *, stream: bool) -> None:
        self.name = name
        self.key = key
        self.topic = f"table:{name}"
        self._link = link
        self._listener = listener
        self._stream = stream
        self._names = {
            "rows": f"{_quoted(link.address.schema)}.{_quoted('table_' + relation)}",
            "changes": f"{_quoted(link.address.schema)}.{_quoted('changes_' + relation)}",
            "log": f"{_quoted(link.address.schema)}.{_quoted('log_' + relation)}",
            "lock": str(schema.LOCK),
            "most": str(_SWEPT_AT_ONCE),
            "order": "place" if stream else "key",
        }
        asked = _ASKED.format(keys="keys", values="values", ids="", id="", only="")
        self._put = self._named(_UPSERT, asked=asked)

    async def put(self, rows: Sequence[Row]) -> None:
        waves = list(_waves(rows)) if self._stream else [rows]
        steps = [(self._put, {"keys": [stored(row.key) for row in wave], "values": _values(wave)}) for wave in waves]
        if len(steps) == 1:
            await self._link.rows(*steps[0])
        elif steps:
            await self._link.together(*steps)
        self.tell()

    async def get(self, key: str) -> bytes | None:
        found = await self._link.rows(self._named(_GET), {"key": stored(key)})
        return found[0][0].encode() if found else None

    async def delete(self, keys: Sequence[str]) -> int:
        count = await self._link.count(self._named(_DELETE), {"keys": [stored(key) for key in keys]})
        self.tell()
        return count

    async def scan(self, *, after: str | None = None, limit: int = 1000) -> list[Row]:
        statement = self._named(_SCAN if after is None else _SCAN_BEHIND)
        found = await self._link.rows(statement, {"after": stored(after or ""), "limit": limit})
        return [Row(self.name, restored(key), value.encode()) for key, value in found]

    async def changes(self, *, after: int, limit: int = 1000, wait_s: float = 0.0) -> list[Change]:
        if not self._stream:
            return []
        with self._listener.listen(self.topic) as signal:
            found = await self._read_changes(after, limit)
            if not found and wait_s > 0:
                await signal.wait(min(wait_s, LOOK_EVERY_S))
                found = await self._read_changes(after, limit)
        return found

    def tell(self) -> None:
        """Wake who waits for changes, after they were committed."""
        if self._stream:
            self._listener.tell(self.topic)

    def upsert(self, number: int) -> str:
        """What writes rows as a part of a commit's statement: those whose ids are in `won`.

        Its parameters are keys_N, values_N and ids_N, for the table that is the Nth there.
        """
        asked = _ASKED.format(
            keys=f"keys_{number}",
            values=f"values_{number}",
            ids=f", %(ids_{number})s::text[]",
            id=", id",
            only="JOIN won USING (id)",
        )
        return self._named(_UPSERT, asked=asked).decode()

    async def create(self, connection: Connection) -> None:
        """Make the relations; none of it is undone if it was there."""
        await connection.execute(self._named(schema.ROWS))
        if self._stream:
            await connection.execute(self._named(schema.STREAM))

    async def is_there(self) -> bool:
        """Whether `create` has nothing to do."""
        names = {"rows": self._names["rows"], "changes": self._names["changes"], "stream": self._stream}
        return bool((await self._link.rows(_THERE, names))[0][0])

    async def sweep(self) -> None:
        """Delete changes that are older than a day."""
        while self._stream and await self._link.count(self._named(_SWEEP)) >= _SWEPT_AT_ONCE:
            pass

    async def _read_changes(self, after: int, limit: int) -> list[Change]:
        found = await self._link.rows(self._named(_CHANGES), {"after": after, "limit": limit})
        return [
            Change(sequence, self.name, restored(key), kind, old and old.encode(), new and new.encode(), at)
            for sequence, key, kind, old, new, at in found
        ]

    def _named(self, statement: str, **further: str) -> bytes:
        return statement.format(**self._names, **further).encode()


class PostgresTables:
    """Tables by name."""

    def __init__(self, link: Link, listener: Listener) -> None:
        self._link = link
        self._listener = listener
        self._tables: dict[str, PostgresTable] = {}

    async def open(self, name: str, key: str, stream: bool = False) -> PostgresTable:
        """The table of that name, made if need be, with `key` as its key field and, with `stream`, its changes kept.

        Raises ConfigError for a name that cannot be, or a key field other than the one that the rows were stored by.
        """
        if not 0 < len(name) <= _MAX_NAME or "\0" in name:
            raise ConfigError(f"table name {name[:40]!r}: expected 1-{_MAX_NAME} characters, no NUL", "Rename it.")
        found = await self._link.rows(_REGISTERED, {"name": name})
        if found and found[0][0] != key:
            raise ConfigError(
                f"table {name!r}: its rows are stored by {found[0][0]!r}, not by {key!r}",
                f"Set `key: {found[0][0]}`, or choose another name for the new table.",
            )
        relation = found[0][1] if found else _relation(name)
        table = PostgresTable(self._link, self._listener, name, key, relation, stream=stream)
        if not (found and found[0][2] >= stream and await table.is_there()):
            await self._create(table, {"name": name, "key": key, "relation": relation, "stream": stream})
        self._tables[name] = table
        return table

    def named(self, name: str) -> PostgresTable:
        """An open table. Raises StorageError."""
        if name not in self._tables:
            raise StorageError(f"table {name!r} is not open", "Declare it under `tables` in the project file.")
        return self._tables[name]

    async def sweep(self) -> None:
        """Delete old changes of all tables."""
        for table in list(self._tables.values()):
            await table.sweep()

    async def _create(self, table: PostgresTable, registration: dict[str, object]) -> None:
        async def work(connection: Connection) -> None:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (schema.LOCK, table.name))
                await table.create(connection)
                await connection.execute(_REGISTER, registration)

        await self._link.run(work)


def _waves(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows in slices in which no key is twice: each step of a key is a change."""
    wave: dict[str, Row] = {}
    for row in rows:
        if row.key in wave:
            yield list(wave.values())
            wave = {}
        wave[row.key] = row
    if wave:
        yield list(wave.values())


def _values(rows: Sequence[Row]) -> list[str]:
    return [row.value.decode() for row in rows]


def _relation(name: str) -> str:
    """A name for SQL: the table's own where that needs no quotes, else what is left of it and a hash."""
    if _PLAIN.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:30]
    return f"{plain}_{blake2b(name.encode(), digest_size=4).hexdigest()}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
