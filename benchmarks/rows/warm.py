"""A warm hello handler behind HTTP: requests a second against serverless-offline, and how long one answer takes."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks import mill, offline
from benchmarks.measured import Figure, by_turns, per_s, skipped
from benchmarks.npm import Absent
from benchmarks.page import ROOT

CONNECTIONS = 8
TARGET, P50_MS = 5, 3
OURS, PEER = "millrace", "serverless-offline"
HOP, BOUND = "uvicorn and a bare hop to the handler's process", "the same answer from uvicorn, nothing called"
RATE = f"a warm hello handler of serverless.yml over HTTP, {CONNECTIONS} connections, over serverless-offline"
P50 = "one answer of it, asked one at a time: p50"
ALL = "warm's bare hop, were the CPU of all its processes spread over the cores without a gap, over serverless-offline"


class Load(NamedTuple):
    """What a load generator saw."""

    rate: float
    p50_ms: float
    cpu_us: float


def measure(quick: bool) -> list[Figure]:
    repeats, seconds = (1, 3.0) if quick else (5, 6.0)
    with contextlib.ExitStack() as running:
        urls = {OURS: running.enter_context(offline.millrace(running.enter_context(mill.scratch())))}
        alone = [load(urls[OURS], 1, seconds / 2).p50_ms for _ in range(repeats)]
        p50 = Figure("warm: p50", P50, alone, "at most", P50_MS, "ms", "one connection")
        try:
            urls[PEER] = running.enter_context(offline.serverless_offline(running.enter_context(mill.scratch())))
        except Absent as why:
            return [skipped("warm", RATE, "at least", TARGET, str(why)), p50]
        urls[HOP] = running.enter_context(offline.hop(running.enter_context(mill.scratch())))
        urls[BOUND] = running.enter_context(offline.constant(running.enter_context(mill.scratch())))
        loads = by_turns(repeats, urls, lambda side: load(urls[side], CONNECTIONS, seconds))
    rates = {side: [each.rate for each in seen] for side, seen in loads.items()}
    ratios, most = over(rates[OURS], rates[PEER]), over([at_most(each) for each in loads[HOP]], rates[PEER])
    bound = Figure("warm: bound", ALL, most, "at least", None, remark=costs(loads))
    return [Figure("warm", RATE, ratios, "at least", TARGET, remark=remark(rates)), bound, p50]


def over(rates: Sequence[float], base: Sequence[float]) -> list[float]:
    """The ratios of runs side by side."""
    return [mine / theirs for mine, theirs in zip(rates, base, strict=True)]


def at_most(seen: Load) -> float:
    """The rate at which every core would do nothing but this."""
    return len(os.sched_getaffinity(0)) / seen.cpu_us * 1e6


def costs(loads: Mapping[str, Sequence[Load]]) -> str:
    """Every side's CPU a request, load generator included."""
    medians = {side: statistics.median(each.cpu_us for each in seen) for side, seen in loads.items()}
    return "CPU a request: " + ", ".join(f"{side} {spent:.0f} µs" for side, spent in medians.items())


def remark(rates: Mapping[str, Sequence[float]]) -> str:
    """Every side's rate, and for the bounds what ratio they would be."""
    shown = {side: f"{side} {per_s(each)}" for side, each in rates.items()}
    for side in (HOP, BOUND):
        shown[side] += f" ({statistics.median(over(rates[side], rates[PEER])):.2f})"
    return ", ".join(shown.values())


def load(url: str, connections: int, seconds: float) -> Load:
    """What the load generator saw, in its own process."""
    port = urlsplit(url).port
    command = [sys.executable, "-m", "benchmarks.warm", str(port), offline.PATH, str(connections), str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return Load(**json.loads(done.stdout))
