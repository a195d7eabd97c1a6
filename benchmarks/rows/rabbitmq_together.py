"""A RabbitMQ queue filled by each library's own producer, one process, while its worker empties it."""

from __future__ import annotations

from benchmarks.measured import Figure, by_turns
from benchmarks.workers import contest
from benchmarks.workers.drive import together
from benchmarks.workers.seen import Handled

NAME = "rabbitmq, both"
WHAT = "RabbitMQ, produce and drain together, a process each, 200 B"
SIZE = 200  # bytes


def measure(quick: bool) -> list[Figure]:
    if why := contest.missing():
        return contest.figures(NAME, WHAT, {}, why=why)
    count = contest.messages(quick) // 4  # most producers wait for each confirm: they are slower than any worker
    with contest.server() as url:

        def run(library: str) -> Handled:
            return together(library, url, count, SIZE, contest.BEST[library])

        return contest.figures(NAME, WHAT, by_turns(1 if quick else 3, contest.present(), run))
