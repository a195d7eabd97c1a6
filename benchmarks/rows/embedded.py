"""End to end on the embedded backend against the same statements without millrace, and against other SQLite queues.

millrace: this process puts by 100 over the file while `millrace up` takes, runs the no-op model in a replica, and
commits result row, dedupe record and deletion. From the first put to the last durable result.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from benchmarks import mill
from benchmarks.bare import BareLoop
from benchmarks.measured import Figure, alternate, per_s

WHAT = "put by 100, no-op model in a replica, one commit; 200-byte messages"
BATCH = 1000
FUNCTION = {"batch": {"size": BATCH, "wait": "5ms"}, "replicas": 1}


def measure(quick: bool) -> list[Figure]:
    repeats, count = (2, 10_000) if quick else (5, 50_000)
    bodies = [os.urandom(200) for _ in range(count)]
    with mill.scratch() as folder:
        loop = BareLoop(folder, BATCH)
        try:
            loop.run(bodies[:2000])
            ratios, ours, bare = alternate(repeats, lambda: rate(bodies), lambda: loop.run(bodies))
        finally:
            loop.close()
    return [
        Figure("embedded", WHAT, ratios, "at least", 0.5, remark=f"{per_s(ours)} over {per_s(bare)} of a bare loop")
    ]


def rate(bodies: list[bytes]) -> float:
    """Messages a second of millrace, in a fresh project."""
    with mill.scratch() as folder:
        mill.write_project(folder, "noop.Noop", FUNCTION)
        return asyncio.run(_rate(folder, bodies))


async def _rate(folder: Path, bodies: list[bytes]) -> float:
    async with mill.up(folder), mill.opened(folder) as backend:
        warm = mill.messages(bodies[:2000])
        await mill.put_all(backend, warm)
        await mill.drained(backend, warm)
        began = time.perf_counter()
        work = mill.messages(bodies)
        await mill.put_all(backend, work)
        await mill.drained(backend, work)
        elapsed_s = time.perf_counter() - began
        await check(backend, len(warm) + len(work))
        return len(bodies) / elapsed_s


async def check(backend: mill.Backend, expected: int) -> None:
    """Raise unless the table has a row for each message: a fast loss is no speed."""
    rows, after = 0, None
    while page := await backend.tables[mill.TABLE].scan(after=after, limit=10_000):
        rows, after = rows + len(page), page[-1].key
    if rows != expected:
        raise RuntimeError(f"{expected} messages gave {rows} rows")
