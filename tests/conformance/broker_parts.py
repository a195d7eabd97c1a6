"""Benches of brokers on real servers and in real time: an empty broker under a prefix of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from millrace.broker import Broker, dead_letters
from millrace.testing.bench import BrokerBench

Advance = Callable[[float], Awaitable[None]]


def paced(unit_s: float) -> Advance:
    """Lets time pass until that much has since the beginning: half a unit may be what the test itself takes."""
    began = time.monotonic()
    passed = 0.0

    async def advance(seconds: float) -> None:
        nonlocal passed
        passed = max(passed + seconds, time.monotonic() - began + seconds - unit_s / 2)
        await asyncio.sleep(max(0.0, began + passed - time.monotonic()))

    return advance


@asynccontextmanager
async def bench_at(
    url: str, open_broker: Callable[[str], Awaitable[Broker]], unit_s: float, advance: Advance, *, drops: bool = True
) -> AsyncIterator[BrokerBench]:
    """A bench on the broker at a URL; where it `drops`, the queues of a test that passed are gone afterwards."""
    opened: list[Broker] = []

    async def reopen() -> Broker:
        for broker in opened:
            await broker.close()
        opened[:] = [await open_broker(url)]
        return opened[0]

    bench = BrokerBench(await reopen(), advance, unit_s, reopen)
    try:
        yield bench
        if drops:
            names = await bench.broker.queues()
            await bench.broker.drop([name for name in names if name != dead_letters(name)])
    finally:
        await bench.broker.close()
