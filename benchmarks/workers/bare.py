"""The client library alone: a consumer that calls nothing and acknowledges in blocks, the limit of what is possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pika

from benchmarks.workers.hundreds import hundreds
from benchmarks.workers.seen import Seen

_BLOCK = 100
_IDLE_S = 0.2  # after which an unfinished block is acknowledged too


def _connect(url: str) -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.URLParameters(url))


def declare(channel: pika.adapters.blocking_connection.BlockingChannel, queue: str) -> None:
    """A durable quorum queue."""
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})


def sample(url: str, queue: str, payload: str) -> None:
    produce(url, queue, [payload])


def produce(url: str, queue: str, payloads: Iterable[str]) -> None:
    """Persistent messages, a hundred a transaction."""
    connection = _connect(url)
    channel = connection.channel()
    declare(channel, queue)
    channel.tx_select()
    for some in hundreds(payloads):
        for each in some:
            channel.basic_publish("", queue, each.encode(), pika.BasicProperties(delivery_mode=2))
        channel.tx_commit()
    connection.close()


def consume(url: str, queue: str, seen: Seen, settings: Mapping[str, int]) -> None:
    connection = _connect(url)
    channel = connection.channel()
    declare(channel, queue)
    channel.basic_qos(prefetch_count=settings.get("prefetch", 1000))
    waiting, tag = 0, 0
    for method, _, body in channel.consume(queue, inactivity_timeout=_IDLE_S):
        if method is not None:
            seen.note(body.decode())
            waiting, tag = waiting + 1, method.delivery_tag
        if waiting >= _BLOCK or (waiting and method is None) or seen.complete.is_set():
            channel.basic_ack(tag, multiple=True)
            waiting = 0
        if seen.complete.is_set():
            break
    channel.cancel()
    connection.close()
