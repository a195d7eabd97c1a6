"""Opening the file: its folder, its soundness, its schema, and the anchor of broker time."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from millrace.clock import Clock
from millrace.database import faults, machine, schema
from millrace.database.connect import connect
from millrace.errors import StorageBusy, StorageError

_CHECKED_BYTES = 32_000_000  # a larger file is checked in its small tables: a whole check would take seconds
_RETRY_S = 0.01
_OLDEST_SQLITE = (3, 38, 0)  # JSON built in, UPDATE FROM, quick_check of a table


def open_file(path: Path, clock: Clock, boot: str, patience_s: float = 10.0) -> tuple[sqlite3.Connection, float]:
    """A connection for the writer, and the offset of broker time; waits for other processes that do the same."""
    give_up_at = time.monotonic() + patience_s
    while True:
        try:
            return _open(path, clock, boot)
        except StorageBusy:
            if time.monotonic() >= give_up_at:
                raise
        time.sleep(_RETRY_S)


def _open(path: Path, clock: Clock, boot: str) -> tuple[sqlite3.Connection, float]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise faults.read_only(path, error.strerror or str(error)) from error
    try:
        connection = connect(path)
        try:
            return connection, _prepare(connection, path, clock, boot)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise faults.translate(error, path) from error


def _prepare(connection: sqlite3.Connection, path: Path, clock: Clock, boot: str) -> float:
    _check(connection, path)
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StorageError(f"{path}: SQLite keeps its journal as {mode!r} here, not as 'wal'", "put it on a local disk")
    connection.execute("BEGIN IMMEDIATE")
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > schema.VERSION:
        raise faults.newer(path, found, schema.VERSION)
    upgrades = [schema.UPGRADES[version] for version in range(found, schema.VERSION) if found]
    for statements in [*upgrades, *schema.ALL]:
        for statement in statements.split(";\n"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {schema.VERSION:d}")
    offset_s = machine.anchor(connection, clock, boot)
    connection.execute("COMMIT")
    return offset_s


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a file that is not sound. Later damage is reported by whichever statement meets it."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        needed = ".".join(map(str, _OLDEST_SQLITE))
        raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old", f"use a Python with SQLite {needed} or later")
    size = path.stat().st_size
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    page_size = connection.execute("PRAGMA page_size").fetchone()[0]
    log = path.with_name(path.name + "-wal")
    if size < pages * page_size and not (log.exists() and log.stat().st_size):
        raise faults.damaged(path, f"{size} bytes, expected {pages * page_size}")
    scope = "1" if size <= _CHECKED_BYTES else "queues"
    (said,) = connection.execute(f"PRAGMA quick_check({scope})").fetchone()
    if said != "ok":
        raise faults.damaged(path, said)
