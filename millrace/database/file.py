"""Opening the file: its folder, its soundness, its schema, and the anchor of broker time."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from millrace.clock import Clock
from millrace.database import faults, machine, schema
from millrace.database.connect import connect
from millrace.errors import StorageBusy

_BUSY_S = 10.0
_RETRY_S = 0.01


def open_file(path: Path, clock: Clock, boot: str) -> tuple[sqlite3.Connection, float]:
    """A connection for the writer, and the offset of broker time; waits for other processes that do the same."""
    give_up_at = time.monotonic() + _BUSY_S
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
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > schema.VERSION:
        raise faults.newer(path, found, schema.VERSION)
    for statements in schema.ALL:
        for statement in statements.split(";\n"):
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {schema.VERSION:d}")
    offset_s = machine.anchor(connection, clock, boot)
    connection.execute("COMMIT")
    return offset_s
