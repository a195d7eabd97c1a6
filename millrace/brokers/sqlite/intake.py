"""Puts on their way to the writer: those that wait for it at the same time share one statement.

A gateway puts one message a request; a statement for each would cost more than the messages. When a shared put
fails, each of its puts is tried again alone, so that nobody suffers for another's message.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence

from millrace.brokers.sqlite.put import Now, insert, put
from millrace.brokers.sqlite.queues import Queues
from millrace.database import Database
from millrace.errors import BrokerError
from millrace.types import Accepted, Put

_SHARED_BYTES = 65_536  # a put with more in it goes alone


class Request:
    """One caller's puts, and what became of them."""

    __slots__ = ("answer", "future", "puts")

    def __init__(self, puts: Sequence[Put], loop: asyncio.AbstractEventLoop) -> None:
        self.puts = puts
        self.future: asyncio.Future[list[Accepted]] = loop.create_future()
        self.answer: list[Accepted] | BrokerError = []

    def resolve(self) -> None:
        """Tell the caller, unless it has gone."""
        if self.future.done():
            return
        if isinstance(self.answer, BrokerError):
            self.future.set_exception(self.answer)
        else:
            self.future.set_result(self.answer)


class Intake:
    """Collects puts until the writer comes for them."""

    def __init__(self, database: Database, queues: Queues, now: Callable[[], Now]) -> None:
        self._database = database
        self._queues = queues
        self._now = now
        self._lock = threading.Lock()  # between the loops that put and the writer that closes a group
        self._open: dict[asyncio.AbstractEventLoop, list[Request]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        """Store puts, all or none, in one transaction with others'."""
        if sum(len(each.message.body) for each in puts) > _SHARED_BYTES:
            return await self._alone(puts)
        loop = asyncio.get_running_loop()
        request = Request(puts, loop)
        with self._lock:
            group = self._open.setdefault(loop, [])
            group.append(request)
        if len(group) == 1:
            task = loop.create_task(self._store(loop, group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await request.future

    async def _alone(self, puts: Sequence[Put]) -> list[Accepted]:
        return await self._database.write(
            lambda connection: put(connection, self._queues, puts, self._now()), wakes=_topics(puts)
        )

    async def _store(self, loop: asyncio.AbstractEventLoop, group: list[Request]) -> None:
        wakes: set[str] = set()

        def job(connection: sqlite3.Connection) -> None:
            with self._lock:
                if self._open.get(loop) is group:  # else this is the job's second run
                    del self._open[loop]
            wakes.update(*(_topics(request.puts) for request in group))
            self._run(connection, group)

        try:
            await self._database.write(job, wakes=wakes)
        except Exception:
            with self._lock:
                if self._open.get(loop) is group:
                    del self._open[loop]
            await asyncio.gather(*(self._again(request) for request in group))
            return
        for request in group:
            request.resolve()

    def _run(self, connection: sqlite3.Connection, group: Sequence[Request]) -> None:
        now = self._now()
        if not self._is_unbounded(connection, group):
            for request in group:
                request.answer = self._one(connection, request, now)
            return
        accepted = iter(insert(connection, self._queues, [each for request in group for each in request.puts], now))
        for request in group:
            request.answer = [next(accepted) for _ in request.puts]

    def _is_unbounded(self, connection: sqlite3.Connection, group: Sequence[Request]) -> bool:
        """Whether nothing in these puts can be refused, so that they can be stored in one."""
        names = {each.queue for request in group for each in request.puts}
        try:
            return all(self._queues.get(connection, name).max_depth is None for name in names)
        except BrokerError:
            return False

    def _one(self, connection: sqlite3.Connection, request: Request, now: Now) -> list[Accepted] | BrokerError:
        """A broker's error is raised before anything is written: the others' puts go on."""
        try:
            return put(connection, self._queues, request.puts, now)
        except BrokerError as error:
            return error

    async def _again(self, request: Request) -> None:
        try:
            request.answer = await self._alone(request.puts)
        except Exception as error:
            if not request.future.done():
                request.future.set_exception(error)
        else:
            request.resolve()


def topic(queue: str) -> str:
    """What a queue's listeners listen to."""
    return f"queue:{queue}"


def _topics(puts: Sequence[Put]) -> set[str]:
    return {topic(each.queue) for each in puts}
