"""What feeds functions, checked: patterns that mean something, targets that exist, AWS's limits of batches."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from millrace.config.aws import AsyncConfig, Destination
from millrace.config.events import BatchConfig, BusEvent, QueueEvent, TableEvent, TopicEvent
from millrace.config.findings import Finding, Path, known
from millrace.config.schema import FunctionConfig, Project
from millrace.config.units import format_seconds
from millrace.patterns import PatternError, compile_pattern

_FIFO_BATCH = 10
_LONGEST_WINDOW_S = 300.0
_UNWINDOWED_BATCH = 10
_MOST_FILTERS = 10
_LEAST_CONCURRENCY = 2


def check_mappings(project: Project) -> Iterator[Finding]:
    """Findings about queues' dead letters, topics, functions' events and destinations."""
    yield from _check_dead(project)
    yield from _check_topics(project)
    for name, function in project.functions.items():
        for index, event in enumerate(function.events):
            path: Path = ("functions", name, "events", index)
            if isinstance(event, QueueEvent):
                yield from _check_filters(event.filter, (*path, "filter"))
                yield from _check_batch(project, function, event, path)
            elif isinstance(event, TableEvent):
                yield from _check_filters(event.filter, (*path, "filter"))
                yield from _check_destination(project, event.on_failure, (*path, "on_failure"))
            elif isinstance(event, TopicEvent):
                yield from known("topic", event.topic, project.topics, (*path, "topic"))
                yield from _check_pattern(event.filter, (*path, "filter"))
            elif isinstance(event, BusEvent):
                yield from _check_pattern(event.pattern, (*path, "pattern"))
        yield from _check_tables(function, ("functions", name, "events"))
        yield from _check_asynchronous(project, function.asynchronous, ("functions", name, "asynchronous"))


def _check_dead(project: Project) -> Iterator[Finding]:
    for name, queue in project.queues.items():
        path: Path = ("queues", name, "dead")
        if queue.dead is None:
            continue
        if queue.dead == name:
            yield Finding(path, f"queues.{name} cannot be its own dead-letter queue", "another queue", repr(name))
            continue
        yield from known("queue", queue.dead, project.queues, path)
        target = project.queues.get(queue.dead)
        if target is not None and target.fifo != queue.fifo:
            kind = "a FIFO queue" if queue.fifo else "a queue that is not FIFO"
            yield Finding(
                path, f"queues.{name}: its dead letters need {kind}", f"fifo: {str(queue.fifo).lower()} there"
            )


def _check_topics(project: Project) -> Iterator[Finding]:
    for name, topic in project.topics.items():
        for index, queue in enumerate(topic.queues):
            path: Path = ("topics", name, "queues", index)
            yield from known("queue", queue.queue, project.queues, (*path, "queue"))
            yield from _check_pattern(queue.filter, (*path, "filter"))


def _check_filters(filters: list[dict[str, Any]], path: Path) -> Iterator[Finding]:
    if len(filters) > _MOST_FILTERS:
        yield Finding(path, "more filters than Lambda takes", f"{_MOST_FILTERS} or fewer", str(len(filters)))
    for index, pattern in enumerate(filters):
        yield from _check_pattern(pattern, (*path, index))


def _check_pattern(pattern: dict[str, Any], path: Path) -> Iterator[Finding]:
    try:
        compile_pattern(pattern)
    except PatternError as error:
        yield Finding((*path, *error.path), "an event pattern", error.expected, error.got)


def _check_batch(project: Project, function: FunctionConfig, event: QueueEvent, path: Path) -> Iterator[Finding]:
    """Lambda's limits, for functions that are called as there: they would be refused at the deploy."""
    queue = project.queues.get(event.queue)
    if queue is None or function.asynchronous is None:
        return
    if event.concurrency is not None and event.concurrency < _LEAST_CONCURRENCY:
        what = "a maximum concurrency that Lambda refuses"
        expected = f"{_LEAST_CONCURRENCY} to 1000"
        yield Finding((*path, "concurrency"), what, expected, str(event.concurrency), severity="warning")
    batch = event.batch or function.batch
    at: Path = (*path, "batch") if event.batch is not None else (*path[:2], "batch")
    if queue.fifo:
        yield from _check_fifo_batch(event.queue, batch, at)
    elif batch.wait > _LONGEST_WINDOW_S:
        expected = format_seconds(_LONGEST_WINDOW_S)
        yield Finding(
            (*at, "wait"), "a batch window that Lambda refuses", f"{expected} or less", format_seconds(batch.wait)
        )
    elif batch.size > _UNWINDOWED_BATCH and batch.wait < 1:
        what = f"a batch of {batch.size} without a window, which Lambda refuses"
        yield Finding((*at, "size"), what, f"wait: 1s or more, or {_UNWINDOWED_BATCH} or less", severity="warning")


def _check_fifo_batch(queue: str, batch: BatchConfig, path: Path) -> Iterator[Finding]:
    if batch.size > _FIFO_BATCH:
        what = f"a batch of the FIFO queue {queue!r} that Lambda refuses"
        yield Finding((*path, "size"), what, f"{_FIFO_BATCH} or less", str(batch.size))
    if batch.wait:
        what = f"a batch window of the FIFO queue {queue!r}, which has none on Lambda"
        yield Finding((*path, "wait"), what, "no wait", format_seconds(batch.wait))


def _check_tables(function: FunctionConfig, path: Path) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, event in enumerate(function.events):
        if isinstance(event, TableEvent):
            if event.table in seen:
                what = f"a second event for the changes of table {event.table!r}"
                yield Finding((*path, index, "table"), what, "one event, with several patterns in its filter")
            seen.add(event.table)


def _check_asynchronous(project: Project, config: AsyncConfig | None, path: Path) -> Iterator[Finding]:
    if config is not None:
        for key in ("on_success", "on_failure", "dead_letter"):
            yield from _check_destination(project, getattr(config, key), (*path, key))


def _check_destination(project: Project, destination: Destination | None, path: Path) -> Iterator[Finding]:
    if destination is None:
        return
    named = {key: name for key in Destination.model_fields if (name := getattr(destination, key)) is not None}
    if len(named) != 1:
        expected = "exactly one of " + ", ".join(Destination.model_fields)
        yield Finding(path, "a destination", expected, " and ".join(named) or "none", absent=not named)
    declared: dict[str, Collection[str]] = {
        "queue": project.queues,
        "topic": project.topics,
        "function": project.functions,
    }
    for kind, name in named.items():
        if kind in declared:
            yield from known(kind, name, declared[kind], (*path, kind))
    if path[-1] == "dead_letter" and not named.keys() <= {"queue", "topic"}:
        yield Finding(path, "a dead-letter target", "a queue or a topic", ", ".join(named))
