"""Growth: the same throughput with a million messages waiting as with a thousand, and no more memory.

Each turn puts as many messages as it then times, so both tables grow alike: one queue goes down to a thousand, the
other stands at a million. What counts is what the server settled, by its own counter.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import httpx
import psutil

from benchmarks import mill
from benchmarks.measured import Figure, alternate, per_s
from millrace.demo.counters import Counters

SMALL, LARGE = 1_000, 1_000_000
BATCH = 100
WARM = 5_000
PUT_AT_ONCE = 5_000
POLL_S = 0.02
FUNCTION = {"batch": {"size": BATCH, "wait": "5ms"}, "replicas": 1}


class Standing:
    """A project whose backlog is a length again after each turn; a turn has a server of its own."""

    def __init__(self, folder: Path, backlog: int, turnover: int) -> None:
        self.rss_bytes: list[int] = []
        self._folder = folder
        self._turnover = turnover
        mill.write_project(folder, "noop.Noop", FUNCTION)
        asyncio.run(self._put(backlog))

    def turn(self) -> float:
        """Messages settled a second while `turnover` messages leave the queue."""
        return asyncio.run(self._turn())

    async def _turn(self) -> float:
        await self._put(WARM + self._turnover)
        async with mill.up(self._folder) as server:
            async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
                before, began = await settled(client, WARM)
                after, ended = await settled(client, before + self._turnover - BATCH * 10)
            self.rss_bytes.append(psutil.Process(server.pid).memory_info().rss)
        return (after - before) / (ended - began)

    async def _put(self, count: int) -> None:
        async with mill.opened(self._folder) as backend:
            for start in range(0, count, PUT_AT_ONCE):
                bodies = [os.urandom(200) for _ in range(min(PUT_AT_ONCE, count - start))]
                await mill.put_all(backend, mill.messages(bodies), PUT_AT_ONCE)


async def settled(client: httpx.AsyncClient, least: int) -> tuple[int, float]:
    """How many messages the server has settled since it started, as soon as it is `least`, and when that was."""
    while True:
        count = Counters.read((await client.get("/metrics")).text).settled
        if count >= least:
            return count, time.perf_counter()
        await asyncio.sleep(POLL_S)


def measure(quick: bool) -> list[Figure]:
    repeats, turnover, large = (2, 20_000, 50_000) if quick else (5, 80_000, LARGE)
    with mill.scratch() as first, mill.scratch() as second:
        few, many = Standing(first, SMALL, turnover), Standing(second, large, turnover)
        ratios, ours, small = alternate(repeats, many.turn, few.turn)
    grown = [(a - b) / 1e6 for a, b in zip(many.rss_bytes, few.rss_bytes, strict=True)]
    what = f"a backlog of {large:,} over one of {SMALL:,}"
    return [
        Figure("growth", what, ratios, "at least", 0.9, remark=f"{per_s(ours)} over {per_s(small)}"),
        Figure("growth: memory", "the parent's resident memory, likewise", grown, "at most", 50, "MB", "difference"),
    ]
