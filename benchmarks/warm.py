"""A load generator for handlers behind HTTP: connections that ask again as soon as they are answered.

    python -m benchmarks.warm PORT PATH CONNECTIONS SECONDS      prints requests a second, p50 and CPU, as JSON

Raw asyncio protocols, and httptools to read answers, whichever way their length is said. A request's CPU is that of the
whole machine: server, handler, kernel and this process.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import Any, cast

import httptools
import uvloop

from benchmarks.machine import busy_s


class Asker(asyncio.Protocol):
    """One connection; `times_s` has how long each answer took."""

    def __init__(self, request: bytes) -> None:
        self.times_s: list[float] = []
        self.failed = b""
        self._request = request
        self._parser: Any = None
        self._body = b""
        self._done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        if self._done:
            self.times_s.append(time.perf_counter() - self._asked_at)
            self._ask()

    def on_body(self, piece: bytes) -> None:
        self._body += piece

    def on_message_complete(self) -> None:
        self._done = self._parser.get_status_code() == 200
        if not self._done:
            self.failed = self._body or b"an answer without 200"
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.failed = self.failed or b"the server closed a connection"

    def _ask(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body, self._done = b"", False
        self._asked_at = time.perf_counter()
        self._transport.write(self._request)


async def run(port: int, path: str, connections: int, seconds: float) -> dict[str, float]:
    """Requests a second, the median answer time and the CPU of one; raises RuntimeError when an answer is not 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: */*\r\n\r\n".encode()
    loop = asyncio.get_running_loop()
    askers = []
    for _ in range(connections):
        _, asker = await loop.create_connection(lambda: Asker(request), "127.0.0.1", port)
        askers.append(asker)
    await asyncio.sleep(min(1.0, seconds / 4))  # warm
    began, busy, before = time.perf_counter(), busy_s(), [len(asker.times_s) for asker in askers]
    await asyncio.sleep(seconds)
    elapsed_s, spent_s = time.perf_counter() - began, busy_s() - busy
    for asker in askers:
        if asker.failed or not asker.times_s:
            raise RuntimeError(asker.failed[:500].decode(errors="replace") or "a connection got no answer")
    times_s = [one for asker, past in zip(askers, before, strict=True) for one in asker.times_s[past:]]
    return {
        "rate": len(times_s) / elapsed_s,
        "p50_ms": statistics.median(times_s) * 1000,
        "cpu_us": spent_s / len(times_s) * 1e6,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
