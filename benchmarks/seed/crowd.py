"""python -m benchmarks.seed.crowd PORT COUNT IMAGES: post COUNT images of a folder over 64 connections.

Prints when it began and ended, in Unix seconds. A server that closes its connections after an answer gets new ones.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.crowd import content_length

CONNECTIONS = 64
_HEAD = "POST /dg?filename=abc HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"


class Poster(asyncio.Protocol):
    """One connection: a request, its answer, the next request; `closed` is set to what went wrong, if anything."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.done = False  # no request is left
        self._requests = requests
        self._buffer = b""
        self._waits = False
        self._wrong = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(rest) < content_length(head):
            return
        self._waits = False
        if head.split(b" ", 2)[1] not in (b"200", b"202"):
            self._wrong = self._buffer[:500].decode(errors="replace")
        self._buffer = b""
        if self._wrong or b"connection: close" in head.lower():
            self._transport.close()
        else:
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self.closed.set_result(self._wrong or ("the connection was lost before an answer" if self._waits else ""))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done = True
            self._transport.close()
            return
        self._waits = True
        self._transport.write(request)


async def post(port: int, requests: Iterator[bytes]) -> None:
    """Take requests until none is left. Raises RuntimeError for an answer that is neither 200 nor 202."""
    done = False
    while not done:
        _, poster = await asyncio.get_running_loop().create_connection(lambda: Poster(requests), "127.0.0.1", port)
        if wrong := await poster.closed:
            raise RuntimeError(wrong)
        done = poster.done


async def main(port: int, count: int, images: Path) -> tuple[float, float]:
    bodies = [path.read_bytes() for path in sorted(images.iterdir())]
    requests = islice(cycle([(_HEAD % len(body)).encode() + body for body in bodies]), count)
    began = time.time()
    await asyncio.gather(*(post(port, requests) for _ in range(CONNECTIONS)))
    return began, time.time()


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))))
