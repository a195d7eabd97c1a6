"""The one thread that writes. Whatever waits when a transaction begins shares it, and so its fsync.

The futures of a transaction are resolved after its commit, in one call per event loop. A job that fails is rolled
back alone; the others are run again without it. Jobs must therefore be repeatable: they act on the connection only.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from millrace.database import faults
from millrace.database.turnstile import Turnstile
from millrace.errors import not_utf8
from millrace.signals import Signals

_POLL_S = 0.02  # how often commits of other processes are looked for while somebody waits
_RETRY_S = 0.0005  # how often a process whose turn it is looks whether the lock is free


class Job:
    """Something to be done on the connection, and who waits for it."""

    __slots__ = ("durable", "error", "future", "loop", "result", "run", "since", "wakes")

    def __init__(self, run: Callable[[sqlite3.Connection], Any], wakes: Iterable[str], *, durable: bool = True) -> None:
        self.run = run
        self.durable = durable
        self.wakes = wakes
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.since = time.monotonic()


class Writer:
    """Runs jobs in shared transactions until stopped."""

    def __init__(self, connection: sqlite3.Connection, path: Path, signals: Signals, patience_s: float) -> None:
        self._connection = connection
        self._path = path
        self._signals = signals
        self._patience_s = patience_s
        self._turnstile = Turnstile(path.with_name(path.name + "-turn"))
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()  # None: there is something else to look at
        self._door = threading.Lock()  # nothing is submitted behind the stop
        self._stopping = False
        self._durable = True
        self._polled_at = 0.0
        self._version = 0
        self._version = self._data_version()
        self._thread = threading.Thread(target=self._work, name="millrace-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; its future is resolved when it is durable."""
        with self._door:
            if self._stopping:
                raise faults.closed(self._path)
            self._jobs.put(job)

    def look(self) -> None:
        """Begin to look for commits of other processes: somebody waits."""
        self._jobs.put(None)

    def stop(self) -> None:
        """Finish what was submitted and close the connection; blocks until then."""
        with self._door:
            self._stopping = True
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (jobs := self._next()) is not None:
            if jobs:
                self._transact(jobs)
                _resolve(jobs)
                self._wake(jobs)
            self._notice_others()
        self._connection.close()
        self._turnstile.close()

    def _next(self) -> list[Job] | None:
        """All waiting jobs, none after a poll's time, None when it is over."""
        waiting = self._jobs
        if self._stopping and waiting.empty():
            return None
        try:
            found = [waiting.get(timeout=_POLL_S if self._signals.any else None)]
        except Empty:
            return []
        found += [waiting.get() for _ in range(waiting.qsize())]
        return [job for job in found if job is not None]

    def _transact(self, jobs: Sequence[Job]) -> None:
        while jobs:
            try:
                self._promise(durable=any(job.durable for job in jobs))
                self._begin(jobs[0].since)
                failed = self._run(jobs)
                if failed is None:
                    self._connection.execute("COMMIT")
                    return
            except BaseException as error:
                self._rollback()
                _fail(jobs, self._translated(error))
                return
            self._rollback()
            jobs = [job for job in jobs if job is not failed and job.error is None]

    def _promise(self, *, durable: bool) -> None:
        """Whether the next commit waits for the disk: what a power loss may take back needs not.

        The log keeps its order, so a commit that waits makes all before it durable as well.
        """
        if durable != self._durable:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable

    def _begin(self, since: float) -> None:
        """BEGIN IMMEDIATE, patient with other processes: taking the lock first keeps a commit from failing later.

        Patience counts from when the oldest job came: nobody waits for the patience of those before it and then
        for its own.
        """
        self._turnstile.pass_through()
        give_up_at = since + self._patience_s
        if self._try_begin(last=self._patience_s <= 0):
            return
        with self._turnstile.closed():
            while not self._try_begin(last=time.monotonic() >= give_up_at):
                time.sleep(_RETRY_S)

    def _try_begin(self, *, last: bool) -> bool:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if last or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    def _run(self, jobs: Sequence[Job]) -> Job | None:
        """Run all; return a job that failed after it had written, since then all must be rolled back."""
        connection = self._connection
        for job in jobs:
            before = connection.total_changes
            try:
                job.result = job.run(connection)
            except BaseException as error:
                job.error = self._translated(error)
                if connection.total_changes != before or not connection.in_transaction:
                    return job
        return None

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _translated(self, error: BaseException) -> BaseException:
        if isinstance(error, UnicodeEncodeError):
            return not_utf8(error)
        return faults.translate(error, self._path) if isinstance(error, sqlite3.Error) else error

    def _wake(self, jobs: Iterable[Job]) -> None:
        topics = {topic for job in jobs if job.error is None for topic in job.wakes}
        if topics and self._signals.any:
            self._signals.wake(topics)

    def _notice_others(self) -> None:
        """Wake everybody when another process has committed: which topics it touched is unknown here."""
        if not self._signals.any or time.monotonic() - self._polled_at < _POLL_S / 2:
            return
        self._polled_at = time.monotonic()
        version = self._data_version()
        if version != self._version:
            self._version = version
            self._signals.wake(None)

    def _data_version(self) -> int:
        """A number that changes when another connection commits; the last one known while the file is locked."""
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.OperationalError:
            return self._version


def _fail(jobs: Iterable[Job], error: BaseException) -> None:
    for job in jobs:
        job.error = job.error or error


def _resolve(jobs: Iterable[Job]) -> None:
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[Job]] = defaultdict(list)
    for job in jobs:
        by_loop[job.loop].append(job)
    for loop, mine in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, mine)


def _settle(jobs: Iterable[Job]) -> None:
    for job in jobs:
        if job.future.done():  # cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
