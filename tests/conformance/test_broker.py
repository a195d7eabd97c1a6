"""Every broker against the suite that third parties get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from millrace.broker import Broker, Capabilities
from millrace.brokers.claims import ClaimCheck
from millrace.brokers.codecs import Codec, CodecBroker
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database
from millrace.errors import BrokerError
from millrace.stores.memory import MemoryResults, MemoryTables
from millrace.stores.objects import open_bucket
from millrace.stores.sqlite import SqliteResults, SqliteTables
from millrace.testing import ManualClock
from millrace.testing.bench import BrokerBench
from millrace.testing.broker import CHECKS, Check, check_broker
from millrace.types import Message

Open = Callable[[Path], AbstractAsyncContextManager[BrokerBench]]


@asynccontextmanager
async def memory(folder: Path) -> AsyncIterator[BrokerBench]:
    clock, tables = ManualClock(), MemoryTables()
    results = MemoryResults(clock)
    yield BrokerBench(
        MemoryBroker(clock, [tables, results]),
        advancing(clock),
        table=await tables.open("rows", "id"),
        results=results,
    )


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[BrokerBench]:
    clock, path = ManualClock(), folder / "test.db"
    open_now: list[Database] = []

    async def reopen() -> Broker:
        for database in open_now:
            await database.close()
        open_now[:] = [Database.open(path, clock=clock)]
        return SqliteBroker(open_now[0])

    await reopen()
    tables = SqliteTables(open_now[0])
    table = await tables.open("rows", "id")
    broker = SqliteBroker(open_now[0], [tables])
    yield BrokerBench(broker, advancing(clock), reopen=reopen, table=table, results=SqliteResults(open_now[0]))
    await open_now[0].close()


@asynccontextmanager
async def memory_claims(folder: Path) -> AsyncIterator[BrokerBench]:
    async with memory(folder) as bench:
        bench.broker = claiming(bench.broker, "memory://", folder)
        yield bench


@asynccontextmanager
async def sqlite_claims(folder: Path) -> AsyncIterator[BrokerBench]:
    async with sqlite(folder) as bench:
        reopen = bench.reopen

        async def reopen_both() -> Broker:
            return claiming(await reopen(), "./bodies", folder)

        bench.broker, bench.reopen = claiming(bench.broker, "./bodies", folder), reopen_both
        yield bench


class Mirror(Codec):
    """Bodies travel backwards."""

    name = "mirror"

    def encode(self, message: Message) -> Message:
        return msgspec.structs.replace(message, body=message.body[::-1])

    def decode(self, message: Message) -> Message:
        return self.encode(message)


@asynccontextmanager
async def sqlite_codecs(folder: Path) -> AsyncIterator[BrokerBench]:
    mirrors = dict.fromkeys(["work", "other", "out", "letters"], Mirror())
    async with sqlite(folder) as bench:
        reopen = bench.reopen

        async def reopen_both() -> Broker:
            return CodecBroker(await reopen(), mirrors)

        bench.broker, bench.reopen = CodecBroker(bench.broker, mirrors), reopen_both
        yield bench


def claiming(inner: Broker, url: str, folder: Path) -> ClaimCheck:
    """A claim check from which no body but the empty one is safe, nor from its limit."""
    return ClaimCheck(inner, open_bucket("bodies", url, folder), beyond_bytes=0, max_body=2_000_000)


def advancing(clock: ManualClock):
    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    return advance


CLAIMED = [
    pytest.param(opened, check, id=f"{opened.__name__}-{check.name}")
    for opened, broker in [
        (memory, MemoryBroker),
        (sqlite, SqliteBroker),
        (memory_claims, MemoryBroker),
        (sqlite_claims, SqliteBroker),
        (sqlite_codecs, SqliteBroker),
    ]
    for check in CHECKS
    if check.applies(broker.capabilities)
]


@pytest.mark.parametrize(("opened", "check"), CLAIMED)
async def test_broker(opened: Open, check: Check, tmp_path: Path) -> None:
    async with opened(tmp_path) as bench:
        await check.run(bench)


def test_the_embedded_queue_claims_everything() -> None:
    assert all(check.applies(SqliteBroker.capabilities) for check in CHECKS)


async def test_the_suite_says_what_it_ran(tmp_path: Path) -> None:
    ran = await check_broker(lambda: memory(tmp_path))
    assert set(ran) == {check.name for check in CHECKS if check.applies(MemoryBroker.capabilities)}
    assert "what_was_accepted_survives" not in ran


async def test_the_suite_fails_a_broker_that_forgets_receipts(tmp_path: Path) -> None:
    @asynccontextmanager
    async def trusting() -> AsyncIterator[BrokerBench]:
        async with memory(tmp_path) as bench:
            bench.broker._held = lambda queue, lease: queue.items.get(lease.message.id)
            yield bench

    with pytest.raises(AssertionError, match="to be lost"):
        await check_broker(trusting)


async def test_the_suite_fails_a_broker_that_ignores_what_it_cannot_do(tmp_path: Path) -> None:
    @asynccontextmanager
    async def claiming_little() -> AsyncIterator[BrokerBench]:
        async with memory(tmp_path) as bench:
            little = dict.fromkeys(("durable", "transactional", "fifo", "delay", "ttl", "dedupe", "shared"), False)
            bench.broker.capabilities = Capabilities(**little)
            yield bench

    with pytest.raises(AssertionError, match=BrokerError.__name__):
        await check_broker(claiming_little)
