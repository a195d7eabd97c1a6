"""The queue on RabbitMQ against the suite that every broker passes, on a real server."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from millrace.broker import Broker, Queue
from millrace.brokers.rabbitmq import open_broker
from millrace.brokers.rabbitmq.broker import RabbitBroker
from millrace.testing.bench import BrokerBench
from millrace.testing.broker import CHECKS, Check
from millrace.types import Commit, Lease, Message, Outcome, Put
from tests.conformance.real_time import run_in_real_time
from tests.services import service

UNIT_S = 0.2
APPLYING = [check for check in CHECKS if check.applies(RabbitBroker.capabilities)]


@asynccontextmanager
async def rabbitmq(unit_s: float = UNIT_S) -> AsyncIterator[BrokerBench]:
    """A broker whose queues are its own, and gone afterwards."""
    url = f"{service('rabbitmq')}?prefix=t{secrets.token_hex(4)}."
    brokers = [await open_broker(url)]

    async def reopen() -> Broker:
        await brokers[-1].close()
        brokers.append(await open_broker(url))
        return brokers[-1]

    bench = BrokerBench(brokers[0], asyncio.sleep, unit_s=unit_s, reopen=reopen)
    yield bench
    await bench.broker.drop([name for name in await bench.broker.queues() if not name.endswith(".dead")])
    await bench.broker.close()


@pytest.mark.parametrize("check", APPLYING, ids=lambda check: check.name)
async def test_rabbitmq(check: Check) -> None:
    await run_in_real_time(rabbitmq, check.run, UNIT_S)


async def handed(broker: Broker, count: int) -> list[Lease]:
    """So many leases of "work"."""
    leases: list[Lease] = []
    while len(leases) < count:
        if not (found := await broker.take("work", count - len(leases))):
            await broker.wait("work", 30)
        leases += found
    return leases


@pytest.mark.parametrize(("taken", "done"), [(10, 10), (50, 10), (50, 50)])
async def test_a_close_counts_no_delivery_of_what_nobody_has_begun(taken: int, done: int) -> None:
    """What was sent ahead, and what RabbitMQ sends in the place of what was done, was given to nobody."""
    url = f"{service('rabbitmq')}?prefix=t{secrets.token_hex(4)}."
    first = await open_broker(url)
    await first.declare([Queue("work")])
    await first.put([Put("work", Message(f"m{number:03}", b"x")) for number in range(100)])
    leases = await handed(first, taken)
    for lease in leases[:done]:
        await first.settle(Commit("work", [Outcome(lease, "done")]))
    await first.close()
    second = await open_broker(url)
    attempts = {lease.message.id: lease.attempt for lease in await handed(second, 100 - done)}
    begun = {lease.message.id for lease in leases}
    assert {attempt for id, attempt in attempts.items() if id not in begun} == {1}
    assert len(attempts) == 100 - done
    await second.drop(["work"])
    await second.close()


async def test_what_was_moved_before_a_close_does_not_come_back() -> None:
    """RabbitMQ forgets acknowledgements that it has not told the queue of when their channel is closed."""
    url = f"{service('rabbitmq')}?prefix=t{secrets.token_hex(4)}."
    names = [f"m{number:03}" for number in range(200)]
    first = await open_broker(url)
    await first.declare([Queue("work"), Queue("other")])
    await first.put([Put("work", Message(name, b"x")) for name in names])
    assert await first.move("work", "other") == 200
    await first.close()
    second = await open_broker(url)
    assert await second.purge("work") == 0
    assert await second.purge("other") == 200
    await second.drop(["work", "other"])
    await second.close()
