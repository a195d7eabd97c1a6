"""The rows of the table, one file each: a module has `measure(quick) -> list of figures`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import cast

from benchmarks.measured import Figure

NAMES = (
    *("embedded", "peers", "null", "model", "pipe", "intake", "faults", "growth", "start", "gpu"),
    *("sqs", "warm", "cold"),
    *("rabbitmq", "rabbitmq_together", "rabbitmq_latency", "rabbitmq_defaults", "seed", "brokers"),
)


def row(name: str) -> Callable[[bool], Sequence[Figure]]:
    """The function that measures a row; `quick` takes a fraction of the time and repeats."""
    return cast("Callable[[bool], Sequence[Figure]]", importlib.import_module(f"benchmarks.rows.{name}").measure)
