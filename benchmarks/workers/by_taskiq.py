"""taskiq with taskiq-aio-pika: its quorum queue, acknowledged after the task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.workers.hundreds import hundreds
from benchmarks.workers.seen import Seen


def _broker(url: str, queue: str, handle: Callable[[str], None], prefetch: int) -> tuple[Any, Any]:
    from taskiq_aio_pika import AioPikaBroker
    from taskiq_aio_pika.exchange import Exchange
    from taskiq_aio_pika.queue import Queue

    broker = AioPikaBroker(
        url,
        qos=prefetch,
        exchange=Exchange(name=queue),
        task_queues=[Queue(name=queue)],
        dead_letter_queue=Queue(name=f"{queue}.dead"),
    )

    async def run(text: str) -> None:
        handle(text)

    return broker, broker.register_task(run, "handle")


def sample(url: str, queue: str, payload: str) -> None:
    produce(url, queue, [payload])


def produce(url: str, queue: str, payloads: Iterable[str]) -> None:
    asyncio.run(_produce(url, queue, payloads))


async def _produce(url: str, queue: str, payloads: Iterable[str]) -> None:
    broker, task = _broker(url, queue, _ignored, 10)
    await broker.startup()
    for some in hundreds(payloads):
        await asyncio.gather(*(task.kiq(each) for each in some))
    await broker.shutdown()


def consume(url: str, queue: str, seen: Seen, settings: Mapping[str, int]) -> None:
    asyncio.run(_consume(url, queue, seen, settings))


async def _consume(url: str, queue: str, seen: Seen, settings: Mapping[str, int]) -> None:
    from taskiq.receiver import Receiver

    prefetch = settings.get("prefetch", 10)
    broker, _ = _broker(url, queue, seen.note, prefetch)
    broker.is_worker_process = True
    at_once = settings.get("threads", 100)  # its command line's default
    receiver = Receiver(broker, max_async_tasks=at_once, max_prefetch=prefetch)
    finish = asyncio.Event()
    listening = asyncio.create_task(receiver.listen(finish))
    await asyncio.to_thread(seen.complete.wait)
    finish.set()
    await listening
    await broker.shutdown()


def _ignored(text: str) -> None:
    """What a producer never runs."""
