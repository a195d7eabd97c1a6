"""Dropping queues."""

from __future__ import annotations

import asyncio

from millrace.broker import (
    Stats,
    dead_letters,
)
from millrace.errors import BrokerError, UnknownQueue
from millrace.testing.bench import WORK, BrokerBench, raised, soon
from millrace.testing.broker.check import check
from millrace.types import Message, Put


@check()
async def a_dropped_queue_is_gone(bench: BrokerBench) -> None:
    """With its messages in every state, its dead letters, and all that it knew; declared again it is empty."""
    await bench.declare()
    await bench.declare("other")
    await bench.put("other", queue="other")
    await bench.put("settled", "dead", "held", "waits", body=b"x" * 5000)
    await bench.broker.put([Put(WORK, Message("keyed"), dedupe="k")])
    settled, dead, held = await bench.take(3)
    await bench.settle([settled])
    await bench.settle([dead], "dead")
    await bench.broker.drop([WORK])
    assert not {WORK, dead_letters(WORK)} & set(await bench.broker.queues()), "expected both to be gone"
    for doing in (bench.put("a"), bench.take(), bench.broker.stats(WORK), bench.settle([held]), bench.dead()):
        await raised(UnknownQueue, doing)
    await bench.declare()
    assert await bench.broker.stats(WORK) == Stats(WORK, 0, 0, 0, 0, 0.0), "expected an empty queue"
    assert await bench.settle([held]) == [held.message.id], "expected the old lease to be lost"
    answers = await bench.broker.put([Put(WORK, settled.message), Put(WORK, Message("new"), dedupe="k")])
    assert [answer.duplicate for answer in answers] == [False, False], "expected ids and keys to be forgotten"
    assert await bench.taken(queue="other") == ["other"], "expected other queues to be untouched"


@check()
async def drop_is_all_or_none(bench: BrokerBench) -> None:
    """One name that is not declared, or another's dead letters, keeps all of them."""
    await bench.declare()
    await bench.put("a")
    await raised(UnknownQueue, bench.broker.drop([WORK, "nowhere"]))
    await raised(BrokerError, bench.broker.drop([dead_letters(WORK)]))
    await bench.broker.drop([])
    assert await bench.taken() == ["a"], "expected the queue to be there"


@check()
async def many_are_dropped(bench: BrokerBench) -> None:
    """Whole queues beyond any chunk; who waits for one is let go."""
    for name in (WORK, "other"):
        await bench.declare(name)
        await bench.put(*(f"m{number}" for number in range(1500)), queue=name)
    await bench.declare("empty")
    waiting = asyncio.ensure_future(bench.broker.wait("empty", 1e6))
    await asyncio.sleep(0)
    await bench.broker.drop([WORK, "other", "empty"])
    await soon(asyncio.gather(waiting, return_exceptions=True))
    assert await bench.broker.queues() == [], "expected no queue"
