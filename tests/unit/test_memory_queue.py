"""What the queue in memory does beside the contract of all brokers: waiters are not woken for what is gone."""

from __future__ import annotations

import asyncio

from millrace.broker import Queue
from millrace.brokers.memory import MemoryBroker
from millrace.testing import ManualClock
from millrace.types import Message, Put


async def test_who_waits_is_not_woken_for_what_was_purged() -> None:
    clock = ManualClock()
    broker = MemoryBroker(clock)
    await broker.declare([Queue("q")])
    await broker.put([Put("q", Message("ready")), Put("q", Message("soon"), delay_s=5), Put("q", Message("later"), 9)])
    await broker.purge("q", ids=["ready", "soon"])
    waiting = asyncio.create_task(broker.wait("q", 1e6))
    await clock.until_sleeping()
    clock.advance(8.9)
    await asyncio.sleep(0)
    assert not waiting.done()
    clock.advance(0.2)
    await asyncio.wait_for(waiting, 30)
    assert [lease.message.id for lease in await broker.take("q", 10)] == ["later"]
