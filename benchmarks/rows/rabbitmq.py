"""A RabbitMQ queue drained by one worker: ours over other libraries' and over the client that calls nothing.

The same durable quorum queue, persistent messages and acknowledgement after the handler for all; each with the settings
that were found to be its best.
"""

from __future__ import annotations

from benchmarks.measured import Figure, by_turns
from benchmarks.workers import contest
from benchmarks.workers.drive import drained
from benchmarks.workers.seen import Handled

SIZES = {200: "200 B", 4096: "4 KB"}  # bytes
REPEATS = 5  # of 20,000 messages: 100,000 for each library and size
WHAT = "a preloaded RabbitMQ queue drained by one worker"


def measure(quick: bool) -> list[Figure]:
    if why := contest.missing():
        return [each for size in SIZES for each in figures(size, {}, why)]
    found = []
    with contest.server() as url:
        for size in SIZES:
            found += figures(size, runs(url, size, quick))
    return found


def runs(url: str, size: int, quick: bool) -> contest.Runs:
    """Every library's drains of messages of `size` bytes."""
    count = contest.messages(quick)

    def run(library: str) -> Handled:
        return drained(library, url, count, size, contest.BEST[library])

    return by_turns(1 if quick else REPEATS, contest.present(), run)


def figures(size: int, found: contest.Runs, why: str = "") -> list[Figure]:
    return contest.figures(f"rabbitmq, {SIZES[size]}", f"{WHAT}, {SIZES[size]}", found, why=why)
