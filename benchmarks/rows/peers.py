"""The same work through millrace and through other SQLite queues, by turns; the ratio is to the best of them."""

from __future__ import annotations

import os
import statistics

from benchmarks import mill
from benchmarks.measured import Figure
from benchmarks.peers import PEERS, rate
from benchmarks.rows import embedded

WHAT = "the same through huey, litequeue and persist-queue at FULL"


def measure(quick: bool) -> list[Figure]:
    repeats, count = (1, 1000) if quick else (5, 3000)
    bodies = [os.urandom(200) for _ in range(count)]
    ours: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in PEERS}
    for _ in range(repeats):
        ours.append(embedded.rate(bodies * 10))  # ten times as much, for a run of about the same length
        for name, peer in PEERS.items():
            theirs[name].append(rate(peer, bodies, mill.scratch))
    medians = {name: statistics.median(rates) for name, rates in theirs.items()}
    best = max(medians, key=medians.__getitem__)
    ratios = [mine / other for mine, other in zip(ours, theirs[best], strict=True)]
    listed = ", ".join(f"{name} {median:,.0f}/s" for name, median in medians.items())
    return [Figure("peers", WHAT, ratios, "at least", 3, remark=f"{statistics.median(ours):,.0f}/s; {listed}")]
