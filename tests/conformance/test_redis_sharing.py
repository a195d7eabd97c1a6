"""One queue for millrace and programs that know nothing of it: plain XADD, XINFO, XPENDING."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator

import pytest

from millrace.broker import Queue
from millrace.brokers.redis import open_broker
from millrace.brokers.redis.broker import RedisBroker
from millrace.errors import BrokerError
from millrace.types import Commit, Message, Outcome, Put
from tests.services import service


@pytest.fixture
async def broker() -> AsyncIterator[RedisBroker]:
    broker = await open_broker(f"{service('redis')}?prefix=t{secrets.token_hex(6)}")
    await broker.declare([Queue("work")])
    yield broker
    await broker.drop([name for name in await broker.queues() if not name.endswith(".dead")])
    await broker.close()


def stream_of(broker: RedisBroker, queue: str = "work") -> str:
    return "{" + broker.link.address.prefix + "}:stream:" + queue


async def add(broker: RedisBroker, *pairs: str | bytes) -> str:
    """What another program would do."""
    return (await broker.link.command("XADD", stream_of(broker), "*", *pairs)).decode()


async def test_a_plain_entry_is_a_message(broker: RedisBroker) -> None:
    entry = await add(broker, "body", b"\0\xff", "content-type", "image/png", "odd", b"\xff")
    (seen,) = await broker.peek("work", ids=[entry])
    (lease,) = await broker.take("work", 5)
    assert lease.message == seen.message
    assert lease.message.id == entry, "expected the entry's id where the program names none"
    assert lease.message.body == b"\0\xff"
    assert lease.message.attributes == {"content-type": "image/png", "odd": "\\xff"}
    assert abs(lease.message.sent_at - int(entry.partition("-")[0]) / 1000) < 0.001, "expected the entry's time"
    assert await broker.put([Put("work", Message(entry))]) != [], "expected its id to be one like any"
    await broker.settle(Commit("work", [Outcome(lease, "done")]))
    assert await broker.link.command("XLEN", stream_of(broker)) == 0, "expected what is done to be deleted"


async def test_an_id_of_a_plain_entry_is_known(broker: RedisBroker) -> None:
    """A program that names ids may add twice: within the window the second is dropped, whoever was first."""
    await add(broker, "millrace-id", "a", "body", "1")
    await add(broker, "millrace-id", "a", "body", "2")
    (lease,) = await broker.take("work", 5)
    assert (lease.message.id, lease.message.body) == ("a", b"1")
    await add(broker, "millrace-id", "a", "body", "3")
    assert await broker.take("work", 5) == []
    await broker.settle(Commit("work", [Outcome(lease, "done")]))
    await add(broker, "millrace-id", "a", "body", "4")
    assert await broker.take("work", 5) == []
    assert (await broker.stats("work")).depth == 0, "expected the repeats to be deleted"


async def test_a_plain_entry_keeps_its_id_when_it_moves(broker: RedisBroker) -> None:
    await broker.declare([Queue("other")])
    entry = await add(broker, "body", "1")
    assert await broker.move("work", "other") == 1
    (lease,) = await broker.take("other", 1)
    assert (lease.message.id, lease.message.body) == (entry, b"1")
    assert abs(lease.message.sent_at - int(entry.partition("-")[0]) / 1000) < 0.001


async def test_a_plain_entry_is_noticed(broker: RedisBroker) -> None:
    waiting = asyncio.create_task(broker.wait("work", 30.0))
    await asyncio.sleep(0)
    await add(broker, "body", "1")
    async with asyncio.timeout(60):
        await waiting
    assert len(await broker.take("work", 1)) == 1


async def test_a_mark_of_ours_hides_no_message(broker: RedisBroker) -> None:
    await add(broker, "body", "1", "millrace-delayed", "1", "millrace-expires-at", "soon", "millrace-sent-at", "x")
    (lease,) = await broker.take("work", 1)
    assert lease.message.body == b"1"


async def test_tools_see_the_queue(broker: RedisBroker) -> None:
    await broker.put([Put("work", Message(id)) for id in ("a", "b", "c")])
    await broker.take("work", 2)
    ((_, count, _, consumers),) = [
        [group[key] for key in (b"name", b"pending", b"last-delivered-id", b"consumers")]
        for group in await broker.link.command("XINFO", "GROUPS", stream_of(broker))
    ]
    assert (count, consumers) == (2, 1)
    pending = await broker.link.command("XPENDING", stream_of(broker), "millrace", "-", "+", 10)
    assert [entry[3] for entry in pending] == [1, 1], "expected a delivery of each"


@pytest.mark.parametrize("fifo", [False, True])
async def test_what_another_consumer_keeps_for_too_long_comes_back(broker: RedisBroker, fifo: bool) -> None:
    await broker.declare([Queue("work", lease_s=0.5, fifo=fifo)])
    await broker.put([Put("work", Message("a")), Put("work", Message("b"))])
    read_at = time.monotonic()
    read = ("XREADGROUP", "GROUP", "millrace", "theirs", "COUNT", 1, "STREAMS", stream_of(broker), ">")
    await broker.link.command(*read)
    (mine,) = await broker.take("work", 5)
    assert mine.message.id == "b"
    began = time.monotonic()
    await broker.wait("work", 0.2)
    ended = time.monotonic()
    assert ended - began > 0.19 or ended - read_at > 0.5, "expected what others hold for less to wake nobody"
    await broker.settle(Commit("work", [Outcome(mine, "done")]))
    await broker.wait("work", 0.01)
    async with asyncio.timeout(60):
        while not (leases := await broker.take("work", 5)):
            await broker.wait("work", 1.0)
    assert [(lease.message.id, lease.attempt) for lease in leases] == [("a", 2)], "expected their delivery to count"


async def test_another_consumer_may_finish_a_message(broker: RedisBroker) -> None:
    await broker.put([Put("work", Message("a"))])
    stream = stream_of(broker)
    found = await broker.link.command("XREADGROUP", "GROUP", "millrace", "theirs", "STREAMS", stream, ">")
    entry = found[stream.encode()][0][0] if isinstance(found, dict) else found[0][1][0][0]
    await broker.link.command("XACK", stream, "millrace", entry)
    await broker.link.command("XDEL", stream, entry)
    assert (await broker.stats("work")).depth == 0
    (answer,) = await broker.put([Put("work", Message("a"))])
    assert not answer.duplicate, "expected an id that others have finished to be forgotten"


async def test_an_entry_that_another_program_deletes_is_gone(broker: RedisBroker) -> None:
    await broker.declare([Queue("work", lease_s=0.05)])
    await broker.put([Put("work", Message("a"))])
    (lease,) = await broker.take("work", 1)
    await broker.link.command("XDEL", stream_of(broker), lease.receipt[0])
    while await broker.standing([lease]) == ["held"]:
        await asyncio.sleep(0.01)
    assert await broker.take("work", 1) == []
    assert await broker.put([Put("work", Message("a"))]) != []
    assert [lease.message.id for lease in await broker.take("work", 1)] == ["a"]


async def test_consumers_that_hold_nothing_leave(broker: RedisBroker) -> None:
    other = await open_broker(f"{service('redis')}?prefix={broker.link.address.prefix}")
    await other.put([Put("work", Message("a"))])
    leases = await other.take("work", 1)
    assert await consumers_of(broker) == 1
    await other.settle(Commit("work", [Outcome(lease, "done") for lease in leases]))
    await other.close()
    assert await consumers_of(broker) == 0


async def consumers_of(broker: RedisBroker) -> int:
    return len(await broker.link.command("XINFO", "CONSUMERS", stream_of(broker), "millrace"))


async def test_nothing_to_declare(broker: RedisBroker) -> None:
    await broker.declare([])
    assert sorted(await broker.queues()) == ["work", "work.dead"]


async def test_the_order_of_a_queue_that_holds_messages_stays(broker: RedisBroker) -> None:
    await broker.put([Put("work", Message("a"))])
    with pytest.raises(BrokerError, match="FIFO"):
        await broker.declare([Queue("work", fifo=True)])
    await broker.purge("work")
    await broker.declare([Queue("work", fifo=True)])


async def test_memory_is_given_back(broker: RedisBroker) -> None:
    """What is settled leaves its id for the window, and nothing else."""
    await broker.declare([Queue("work", dedupe_s=0.2)])
    for _ in range(3):
        await broker.put([Put("work", Message(f"m{number}"), dedupe=f"k{number}") for number in range(300)])
        leases = await broker.take("work", 300)
        assert len(leases) == 300, "expected the ids to be forgotten"
        await broker.settle(Commit("work", [Outcome(lease, "done") for lease in leases]))
        async with asyncio.timeout(60):
            while await keys_of(broker) != {"queues", "stream:work", "stream:work.dead"}:
                await asyncio.sleep(0.01)


async def keys_of(broker: RedisBroker) -> set[str]:
    """All that there is under the prefix, without it."""
    keys = await broker.link.command("KEYS", "{" + broker.link.address.prefix + "}:*")
    return {key.decode().partition(":")[2] for key in keys}


async def test_large_bodies_are_taken_a_few_at_a_time(broker: RedisBroker) -> None:
    body = b"x" * 1_500_000
    await broker.put([Put("work", Message(f"m{number}", body)) for number in range(24)])
    taken = []
    while leases := await broker.take("work", 100):
        assert sum(len(lease.message.body) for lease in leases) <= 32_000_000
        taken += [lease.message.id for lease in leases]
    assert taken == [f"m{number}" for number in range(24)], "expected all of them in order"
    assert len(await broker.peek("work", 100)) == 24
    assert await broker.purge("work", in_flight=True) == 24
