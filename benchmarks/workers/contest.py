"""The libraries by turns on a private RabbitMQ, and what their runs have in common in the table."""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec

from benchmarks import mill
from benchmarks.measured import MAIN, Figure, skipped
from benchmarks.workers.drive import Settings
from benchmarks.workers.seen import Handled
from tests.services.rabbitmq import Rabbitmq

OURS = "millrace"
# Found by hand on two busy cores, two runs of 3,000 to 20,000 messages of 200 bytes each: those that took the least CPU
# a message, which other work disturbs less than a rate. Prefetch 10 to 1,000 for each, none for FastStream; 1 to 8
# threads for Dramatiq, 10 to 500 tasks at once for taskiq, each of its pools for Celery, 100 to 1,000 a batch for ours.
BEST: dict[str, Settings] = {
    OURS: {"prefetch": 500},
    "dramatiq": {"threads": 8, "prefetch": 500},
    "celery": {"pool": 0, "threads": 1, "prefetch": 1000},
    "faststream": {"prefetch": 0},
    "taskiq": {"threads": 500, "prefetch": 500},
    "bare": {"prefetch": 1000},
}
TARGETS = {"dramatiq": 5.0, "celery": 8.0, "faststream": 3.0, "taskiq": 3.0, "bare": 0.7}
TITLES = {
    "dramatiq": "Dramatiq",
    "celery": "Celery",
    "faststream": "FastStream",
    "taskiq": "taskiq",
    "bare": "the bare client",
}
_MODULES = {"dramatiq": "dramatiq", "celery": "celery", "faststream": "faststream", "taskiq": "taskiq_aio_pika"}
_MEMORY = {"vm_memory_high_watermark.absolute": "4GB"}  # no publisher is to be held back

Runs = Mapping[str, Sequence[Handled]]


def messages(quick: bool) -> int:
    """How many messages a drain has: MILLRACE_BENCH_MESSAGES, where it is set."""
    return int(os.environ.get("MILLRACE_BENCH_MESSAGES", 3_000 if quick else 20_000))


def missing() -> str:
    """Why nothing can be measured here, "" where it can."""
    if Rabbitmq.program() is None:
        return "rabbitmq-server is not installed"
    return "" if find_spec("pika") else "pika is not installed"


def absent(library: str) -> str:
    """Why a library cannot be measured here, "" where it can."""
    module = _MODULES.get(library)
    return f"{module} is not installed" if module and find_spec(module) is None else ""


def present() -> list[str]:
    """The libraries that can be measured here, ours first."""
    return [library for library in BEST if not absent(library)]


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A RabbitMQ with its data on the disk of the checkout."""
    with mill.scratch() as folder, Rabbitmq(_MEMORY) as rabbitmq:
        yield rabbitmq.start(folder)


def figures(name: str, what: str, runs: Runs, *, why: str = "", held: bool = True, part: str = MAIN) -> list[Figure]:
    """Our rates over each library's, to its target where they are `held` to it; skipped, with `why`, where missing."""
    found = []
    for library, target in TARGETS.items():
        title, said = f"{name}, {TITLES[library]}", f"{what}, over {TITLES[library]}"
        to = target if held else None
        if library in runs:
            values = [mine.per_s / theirs.per_s for mine, theirs in zip(runs[OURS], runs[library], strict=True)]
            found.append(Figure(title, said, values, "at least", to, remark=_compared(runs, library), part=part))
        else:
            found.append(skipped(title, said, "at least", to, why or absent(library), part))
    return found


def middle(runs: Sequence[Handled], field: str) -> float:
    """The median of what runs report."""
    return statistics.median(getattr(run, field) for run in runs)


def _compared(runs: Runs, library: str) -> str:
    """Rates, CPU and memory of ours and of the library's, and whether any message was handled twice."""
    pair = runs[OURS], runs[library]
    rates, spent, held = ([middle(each, field) for each in pair] for field in ("per_s", "cpu_s", "memory_mib"))
    lost = [sum(run.wanted - run.distinct for run in each) for each in pair]
    twice = [sum(run.handled - run.distinct for run in each) for each in pair]
    return (
        f"{rates[0]:,.0f}/s over {rates[1]:,.0f}/s; CPU {spent[0]:.2f} s and {spent[1]:.2f} s a 10,000; "
        f"{held[0]:.0f} MiB and {held[1]:.0f} MiB; "
        f"lost {lost[0]} and {lost[1]}, handled twice {twice[0]} and {twice[1]}"
    )
