"""A library's message as a pattern for many: one that it wrote itself, with the payload and the identity exchanged."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec

from benchmarks.page import ROOT
from benchmarks.workers.seen import payload


class Pattern(msgspec.Struct):
    """Where a library publishes to, with which properties, and what its body has around the payload."""

    exchange: str
    routing_key: str
    properties: Any  # pika.BasicProperties
    before: bytes
    after: bytes

    def publish(self, channel: Any, number: int, size: int, sent_at: float = 0.0) -> None:
        """One more like it; who forgets what has an id that was seen must not find two of one."""
        if identity := self.properties.message_id:
            self.properties.message_id = f"{number:0{len(identity)}d}"
        body = self.before + payload(number, size, sent_at).encode() + self.after
        channel.basic_publish(self.exchange, self.routing_key, body, self.properties)


def pattern(library: str, url: str, connection: Any, queue: str, size: int) -> Pattern:
    """Have the library declare the queue and put one message, and take that from it.

    Raises RuntimeError when the library failed, or wrote something in which its payload cannot be found.
    """
    command = [sys.executable, "-m", "benchmarks.workers", library, "sample"]
    done = subprocess.run(
        [*command, "--url", url, "--queue", queue, "--size", str(size)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{library} could not put a message: {done.stderr[-1000:]}")
    method, properties, body = connection.channel().basic_get(queue, auto_ack=True)
    text = payload(0, size).encode()
    if method is None or body.count(text) != 1:
        raise RuntimeError(f"{library} wrote {body!r}, expected {text!r} once in it")
    if properties.headers:
        properties.headers.pop("x-delivery-count", None)  # RabbitMQ's, who was asked for one message
    before, after = body.split(text)
    return Pattern(method.exchange, method.routing_key, properties, before, after)
