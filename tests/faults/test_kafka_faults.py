"""Processes that end, and others that take over, on librdkafka's mock cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from needs import needs_module

from tests.services.kafka import KafkaMock

needs_module("confluent_kafka")

from millrace.broker import Queue  # noqa: E402 - after what it needs
from millrace.brokers.kafka import open_broker  # noqa: E402 - after what it needs
from millrace.types import Commit, Lease, Message, Outcome, Put  # noqa: E402 - after what it needs


@pytest.fixture
def cluster() -> Iterator[KafkaMock]:
    with KafkaMock() as kafka:
        yield kafka


def done(leases: list[Lease]) -> Commit:
    return Commit("work", [Outcome(lease, "done") for lease in leases])


async def test_a_restart_skips_what_was_settled_out_of_order(cluster: KafkaMock) -> None:
    url = cluster.start()
    first = await open_broker(url)
    await first.declare([Queue("work")])
    await first.put([Put("work", Message(f"m{number}", b"x")) for number in range(50)])
    leases = await first.take("work", 50)
    assert await first.settle(done(leases[1::2])) == []
    await first.close()
    second = await open_broker(url)
    again = await second.take("work", 100)
    assert sorted(lease.message.id for lease in again) == sorted(lease.message.id for lease in leases[::2])
    assert {lease.attempt for lease in again} == {2}
    await second.close()


async def test_leases_of_partitions_that_moved_are_lost_and_nothing_is(cluster: KafkaMock) -> None:
    url = cluster.start()
    first = await open_broker(url)
    await first.declare([Queue("work")])
    names = {f"m{number}" for number in range(40)}
    for name in sorted(names):
        await first.put([Put("work", Message(name, b"x"))])
    held = await first.take("work", 100)
    assert {lease.message.id for lease in held} == names
    second = await open_broker(url)
    others: list[Lease] = []
    async with asyncio.timeout(60):
        while not others:
            others = await second.take("work", 100)
    lost = await first.settle(done(held))
    assert {lease.message.id for lease in others} <= {lease.message.id for lease in lost}
    assert await second.settle(done(others)) == []
    await first.close()
    kept = {lease.message.id for lease in held} - {lease.message.id for lease in lost}
    async with asyncio.timeout(60):
        while {lease.message.id for lease in others} | kept != names:  # a partition comes after the other
            others += await second.take("work", 100)
            await second.wait("work", 0.5)
    await second.close()


async def test_brokers_that_go_and_come_again_lose_nothing(cluster: KafkaMock) -> None:
    broker = await open_broker(cluster.start())
    await broker.declare([Queue("work")])
    for number in ("1", "2", "3"):
        cluster.order("down", number)
    putting = asyncio.ensure_future(broker.put([Put("work", Message("late", b"x"))]))
    await asyncio.sleep(0.5)
    for number in ("1", "2", "3"):
        cluster.order("up", number)
    await putting
    leases: list[Lease] = []
    async with asyncio.timeout(60):
        while not leases:
            leases = await broker.take("work", 10)
    assert [lease.message.id for lease in leases] == ["late"]
    assert await broker.settle(done(leases)) == []
    await broker.close()
