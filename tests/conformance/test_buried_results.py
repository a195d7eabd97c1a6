"""What real brokers bury without a word, beside real ledgers: results say that it is dead."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from millrace.broker import Broker, Queue
from millrace.brokers.outbox import Outbox
from millrace.clock import SystemClock
from millrace.database import Database
from millrace.store import Ledger, Results
from millrace.stores.sqlite import SqliteLedger, SqliteResults
from millrace.types import Message, Put
from tests.conformance.postgres_parts import opened
from tests.services import service

TTL_S = 0.5
Open = Callable[..., Awaitable[Broker]]


async def rabbitmq(url: str) -> Broker:
    from millrace.brokers.rabbitmq import open_broker

    return await open_broker(url)


async def redis(url: str) -> Broker:
    from millrace.brokers.redis import open_broker

    return await open_broker(url)


@pytest.fixture(params=["sqlite", "postgres"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Ledger, Results]]:
    if request.param == "sqlite":
        database = Database.open(tmp_path / "test.db", clock=SystemClock())
        yield SqliteLedger(database), SqliteResults(database)
        await database.close()
        return
    async with opened() as store:
        yield store.ledger, store.results


@pytest.mark.parametrize("connect", [rabbitmq, redis])
async def test_who_waits_hears_of_a_message_that_expired(connect: Open, kept: tuple[Ledger, Results]) -> None:
    """RabbitMQ buries it while nobody takes, Redis at a take of another process."""
    url = f"{service(connect.__name__)}?prefix=t{secrets.token_hex(4)}."
    async with AsyncExitStack() as stack:
        inner, other = await connect(url), await connect(url)
        stack.push_async_callback(inner.close)
        stack.push_async_callback(other.close)
        outbox = Outbox(inner, kept[0])
        await outbox.declare([Queue("q", ttl_s=TTL_S)])
        stack.push_async_callback(inner.drop, ["q"])
        await outbox.put([Put("q", Message("a", b"1"))])
        waiting = asyncio.create_task(outbox.results(kept[1]).wait("a", 30.0))
        if connect is redis:
            await asyncio.sleep(2 * TTL_S)
            await other.declare([Queue("q", ttl_s=TTL_S)])
            assert await other.take("q", 1) == []
        record = await waiting
        assert record is not None
        assert record.failure is not None
        assert (record.state, record.failure.type) == ("dead", "Expired")
        stored = await kept[1].get("a")
        assert stored is not None
        assert stored.state == "dead"
