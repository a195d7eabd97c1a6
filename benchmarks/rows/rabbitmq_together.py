"""A RabbitMQ queue filled by each library's own producer, one process, while its worker empties it."""

from __future__ import annotations

from benchmarks.measured import Figure
from benchmarks.rows import rabbitmq
from benchmarks.workers.drive import together

NAME = "rabbitmq, both"
WHAT = "RabbitMQ, produce and drain together, a process each"


def measure(quick: bool) -> list[Figure]:
    return rabbitmq.contested(NAME, WHAT, together, quick)
