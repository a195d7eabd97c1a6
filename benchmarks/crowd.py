"""A load generator of its own process: 64 connections post 1 KB bodies, each its next when the last was answered.

    python benchmarks/crowd.py PORT PATH SECONDS      prints requests a second

Raw asyncio protocols: a general HTTP client would cost more than the server that is measured.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import cast

import uvloop

CONNECTIONS = 64
BODY_BYTES = 1000


class Poster(asyncio.Protocol):
    """One connection: writes a request, reads the answer's head and body, writes the next."""

    def __init__(self, request: bytes, wanted: bytes) -> None:
        self.answered = 0
        self.failed = b""
        self._request = request
        self._wanted = wanted
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(rest) < content_length(head):
            return
        if not head.startswith(self._wanted):
            self.failed = self._buffer
            self._transport.close()
            return
        self._buffer = b""
        self.answered += 1
        self._transport.write(self._request)


def content_length(head: bytes) -> int:
    """The body's length by the head of an answer."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def run(port: int, path: str, seconds: float) -> float:
    """Requests a second; raises RuntimeError when an answer is not 202."""
    request = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        f"Content-Length: {BODY_BYTES}\r\n\r\n"
    ).encode() + os.urandom(BODY_BYTES)
    loop = asyncio.get_running_loop()
    posters = []
    for _ in range(CONNECTIONS):
        _, poster = await loop.create_connection(lambda: Poster(request, b"HTTP/1.1 202"), "127.0.0.1", port)
        posters.append(poster)
    await asyncio.sleep(min(0.5, seconds / 4))  # warm
    began, before = time.perf_counter(), sum(poster.answered for poster in posters)
    await asyncio.sleep(seconds)
    answered = sum(poster.answered for poster in posters) - before
    elapsed_s = time.perf_counter() - began
    for poster in posters:
        if poster.failed or not poster.answered:
            raise RuntimeError(poster.failed[:500].decode(errors="replace") or "a connection got no answer")
    return answered / elapsed_s


if __name__ == "__main__":
    print(uvloop.run(run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))))
