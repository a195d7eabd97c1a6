"""FastStream: a quorum queue, persistent and confirmed messages, acknowledged after the handler as is its default."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.workers.hundreds import hundreds
from benchmarks.workers.seen import Seen


def _broker(url: str, queue: str, prefetch: int) -> tuple[Any, Any]:
    from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
    from faststream.rabbit.schemas.queue import QueueType

    broker = RabbitBroker(url, default_channel=Channel(prefetch_count=prefetch or None), logger=None)
    return broker, RabbitQueue(queue, queue_type=QueueType.QUORUM, durable=True)


def sample(url: str, queue: str, payload: str) -> None:
    produce(url, queue, [payload])


def produce(url: str, queue: str, payloads: Iterable[str]) -> None:
    asyncio.run(_produce(url, queue, payloads))


async def _produce(url: str, queue: str, payloads: Iterable[str]) -> None:
    broker, declared = _broker(url, queue, 0)
    async with broker:
        await broker.declare_queue(declared)
        for some in hundreds(payloads):
            await asyncio.gather(*(broker.publish(each, queue=declared, persist=True) for each in some))


def consume(url: str, queue: str, seen: Seen, settings: Mapping[str, int]) -> None:
    asyncio.run(_consume(url, queue, seen, settings))


async def _consume(url: str, queue: str, seen: Seen, settings: Mapping[str, int]) -> None:
    broker, declared = _broker(url, queue, settings.get("prefetch", 0))

    @broker.subscriber(declared)
    async def handle(text: str) -> None:
        seen.note(text)

    async with broker:
        await broker.start()
        await asyncio.to_thread(seen.complete.wait)
        await asyncio.sleep(0.1)  # its last acknowledgements are on their way
