"""Dramatiq: confirm_delivery on, quorum queues, its own middleware."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.workers.seen import Seen

_JOIN_MS = 10_000


def _broker(url: str, queue: str, handle: Callable[[str], None], prefetch: int) -> tuple[Any, Any]:
    # Read by that name when its worker is imported.
    os.environ["dramatiq_queue_prefetch"] = str(prefetch)  # noqa: SIM112
    import dramatiq
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    class Quorum(RabbitmqBroker):
        def _build_queue_arguments(self, queue_name: str) -> dict[str, Any]:
            return {**super()._build_queue_arguments(queue_name), "x-queue-type": "quorum"}

    broker = Quorum(url=url, confirm_delivery=True)
    dramatiq.set_broker(broker)
    return broker, dramatiq.actor(handle, queue_name=queue, actor_name="handle")


def sample(url: str, queue: str, payload: str) -> None:
    produce(url, queue, [payload])


def produce(url: str, queue: str, payloads: Iterable[str]) -> None:
    broker, handle = _broker(url, queue, _ignored, 0)
    for each in payloads:
        handle.send(each)
    broker.close()


def consume(url: str, queue: str, seen: Seen, settings: Mapping[str, int]) -> None:
    broker, _ = _broker(url, queue, seen.note, settings.get("prefetch", 0))
    from dramatiq import Worker

    threads = settings.get("threads", 8)  # its command line's default
    worker = Worker(broker, worker_threads=threads, queues={queue})
    worker.start()
    seen.complete.wait()
    worker.stop(_JOIN_MS)
    broker.close()


def _ignored(text: str) -> None:
    """What a producer never runs."""
