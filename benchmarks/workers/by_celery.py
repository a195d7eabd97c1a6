"""Celery: acks_late, results off, quorum queues, confirmed publishing; the solo pool is one process without a hop."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.workers.seen import MARK, Seen

_POOLS = ("solo", "threads", "prefork")
_PREFORK = 2


def _app(url: str, queue: str, handle: Callable[[str], None]) -> tuple[Any, Any]:
    from celery import Celery
    from kombu import Exchange, Queue

    app = Celery("bench", broker=url)
    app.conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        task_default_queue=queue,
        task_queues=[Queue(queue, Exchange(queue), routing_key=queue, queue_arguments={"x-queue-type": "quorum"})],
        broker_transport_options={"confirm_publish": True},
        worker_enable_remote_control=False,
        worker_redirect_stdouts=False,  # the report goes there
        broker_connection_retry_on_startup=True,
    )
    return app, app.task(name="handle")(handle)


def sample(url: str, queue: str, payload: str) -> None:
    produce(url, queue, [payload])


def produce(url: str, queue: str, payloads: Iterable[str]) -> None:
    app, handle = _app(url, queue, _ignored)
    for each in payloads:
        handle.apply_async((each,))
    app.close()


def consume(url: str, queue: str, seen: Seen, settings: Mapping[str, int]) -> None:
    pool = settings.get("pool", _PREFORK)  # its command line's default, with a child for each core
    app, _ = _app(url, queue, _noting_child(seen) if pool == _PREFORK else seen.note)
    app.conf.worker_prefetch_multiplier = settings.get("prefetch", 4)
    worker = app.Worker(
        pool=_POOLS[pool],
        concurrency=settings.get("threads", os.cpu_count()),
        without_heartbeat=True,
        without_gossip=True,
        without_mingle=True,
        loglevel="ERROR",
    )
    threading.Thread(target=_stop_at_the_end, args=(worker, seen), daemon=True).start()
    worker.start()


def _noting_child(seen: Seen) -> Callable[[str], None]:
    """What a forked child runs: it tells the parent by a pipe, in one write a message."""
    read, write = os.pipe()

    def follow() -> None:
        with os.fdopen(read) as notes:
            for line in notes:
                seen.note(line[:MARK], float(line[MARK:]))

    threading.Thread(target=follow, daemon=True).start()

    def note(text: str) -> None:
        os.write(write, f"{text[:MARK]} {time.time():.6f}\n".encode())

    return note


def _stop_at_the_end(worker: Any, seen: Seen) -> None:
    from celery.worker import state

    seen.complete.wait()
    state.should_stop = 0


def _ignored(text: str) -> None:
    """What a producer never runs."""
