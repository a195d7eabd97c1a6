"""Goodput under faults: a replica killed with SIGKILL every two seconds, against the undisturbed run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from pathlib import Path

from benchmarks import mill
from benchmarks.measured import Figure, alternate, per_s
from millrace.server_process import ServerProcess

WHAT = "a replica SIGKILLed every 2 s: throughput over the undisturbed run"
BATCH = 32
REPLICAS = 2
KILL_EVERY_S = 2.0
FUNCTION = {"batch": {"size": BATCH, "wait": "20ms"}, "replicas": REPLICAS, "retry": {"base": "50ms", "max": "1s"}}


class Tally:
    """What became of the messages of all disturbed runs."""

    def __init__(self) -> None:
        self.sent = self.done = self.rows = self.kills = 0

    def __str__(self) -> str:
        lost = self.sent - self.done
        return (
            f"{self.kills} kills, {self.done:,} of {self.sent:,} done, {lost} lost, {self.rows - self.done} duplicates"
        )


def measure(quick: bool) -> list[Figure]:
    repeats, count = (1, 25_000) if quick else (5, 60_000)
    bodies = [os.urandom(200) for _ in range(count)]
    tally = Tally()
    ratios, ours, calm = alternate(
        repeats, lambda: asyncio.run(_run(bodies, tally)), lambda: asyncio.run(_run(bodies, None))
    )
    lost = [float(tally.sent - tally.done + abs(tally.rows - tally.done))]
    return [
        Figure("faults", WHAT, ratios, "at least", 0.9, remark=f"{per_s(ours)} over {per_s(calm)}"),
        Figure("faults: lost or doubled", "of the same runs", lost, "at most", 0, "messages", str(tally)),
    ]


async def _run(bodies: list[bytes], tally: Tally | None) -> float:
    with mill.scratch() as folder:
        mill.write_project(folder, "noop.Busy", FUNCTION, {"max_receives": 20})
        return await _drain(folder, bodies, tally)


async def _drain(folder: Path, bodies: list[bytes], tally: Tally | None) -> float:
    async with mill.opened(folder) as backend:
        work = mill.messages(bodies)
        await mill.put_all(backend, work, 1000)
        async with mill.up(folder) as server:
            draining = mill.drain_rate(backend, work, BATCH, REPLICAS)
            rate = await (draining if tally is None else under_fire(server, draining, tally))
        if tally is not None:
            tally.sent += len(work)
            tally.done += await count_done(backend, work)
            tally.rows += await count_rows(backend)
        return rate


async def under_fire(server: ServerProcess, draining: Awaitable[float], tally: Tally) -> float:
    """Kill a replica every two seconds until the queue is drained."""
    rate = asyncio.ensure_future(draining)
    while not (await asyncio.wait({rate}, timeout=KILL_EVERY_S))[0]:
        tally.kills += server.kill_replica() is not None
    return rate.result()


async def count_done(backend: mill.Backend, work: list[mill.Message]) -> int:
    """How many of the messages have a record that says done."""
    records = [await backend.results.get(message.id) for message in work]
    return sum(record is not None and record.state == "done" for record in records)


async def count_rows(backend: mill.Backend) -> int:
    """How many rows the table has."""
    rows, after = 0, None
    while page := await backend.tables[mill.TABLE].scan(after=after, limit=10_000):
        rows, after = rows + len(page), page[-1].key
    return rows
