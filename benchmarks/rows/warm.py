"""A warm hello handler behind HTTP: requests a second against serverless-offline, and how long one answer takes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks import mill, offline
from benchmarks.measured import Figure, by_turns, per_s, skipped
from benchmarks.npm import Absent
from benchmarks.page import ROOT

CONNECTIONS = 8
TARGET, P50_MS = 5, 3
OURS, PEER, BOUND = "millrace", "serverless-offline", "the same answer from uvicorn, nothing called"
RATE = f"a warm hello handler of serverless.yml over HTTP, {CONNECTIONS} connections, over serverless-offline"
P50 = "one answer of it, asked one at a time: p50"


class Load(NamedTuple):
    """What a load generator saw."""

    rate: float
    p50_ms: float


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
        urls[BOUND] = running.enter_context(offline.constant(running.enter_context(mill.scratch())))
        rates = by_turns(repeats, urls, lambda side: load(urls[side], CONNECTIONS, seconds).rate)
    ratios = [mine / theirs for mine, theirs in zip(rates[OURS], rates[PEER], strict=True)]
    remark = ", ".join(f"{side} {per_s(each)}" for side, each in rates.items())
    return [Figure("warm", RATE, ratios, "at least", TARGET, remark=remark), p50]


def load(url: str, connections: int, seconds: float) -> Load:
    """What the load generator saw, in its own process."""
    port = urlsplit(url).port
    command = [sys.executable, "-m", "benchmarks.warm", str(port), offline.PATH, str(connections), str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return Load(**json.loads(done.stdout))
