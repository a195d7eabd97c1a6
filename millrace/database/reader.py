"""Threads that read, each on its own connection, so that a long scan holds up neither writes nor short reads."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from millrace.database import faults
from millrace.database.connect import connect
from millrace.errors import not_utf8

T = TypeVar("T")
_THREADS = 2


class Reader:
    """Runs jobs on snapshots of what was committed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mine = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="millrace-reader")
        self._closed = False

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """The job's answer from one snapshot, which holds every write that returned before the call."""
        if self._closed:
            raise faults.closed(self._path)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, job)

    def stop(self) -> None:
        """Wait for what is being read, then close the connections."""
        self._closed = True
        self._pool.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    def _run(self, job: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                return job(connection)
            finally:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise faults.translate(error, self._path) from error
        except UnicodeEncodeError as error:
            raise not_utf8(error) from None

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._mine, "connection"):
            self._mine.connection = connect(self._path, read_only=True)
            self._connections.append(self._mine.connection)
        connection: sqlite3.Connection = self._mine.connection
        return connection
