"""A queue filled with messages as a library writes them."""

from __future__ import annotations

import pika

from benchmarks.workers.pattern import pattern

_COMMIT_EVERY = 1000


def preload(library: str, url: str, queue: str, count: int, size: int) -> None:
    """Have the library declare the queue, and put `count` of its messages, numbered, persistent and confirmed.

    Raises RuntimeError when the library fails, or writes something in which its payload cannot be found.
    """
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        message = pattern(library, url, connection, queue, size)
        channel = connection.channel()
        channel.tx_select()
        for number in range(count):
            message.publish(channel, number, size)
            if number % _COMMIT_EVERY == _COMMIT_EVERY - 1:
                channel.tx_commit()
        channel.tx_commit()
    finally:
        connection.close()
