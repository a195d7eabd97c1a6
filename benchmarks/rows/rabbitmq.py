"""A RabbitMQ queue drained by one worker: ours over other libraries' and over the client that calls nothing.

The same durable quorum queue, persistent messages and acknowledgement after the handler for all; each with the settings
that were found to be its best.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.measured import Figure, by_turns
from benchmarks.workers import contest
from benchmarks.workers.drive import Settings, drained
from benchmarks.workers.seen import Handled

SIZES = {200: "200 B", 4096: "4 KB"}  # bytes
REPEATS = 5  # of 20,000 messages: 100,000 for each library and size
WHAT = "a preloaded RabbitMQ queue drained by one worker"

Way = Callable[[str, str, int, int, Settings], Handled]


def measure(quick: bool) -> list[Figure]:
    return contested("rabbitmq", WHAT, drained, quick)


def contested(name: str, what: str, way: Way, quick: bool) -> list[Figure]:
    """Every library's runs one `way`, by turns, with messages of each size."""
    if why := contest.missing():
        return [each for size in SIZES for each in figures(name, what, size, {}, why)]
    found = []
    with contest.server() as url:
        for size in SIZES:
            found += figures(name, what, size, runs(way, url, size, quick))
    return found


def runs(way: Way, url: str, size: int, quick: bool) -> contest.Runs:
    """Every library's runs with messages of `size` bytes."""
    count = contest.messages(quick)

    def run(library: str) -> Handled:
        return way(library, url, count, size, contest.BEST[library])

    return by_turns(1 if quick else REPEATS, contest.present(), run)


def figures(name: str, what: str, size: int, found: contest.Runs, why: str = "") -> list[Figure]:
    return contest.figures(f"{name}, {SIZES[size]}", f"{what}, {SIZES[size]}", found, why=why)
