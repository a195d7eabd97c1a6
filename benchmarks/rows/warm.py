"""A warm hello handler behind HTTP: requests a second against serverless-offline, and how long one answer takes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks import mill, offline
from benchmarks.measured import Figure, alternate, per_s, skipped
from benchmarks.npm import Absent
from benchmarks.page import ROOT

CONNECTIONS = 8
TARGET, P50_MS = 5, 3
RATE = f"a warm hello handler of serverless.yml over HTTP, {CONNECTIONS} connections, over serverless-offline"
P50 = "one answer of it, asked one at a time: p50"


class Load(NamedTuple):
    """What a load generator saw."""

    rate: float
    p50_ms: float


def measure(quick: bool) -> list[Figure]:
    repeats, seconds = (1, 3.0) if quick else (5, 6.0)
    with contextlib.ExitStack() as running:
        ours = running.enter_context(offline.millrace(running.enter_context(mill.scratch())))
        alone = [load(ours, 1, seconds / 2).p50_ms for _ in range(repeats)]
        p50 = Figure("warm: p50", P50, alone, "at most", P50_MS, "ms", "one connection")
        try:
            theirs = running.enter_context(offline.serverless_offline(running.enter_context(mill.scratch())))
        except Absent as why:
            return [skipped("warm", RATE, "at least", TARGET, str(why)), p50]
        ratios, mine, other = alternate(
            repeats, lambda: load(ours, CONNECTIONS, seconds).rate, lambda: load(theirs, CONNECTIONS, seconds).rate
        )
    return [Figure("warm", RATE, ratios, "at least", TARGET, remark=f"{per_s(mine)} over {per_s(other)}"), p50]


def load(url: str, connections: int, seconds: float) -> Load:
    """What the load generator saw, in its own process."""
    port = urlsplit(url).port
    command = [sys.executable, "-m", "benchmarks.warm", str(port), offline.PATH, str(connections), str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return Load(**json.loads(done.stdout))
