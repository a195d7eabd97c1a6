"""Growth: the same throughput with a million messages waiting as with a thousand, and no more memory.

The backlog is kept at its length: the next hundred are put when the hundred at its front are done, in both cases alike.
What counts is what the server settled meanwhile, by its own counter.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from pathlib import Path

import httpx
import psutil

from benchmarks import mill
from benchmarks.measured import Figure, alternate, per_s
from millrace.demo.counters import Counters

SMALL, LARGE = 1_000, 1_000_000
BATCH = 100  # ten of them are the small backlog: neither case starves the replica
FUNCTION = {"batch": {"size": BATCH, "wait": "5ms"}, "replicas": 1}


class Standing:
    """A project whose backlog stands at a length; `turn` measures it once, with a new server."""

    def __init__(self, folder: Path, backlog: int, turnover: int) -> None:
        self.rss_bytes: list[int] = []
        self._folder = folder
        self._backlog = backlog
        self._turnover = turnover
        self._waiting: deque[str] = deque()  # ids in the order they were put
        mill.write_project(folder, "noop.Noop", FUNCTION)

    async def fill(self) -> None:
        """Put the backlog."""
        async with mill.opened(self._folder) as backend:
            while len(self._waiting) < self._backlog:
                await self._put(backend, min(5_000, self._backlog - len(self._waiting)))

    async def turn(self) -> float:
        """Messages settled a second while `turnover` messages are put."""
        async with mill.opened(self._folder) as backend, mill.up(self._folder) as server:
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
                await self._pass(backend, 50 * BATCH)  # warm
                began, before = time.perf_counter(), await settled(client)
                await self._pass(backend, self._turnover)
                rate = (await settled(client) - before) / (time.perf_counter() - began)
            self.rss_bytes.append(psutil.Process(server.pid).memory_info().rss)
            return rate

    async def _pass(self, backend: mill.Backend, count: int) -> None:
        for _ in range(count // mill.PUT_AT_ONCE):
            await self._put(backend, mill.PUT_AT_ONCE)
            for _ in range(mill.PUT_AT_ONCE):
                oldest = self._waiting.popleft()
            await mill.finished(backend, oldest)

    async def _put(self, backend: mill.Backend, count: int) -> None:
        work = mill.messages([os.urandom(200) for _ in range(count)])
        await mill.put_all(backend, work, count)
        self._waiting.extend(message.id for message in work)


async def settled(client: httpx.AsyncClient) -> int:
    """How many messages the server has settled since it started."""
    return Counters.read((await client.get("/metrics")).text).settled


def measure(quick: bool) -> list[Figure]:
    repeats, turnover, large = (1, 10_000, 50_000) if quick else (5, 60_000, LARGE)
    with mill.scratch() as first, mill.scratch() as second:
        few, many = Standing(first, SMALL, turnover), Standing(second, large, turnover)
        asyncio.run(few.fill())
        asyncio.run(many.fill())
        ratios, ours, small = alternate(repeats, lambda: asyncio.run(many.turn()), lambda: asyncio.run(few.turn()))
    grown = [(a - b) / 1e6 for a, b in zip(many.rss_bytes, few.rss_bytes, strict=True)]
    what = f"a backlog of {large:,} over one of {SMALL:,}"
    return [
        Figure("growth", what, ratios, "at least", 0.9, remark=f"{per_s(ours)} over {per_s(small)}"),
        Figure("growth: memory", "the parent's resident memory, likewise", grown, "at most", 50, "MB", "difference"),
    ]
