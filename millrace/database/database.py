"""The database as the rooms above see it: write, read, wait, and a time that all processes share."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from millrace.clock import Clock, SystemClock
from millrace.database import machine
from millrace.database.file import open_file
from millrace.database.reader import Reader
from millrace.database.writer import Job, Writer
from millrace.errors import StorageError
from millrace.signals import Signal, Signals
from millrace.types import Commit

T = TypeVar("T")


class Participant(Protocol):
    """Joins the transaction in which the broker settles a commit."""

    def apply(self, connection: sqlite3.Connection, commit: Commit) -> None:
        """Write what the commit holds for you; raising undoes the whole settle. Must be repeatable."""
        ...


class Database:
    """One SQLite file in WAL mode, open in any number of processes; made by `Database.open`."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, clock: Clock, boot: str, offset_s: float, patience_s: float
    ) -> None:
        self.path = path
        self.clock = clock
        self._boot = boot
        self._offset_s = offset_s
        self._signals = Signals(clock)
        self._writer = Writer(connection, path, self._signals, patience_s)
        self._reader = Reader(path)
        self._closed = False

    @classmethod
    def open(
        cls, path: Path, *, clock: Clock | None = None, boot: str | None = None, patience_s: float = 10.0
    ) -> Database:
        """Open the file, made with its folder and tables if need be; blocks for some milliseconds.

        `patience_s` is how long a transaction waits for those of other processes; `clock` and `boot` (what
        distinguishes boots of the machine) are for tests. Raises StorageDamaged, StorageReadOnly, StorageBusy,
        StorageFull, or StorageError for a file of a newer millrace.
        """
        clock = clock or SystemClock()
        boot = boot or machine.boot_id()
        connection, offset_s = open_file(path, clock, boot, patience_s)
        return cls(path, connection, clock, boot, offset_s, patience_s)

    async def write(
        self, job: Callable[[sqlite3.Connection], T], *, wakes: Iterable[str] = (), durable: bool = True
    ) -> T:
        """Run a job in a transaction that it shares with others; its result is durable when it is returned.

        A job that raises is undone alone and its error raised here. It may be run twice, so it must do nothing but
        use the connection, and it must not begin or end transactions. The topics in `wakes` are woken after the
        commit; an iterable that the job itself fills is read then. What is not `durable` survives the death of every
        process, but a power loss may take it back until the next durable commit. Raises StorageError.
        """
        mine = Job(job, wakes, durable=durable)
        self._writer.submit(mine)
        result: T = await mine.future
        return result

    async def read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a job that only reads, on a snapshot that holds all that was written before. Raises StorageError."""
        return await self._reader.read(job)

    def now(self) -> float:
        """Broker time in seconds: about Unix time, the same in all processes, unmoved when the wall clock jumps."""
        return self.clock.monotonic() + self._offset_s

    @contextmanager
    def listen(self, topic: str) -> Iterator[Signal]:
        """Hear all wakes of a topic from here on, so that none is missed between looking and waiting:

        `with database.listen(topic) as signal:` look at the data, then `await signal.wait(timeout_s)`, and again.
        """
        with self._signals.listen(topic) as signal:
            self._writer.look()  # the writer looks at other processes' commits only while it sees a listener
            yield signal

    async def wait(self, topic: str, timeout_s: float) -> None:
        """Return when a topic is woken, when another process commits anything (within 50 ms), or after timeout_s."""
        with self.listen(topic) as signal:
            await signal.wait(timeout_s)

    async def close(self) -> None:
        """Finish what was begun and close the file."""
        if self._closed:
            return
        self._closed = True
        with suppress(StorageError):  # a full disk must not keep us from leaving
            await self.write(self._remember_time)
        await asyncio.to_thread(self._writer.stop)
        await asyncio.to_thread(self._reader.stop)

    def _remember_time(self, connection: sqlite3.Connection) -> None:
        machine.remember(connection, machine.Anchor(self._boot, self._offset_s, self.now()))
