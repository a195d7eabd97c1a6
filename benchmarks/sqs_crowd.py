"""A load generator for SQS servers that costs next to nothing: the bytes that boto3 sends, over raw connections.

    python -m benchmarks.sqs_crowd URL QUEUE_URL CONNECTIONS SECONDS      prints messages a second

Each connection sends ten, receives up to ten and deletes those, again and again. What boto3 itself would write was
caught from boto3: of the headers only Content-Length is made anew for the deletes, whose handles come from the answers.
The signature is then of another body, which none of these servers looks at. What was deleted is what counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec
import uvloop

from benchmarks.sqs_client import BATCH, BODY, connect

_HANDLES = "handles"
_decoder = msgspec.json.Decoder()


class _Caught(Exception):
    """Ends boto3's call before anything is sent."""


class Request:
    """One call as boto3 writes it: head and body."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.head = head
        self.body = body

    def whole(self, body: bytes | None = None) -> bytes:
        """Head, length and body; another body than boto3's where one is given."""
        body = self.body if body is None else body
        return b"%sContent-Length: %d\r\n\r\n%s" % (self.head, len(body), body)


def caught(url: str, operation: str, **parameters: Any) -> Request:
    """What boto3 would send for an operation."""
    client = connect(url)
    seen: list[Any] = []

    def stop(request: Any, **_: Any) -> None:
        seen.append(request)
        raise _Caught

    client.meta.events.register("before-send.sqs", stop)
    with contextlib.suppress(_Caught):
        getattr(client, operation)(**parameters)
    return _written(seen[0])


def _written(request: Any) -> Request:
    where = urlsplit(request.url)
    lines = [f"{request.method} {where.path or '/'} HTTP/1.1", f"Host: {where.netloc}", "Accept-Encoding: identity"]
    for name, value in request.headers.items():
        if name.lower() not in ("content-length", "host"):
            lines.append(f"{name}: {value.decode() if isinstance(value, bytes) else value}")
    return Request("\r\n".join([*lines, ""]).encode(), request.body)


class Client(asyncio.Protocol):
    """One connection, anew where the server closes it after each answer, and the three requests by turns."""

    def __init__(self, send: Request, receive: Request, delete: Request, queue_url: str) -> None:
        self.deleted = 0
        self.failed = b""
        self._send, self._receive, self._delete = send.whole(), receive.whole(), delete
        self._queue_url = queue_url
        self._steps = self._round()
        self._body, self._done, self._stays = b"", True, True
        self._again: set[asyncio.Task[Any]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if not self._done or self.failed:
            return
        if self._stays:
            self._next()
        else:
            self._reconnect()

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        self._done = True
        self._stays = self._parser.should_keep_alive()  # which it knows only here
        if self._parser.get_status_code() != 200 or b'"Failed":[{' in self._body.replace(b" ", b""):
            self.failed = self._body or b"an answer without 200"
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done:
            self.failed = self.failed or b"the server closed a connection"

    def _next(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._answer, self._body, self._done = self._body, b"", False
        self._transport.write(next(self._steps))

    def _reconnect(self) -> None:
        peer = self._transport.get_extra_info("peername")
        self._transport.close()
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.create_connection(lambda: self, *peer[:2]))
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    def _round(self) -> Iterator[bytes]:
        while True:
            yield self._send
            yield self._receive
            handles = [each["ReceiptHandle"] for each in _decoder.decode(self._answer).get("Messages") or ()]
            if handles:
                yield self._delete.whole(deleting(self._queue_url, handles))
                self.deleted += len(handles)


def deleting(queue_url: str, handles: list[str]) -> bytes:
    """The body of a DeleteMessageBatch, as boto3 spells it."""
    entries = [{"Id": str(place), "ReceiptHandle": handle} for place, handle in enumerate(handles)]
    return json.dumps({"QueueUrl": queue_url, "Entries": entries}).encode()


async def run(url: str, queue_url: str, connections: int, seconds: float) -> float:
    """Messages deleted a second; raises RuntimeError where a call fails."""
    entries = [{"Id": str(place), "MessageBody": BODY} for place in range(BATCH)]
    send = caught(url, "send_message_batch", QueueUrl=queue_url, Entries=entries)
    receive = caught(url, "receive_message", QueueUrl=queue_url, MaxNumberOfMessages=BATCH)
    handle = {"Id": "0", "ReceiptHandle": _HANDLES}
    delete = caught(url, "delete_message_batch", QueueUrl=queue_url, Entries=[handle])
    where = urlsplit(url)
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(send, receive, delete, queue_url), where.hostname, where.port
        )
        clients.append(client)
    await asyncio.sleep(min(1.0, seconds / 4))  # warm
    began, before = time.perf_counter(), sum(client.deleted for client in clients)
    await asyncio.sleep(seconds)
    deleted = sum(client.deleted for client in clients) - before
    elapsed_s = time.perf_counter() - began
    for client in clients:
        if client.failed:
            raise RuntimeError(client.failed[:500].decode(errors="replace"))
    return deleted / elapsed_s


if __name__ == "__main__":
    print(uvloop.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
