"""Kafka against the suite, on librdkafka's mock cluster in a process of its own, and in real time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
from needs import needs_module

from tests.conformance.broker_parts import bench_at, paced
from tests.conformance.real_time import run_in_real_time
from tests.services.kafka import KafkaMock

needs_module("confluent_kafka")

from millrace.brokers.kafka import KafkaBroker, open_broker  # noqa: E402 - after what it needs
from millrace.testing.bench import BrokerBench  # noqa: E402 - after what it needs
from millrace.testing.broker import CHECKS, Check  # noqa: E402 - after what it needs

_UNIT_S = 0.3
_AT_ONCE = 6


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster's URL."""
    with KafkaMock() as kafka:
        yield kafka.start()


def kafka(cluster: str, unit_s: float) -> AbstractAsyncContextManager[BrokerBench]:
    """An empty broker under a prefix of its own."""
    url = f"{cluster}?prefix=t{secrets.token_hex(6)}."
    return bench_at(url, open_broker, unit_s, paced(unit_s), drops=False)


CLAIMED = [check for check in CHECKS if check.applies(KafkaBroker.capabilities)]


async def test_kafka(cluster: str) -> None:
    """All that is claimed, several checks at the same time, since many of them let time pass."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def run(check: Check) -> None:
        async with gate:
            await run_in_real_time(partial(kafka, cluster), check.run, _UNIT_S)

    async with asyncio.TaskGroup() as group:
        for check in CLAIMED:
            group.create_task(run(check), name=check.name)
