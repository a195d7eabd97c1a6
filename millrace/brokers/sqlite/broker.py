"""The broker port on the embedded database: each verb is one job of the writer, or of a reader."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from millrace.broker import Broker, Capabilities, Peeked, Queue, Standing, Stats, dead_letters
from millrace.brokers.limits import check_moments, check_sizes, check_texts
from millrace.brokers.names import check_drop, check_names
from millrace.brokers.sqlite import people, statements
from millrace.brokers.sqlite.intake import Intake, topic
from millrace.brokers.sqlite.put import Now
from millrace.brokers.sqlite.queues import Queues
from millrace.brokers.sqlite.settle import extend, settle, standing
from millrace.brokers.sqlite.take import candidates, take
from millrace.database import Database, Participant
from millrace.types import Accepted, Commit, Lease, Put

T = TypeVar("T")
_MAX_BODY = 256_000_000
_CLEAN_EVERY = 500  # settled messages between two looks for records to forget, which take twice as many
RESULTS = "results"  # the topic of everything that was finished


class SqliteBroker(Broker):
    """A durable queue in one SQLite file; rows, outputs, records and acks of a commit are one transaction.

    `participants` write their part of a commit in the broker's transaction. The database is the caller's to close.
    """

    capabilities = Capabilities(
        durable=True,
        transactional=True,
        fifo=True,
        delay=True,
        ttl=True,
        dedupe=True,
        shared=True,
        max_body=_MAX_BODY,
    )

    def __init__(self, database: Database, participants: Sequence[Participant] = ()) -> None:
        self._database = database
        self._participants = participants
        self._queues = Queues()
        self._intake = Intake(database, self._queues, self._now)
        self._settled = 0

    async def declare(self, queues: Sequence[Queue]) -> None:
        check_names(queues)
        await self._database.write(lambda connection: self._queues.declare(connection, queues))

    async def drop(self, queues: Sequence[str]) -> None:
        def check(connection: sqlite3.Connection) -> None:
            names = self._queues.names(connection)
            for queue in queues:
                check_drop(queue, names)

        def rest(connection: sqlite3.Connection) -> None:
            check(connection)
            people.drop(connection, queues, people.last(connection), -1)
            people.drop_declarations(connection, queues)

        await self._read(check)
        await self._in_chunks(lambda connection, upto: people.drop(connection, queues, upto, people.CHUNK), wakes=())
        await self._database.write(rest, wakes=[RESULTS, *(topic(queue) for queue in queues)])
        self._queues.forget()

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        check_texts(puts)
        check_sizes(puts, _MAX_BODY)
        check_moments(puts)
        if not puts:
            return []
        return await self._intake.put(puts)

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        wakes: set[str] = set()

        def job(connection: sqlite3.Connection) -> list[Lease]:
            settings = self._queues.get(connection, queue)
            if limit < 1:
                return []
            if lease_s is not None:
                settings = msgspec.structs.replace(settings, lease_s=lease_s)
            expires_at = self._database.clock.monotonic() + settings.lease_s
            leases, buried = take(connection, self._queues, settings, limit, max_bytes, self._now(), expires_at)
            if buried:
                wakes.update((RESULTS, _grave(settings)))
            return leases

        # No wait for the disk: a power loss ends whoever held a lease, and at worst a delivery is not counted.
        return await self._database.write(job, wakes=wakes, durable=False)

    async def wait(self, queue: str, timeout_s: float) -> None:
        with self._database.listen(topic(queue)) as signal:
            due_in_s = await self._read(lambda connection: self._due_in(connection, queue))
            await signal.wait(timeout_s if due_in_s is None else min(timeout_s, due_in_s))

    async def settle(self, commit: Commit) -> list[Lease]:
        clean = self._is_time_to_clean(len(commit.outcomes))

        def job(connection: sqlite3.Connection) -> list[Lease]:
            now = self._now()
            lost = settle(connection, self._queues, self._participants, commit, now)
            wakes.add(_grave(self._queues.get(connection, commit.queue)))
            if clean:
                connection.execute(statements.FORGET_EXPIRED, (now.broker_s, 2 * clean))
            return lost

        wakes = {RESULTS, topic(commit.queue), *(topic(each.queue) for each in commit.puts)}
        return await self._database.write(job, wakes=wakes, durable=commit.durable)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        expires_at = self._database.clock.monotonic() + lease_s
        wakes = {topic(lease.queue) for lease in leases}  # those who wait may have to wait for less
        lost = await self._database.write(
            lambda connection: extend(connection, leases, self._database.now() + lease_s), wakes=wakes, durable=False
        )
        gone = {lease.receipt for lease in lost}
        return [msgspec.structs.replace(lease, expires_at=expires_at) for lease in leases if lease.receipt not in gone]

    async def stats(self, queue: str) -> Stats:
        return await self._read(
            lambda connection: people.stats(connection, self._queues.get(connection, queue), self._now())
        )

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        return await self._read(
            lambda connection: people.peek(connection, self._queues.get(connection, queue), limit, ids, self._now())
        )

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        def chunk(connection: sqlite3.Connection, upto: int) -> int:
            origin, goal = self._queues.get(connection, source), self._queues.get(connection, target)
            chosen = people.idle(connection, origin, upto, ids, self._now(), target)
            people.move(connection, origin, goal, chosen, self._now())
            return len(chosen)

        return await self._in_chunks(chunk, wakes=(topic(target), RESULTS))

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        def chunk(connection: sqlite3.Connection, upto: int) -> int:
            settings = self._queues.get(connection, queue)
            chosen = people.idle(connection, settings, upto, ids, self._now(), in_flight=in_flight)
            people.purge(connection, settings, chosen)
            return len(chosen)

        return await self._in_chunks(chunk, wakes=(topic(queue),))

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        return await self._read(lambda connection: standing(connection, self._queues, leases, self._database.now()))

    async def queues(self) -> list[str]:
        return await self._read(self._queues.names)

    async def close(self) -> None:
        """Nothing to let go of: the database belongs to whoever opened it."""

    async def _in_chunks(self, chunk: Callable[[sqlite3.Connection, int], int], wakes: Sequence[str]) -> int:
        upto = await self._read(people.last)
        count = 0
        while done := await self._database.write(lambda connection: chunk(connection, upto), wakes=wakes):
            count += done
        return count

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self._database.read(job)

    def _now(self) -> Now:
        return Now(self._database.now(), self._database.clock.now())

    def _due_in(self, connection: sqlite3.Connection, name: str) -> float | None:
        """Seconds until `take` might give something, None when nothing is there; negative when something is due."""
        queue = self._queues.get(connection, name)
        now_s = self._database.now()
        if queue.fifo and not candidates(connection, queue, 1, now_s):
            (due_at,) = connection.execute(statements.NEXT_DUE, (name, now_s)).fetchone()
        else:
            (due_at,) = connection.execute(statements.FIRST_DUE, (name,)).fetchone()
        return None if due_at is None else due_at - now_s

    def _is_time_to_clean(self, settled: int) -> int:
        """How many messages were settled since the last look, when it is time for another; else 0."""
        self._settled += settled
        if self._settled < _CLEAN_EVERY:
            return 0
        count, self._settled = self._settled, 0
        return count


def _grave(queue: Queue) -> str:
    """The topic of where a queue's dead letters go."""
    return topic(queue.dead_to or dead_letters(queue.name))
