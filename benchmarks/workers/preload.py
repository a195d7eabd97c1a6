"""A queue filled with messages as a library writes them: one of its own is taken as the pattern for all."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pika

from benchmarks.workers.seen import payload

_CONFIRM_EVERY = 1000


def preload(library: str, url: str, queue: str, count: int, size: int) -> None:
    """Have the library declare the queue and put one message, then put `count` like it, numbered, persistent.

    Raises RuntimeError when the library failed, or wrote something in which its payload cannot be found.
    """
    command = [sys.executable, "-m", "benchmarks.workers", library, "sample"]
    done = subprocess.run(
        [*command, "--url", url, "--queue", queue, "--size", str(size)], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{library} could not put a message: {done.stderr[-1000:]}")
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        _fill(connection, library, queue, count, size)
    finally:
        connection.close()


def _fill(connection: Any, library: str, queue: str, count: int, size: int) -> None:
    channel = connection.channel()
    method, properties, body = channel.basic_get(queue, auto_ack=True)
    pattern = payload(0, size).encode()
    if method is None or body.count(pattern) != 1:
        raise RuntimeError(f"{library} wrote {body!r}, expected {pattern!r} once in it")
    before, after = body.split(pattern)
    identity = (properties.headers or {}).get("millrace-id", "")
    channel.tx_select()
    for number in range(count):
        if identity:
            properties.headers["millrace-id"] = f"{number:0{len(identity)}d}"
        channel.basic_publish(
            method.exchange, method.routing_key, before + payload(number, size).encode() + after, properties
        )
        if number % _CONFIRM_EVERY == _CONFIRM_EVERY - 1:
            channel.tx_commit()
    channel.tx_commit()
