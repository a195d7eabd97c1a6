"""HTTP intake: durable 202s of 1 KB bodies over 64 connections, against the same gateway that stores nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from benchmarks import mill
from benchmarks.measured import Figure, alternate, per_s

WHAT = "durable 202, 1 KB bodies, 64 connections, over the same server storing nothing"
ROOT = Path(__file__).resolve().parents[2]


def measure(quick: bool) -> list[Figure]:
    repeats, seconds = (2, 1.5) if quick else (5, 6.0)
    ratios, ours, hollow = alternate(repeats, lambda: asyncio.run(durable(seconds)), lambda: storing_nothing(seconds))
    return [Figure("intake", WHAT, ratios, "at least", 0.5, remark=f"{per_s(ours)} over {per_s(hollow)}")]


async def durable(seconds: float) -> float:
    """Requests a second that `millrace up` accepts; no replica runs, the queue only grows."""
    with mill.scratch() as folder:
        mill.write_project(folder, "noop.Noop", {"replicas": 0})
        async with mill.up(folder, ready=False) as server:
            rate = await asyncio.to_thread(crowd, server.url, seconds)
        async with mill.opened(folder) as backend:
            stored = (await backend.broker.stats(mill.QUEUE)).depth
        if stored < rate * seconds:
            raise RuntimeError(f"{rate * seconds:.0f} were accepted, {stored} are stored")
        return rate


def storing_nothing(seconds: float) -> float:
    """Requests a second of the hollow gateway."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.hollow"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        return crowd(server.stdout.readline().strip(), seconds)


def crowd(url: str, seconds: float) -> float:
    """Requests a second, by the load generator in its own process."""
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "benchmarks.crowd", port, f"/queues/{mill.QUEUE}", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(done.stdout)
