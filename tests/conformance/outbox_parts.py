"""Brokers to be wrapped: one that knows no id again, and benches with an outbox around them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from millrace.broker import Broker, Peeked, Queue, Standing, Stats
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.outbox import Outbox
from millrace.database import Database
from millrace.stores.memory import MemoryResults, MemoryTables
from millrace.stores.memory_ledger import MemoryLedger
from millrace.stores.sqlite import SqliteLedger, SqliteResults, SqliteTables
from millrace.testing import ManualClock
from millrace.testing.bench import BrokerBench
from millrace.types import Accepted, Commit, Lease, Message, Put

_ALL = 1_000_000


class Forgetful(Broker):
    """A memory broker to which every put is new: two messages of one id lie beside each other, as in RabbitMQ.

    Inside, each has an id of its own: the id, a NUL and a number. Settles do nothing but end messages.
    """

    capabilities = msgspec.structs.replace(MemoryBroker.capabilities, transactional=False, dedupe=False)

    def __init__(self, clock: ManualClock) -> None:
        self.inner = MemoryBroker(clock)
        self._numbers = itertools.count(1)

    async def declare(self, queues: Sequence[Queue]) -> None:
        await self.inner.declare(queues)

    async def drop(self, queues: Sequence[str]) -> None:
        await self.inner.drop(queues)

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        numbered = [
            msgspec.structs.replace(put, message=_named(put.message, f"{put.message.id}\0{next(self._numbers)}"))
            for put in puts
        ]
        answers = await self.inner.put([msgspec.structs.replace(put, dedupe="") for put in numbered])
        return [Accepted(_plain(answer.id), False, answer.sequence) for answer in answers]

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        leases = await self.inner.take(queue, limit, max_bytes=max_bytes, lease_s=lease_s)
        return [msgspec.structs.replace(each, message=_named(each.message, _plain(each.message.id))) for each in leases]

    async def wait(self, queue: str, timeout_s: float) -> None:
        await self.inner.wait(queue, timeout_s)

    async def settle(self, commit: Commit) -> list[Lease]:
        bare = [msgspec.structs.replace(each, rows=(), puts=(), record=None) for each in commit.outcomes]
        return await self.inner.settle(Commit(commit.queue, bare))

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        return await self.inner.extend(leases, lease_s)

    async def stats(self, queue: str) -> Stats:
        return await self.inner.stats(queue)

    async def close(self) -> None:
        await self.inner.close()

    async def queues(self) -> list[str]:
        return await self.inner.queues()

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        found = await self.inner.peek(queue, limit, ids=await self._numbered(queue, ids))
        return [msgspec.structs.replace(each, message=_named(each.message, _plain(each.message.id))) for each in found]

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        there = {_plain(each.message.id) for each in await self.inner.peek(target, _ALL)}
        chosen = [id for id in await self._numbered(source, ids) or () if _plain(id) not in there]
        return await self.inner.move(source, target, chosen)

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        return await self.inner.purge(queue, await self._numbered(queue, ids), in_flight=in_flight)

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        return await self.inner.standing(leases)

    async def _numbered(self, queue: str, ids: Sequence[str] | None) -> list[str]:
        seen = [each.message.id for each in await self.inner.peek(queue, _ALL)]
        return seen if ids is None else [id for id in seen if _plain(id) in ids]


def _plain(id: str) -> str:
    return id.partition("\0")[0]


def _named(message: Message, id: str) -> Message:
    return msgspec.structs.replace(message, id=id)


def unclaiming(inner: MemoryBroker) -> MemoryBroker:
    """The memory broker, claiming neither transactions nor a memory of ids."""
    inner.capabilities = Forgetful.capabilities
    return inner


@asynccontextmanager
async def outbox_memory(folder: Path) -> AsyncIterator[BrokerBench]:
    clock = ManualClock()
    async with memory_ledger(unclaiming(MemoryBroker(clock)), clock) as bench:
        yield bench


@asynccontextmanager
async def outbox_forgetful(folder: Path) -> AsyncIterator[BrokerBench]:
    clock = ManualClock()
    async with memory_ledger(Forgetful(clock), clock) as bench:
        yield bench


@asynccontextmanager
async def outbox_sqlite(folder: Path) -> AsyncIterator[BrokerBench]:
    clock = ManualClock()
    async with sqlite_ledger(Forgetful(clock), clock, folder) as bench:
        yield bench


@asynccontextmanager
async def memory_ledger(inner: Broker, clock: ManualClock) -> AsyncIterator[BrokerBench]:
    """A bench whose broker keeps its effects in memory."""
    tables, results = MemoryTables(clock), MemoryResults(clock)
    ledger = MemoryLedger(clock, [tables, results])
    broker = Outbox(inner, ledger, clock=clock)
    yield BrokerBench(broker, advancing(clock), table=await tables.open("rows", "id"), results=results)


@asynccontextmanager
async def sqlite_ledger(inner: Broker, clock: ManualClock, folder: Path) -> AsyncIterator[BrokerBench]:
    """A bench whose broker keeps its effects in the embedded database."""
    database = Database.open(folder / "test.db", clock=clock)
    tables, results = SqliteTables(database), SqliteResults(database)
    broker = Outbox(inner, SqliteLedger(database, [tables]), clock=clock)
    try:
        yield BrokerBench(broker, advancing(clock), table=await tables.open("rows", "id"), results=results)
    finally:
        await database.close()


def advancing(clock: ManualClock):
    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    return advance
