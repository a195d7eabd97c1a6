"""The drains of `rabbitmq` again, with every library as it comes: a table of its own, held to no target."""

from __future__ import annotations

from benchmarks.measured import Figure, by_turns
from benchmarks.workers import contest
from benchmarks.workers.drive import drained
from benchmarks.workers.seen import Handled

NAME = "rabbitmq, defaults"
WHAT = "a preloaded RabbitMQ queue drained by one worker with its defaults, 200 B"
PART = "defaults"  # of docs/benchmarks.md
SIZE = 200  # bytes


def measure(quick: bool) -> list[Figure]:
    if why := contest.missing():
        return contest.figures(NAME, WHAT, {}, why=why, held=False, part=PART)
    count = contest.messages(quick) // 2
    with contest.server() as url:

        def run(library: str) -> Handled:
            return drained(library, url, count, SIZE, contest.BEST["bare"] if library == "bare" else {})

        runs = by_turns(1 if quick else 3, contest.present(), run)
    return contest.figures(NAME, WHAT, runs, held=False, part=PART)
