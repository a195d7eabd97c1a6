"""Saves what can be read of a damaged file: `python -m millrace.database.salvage DAMAGED NEW`.

Every table is read from its beginning and, where a page cannot be read, from its end as well. What lies between two
damaged places of one table stays behind.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def salvage(damaged: Path, new: Path) -> dict[str, int]:
    """Copy all rows that can be read into a new file; the number of rows by table.

    Raises FileExistsError when `new` is there, sqlite3.Error when not even the list of tables can be read.
    """
    if new.exists():
        raise FileExistsError(f"{new} is there already")
    # Opened for writing: only so does SQLite read the log beside the file.
    source = sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=rw", uri=True)
    with contextlib.closing(source):
        found = source.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return _save(source, new, [each for each in found if not each[1].startswith("sqlite_")])


def _save(source: sqlite3.Connection, new: Path, found: list[tuple[str, str, str]]) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(new)) as target:
        # Tables, then indexes, then rows: where a damaged page shows a row twice, the second is left out.
        for _, _, sql in sorted(found, reverse=True):
            target.execute(sql)
        tables = sorted(name for kind, name, _ in found if kind == "table")
        saved = {name: _copy(source, target, name) for name in tables}
        with contextlib.suppress(sqlite3.DatabaseError):  # there is none, or it cannot be read
            _copy_sequences(source, target)
        (version,) = source.execute("PRAGMA user_version").fetchone()
        target.execute(f"PRAGMA user_version = {version:d}")  # what is to be upgraded still is
        target.commit()
        return saved


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    names = ", ".join(f'"{column[1]}"' for column in target.execute(f'PRAGMA table_info("{table}")'))
    places = ", ".join("?" * (names.count(",") + 1))
    damaged: list[sqlite3.Error] = []
    for direction in ("ASC", "DESC"):
        # Never by an index: it may be what is damaged.
        order = f"NOT INDEXED ORDER BY {_key(target, table, direction)}"
        rows = _rows(source, f'SELECT {names} FROM "{table}" {order}', damaged)  # noqa: S608 - names from the file
        target.executemany(f'INSERT OR IGNORE INTO "{table}" ({names}) VALUES ({places})', rows)  # noqa: S608
        if not damaged:
            break
    return int(target.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])  # noqa: S608


def _rows(source: sqlite3.Connection, query: str, damaged: list[sqlite3.Error]) -> Iterator[tuple[Any, ...]]:
    """Rows to the end, or to the first that cannot be read: then its error is added to `damaged`."""
    try:
        yield from source.execute(query)
    except sqlite3.DatabaseError as error:
        damaged.append(error)


def _key(target: sqlite3.Connection, table: str, direction: str) -> str:
    """The order in which a table's rows lie in the file."""
    (without_rowid,) = target.execute("SELECT wr FROM pragma_table_list WHERE name = ?", (table,)).fetchone()
    if not without_rowid:
        return f"rowid {direction}"
    columns = target.execute("SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (table,))
    return ", ".join(f'"{name}" {direction}' for (name,) in columns)


def _copy_sequences(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """The highest numbers ever given: a change's number must not come back, though the change was trimmed away."""
    for name, sequence in source.execute("SELECT name, seq FROM sqlite_sequence"):
        target.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
        target.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (name, sequence))


def main(arguments: list[str]) -> int:
    """Salvage from the command line; says how many rows of each table were saved."""
    if len(arguments) != 2:
        print("usage: python -m millrace.database.salvage DAMAGED NEW", file=sys.stderr)  # noqa: T201
        return 2
    try:
        saved = salvage(*map(Path, arguments))
    except (OSError, sqlite3.Error) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    for table, rows in saved.items():
        print(f"{rows:10,} rows of {table}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
