"""What millrace itself costs an item: a backlog through the no-op model, result row and dedupe record included."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from benchmarks import mill
from benchmarks.measured import Figure
from benchmarks.rows.embedded import BATCH, FUNCTION

WHAT = "a backlog through the no-op model, durable, row and record included"


def measure(quick: bool) -> list[Figure]:
    repeats, count = (2, 20_000) if quick else (5, 100_000)
    bodies = [os.urandom(200) for _ in range(count)]
    micros = [1e6 / asyncio.run(_rate(bodies)) for _ in range(repeats)]
    return [Figure("null", WHAT, micros, "at most", 40, "µs/item", f"{count:,} messages of 200 bytes")]


async def _rate(bodies: list[bytes]) -> float:
    with mill.scratch() as folder:
        mill.write_project(folder, "noop.Noop", FUNCTION)
        return await _drain(folder, bodies)


async def _drain(folder: Path, bodies: list[bytes]) -> float:
    async with mill.opened(folder) as backend:
        work = mill.messages(bodies)
        await mill.put_all(backend, work, 1000)
        async with mill.up(folder, ready=False):
            return await mill.drain_rate(backend, work, BATCH, 1)
