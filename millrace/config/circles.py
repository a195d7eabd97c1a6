"""Functions whose results come back to them: allowed, since a condition may end it, but worth a warning."""

from __future__ import annotations

import re
from collections.abc import Iterator

from millrace.config.events import BucketEvent, TableEvent
from millrace.config.findings import Finding
from millrace.config.schema import FunctionConfig, Project, Sink
from millrace.config.templates import split


def circles(project: Project) -> Iterator[Finding]:
    """One warning for each sink through which a function's results can come back to it."""
    for name, function in project.functions.items():
        for index, sink in enumerate(function.to):
            if way := _way_back(project, name, sink):
                what = f"results of functions.{name} come back to it: {' → '.join([name, *way])}"
                yield Finding(("functions", name, "to", index), what, "a way that ends", severity="warning")


def _way_back(project: Project, home: str, sink: Sink) -> list[str]:
    """The functions from a sink to `home`, breadth first; empty when it leads nowhere back."""
    ways = [[name] for name in _takers(project, sink)]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        if way[-1] == home:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, name] for each in project.functions[way[-1]].to for name in _takers(project, each)]
    return []


def _takers(project: Project, sink: Sink) -> list[str]:
    return [name for name, function in project.functions.items() if _takes(project, name, function, sink)]


def _takes(project: Project, name: str, function: FunctionConfig, sink: Sink) -> bool:
    if sink.queue is not None and sink.queue in project.queues_of(name):
        return True
    for event in function.events:
        if isinstance(event, TableEvent) and event.table == sink.table:
            return True
        if (
            isinstance(event, BucketEvent)
            and event.on == "created"
            and sink.bucket
            and _meets(event.bucket, sink.bucket)
        ):
            return True
    return False


def _meets(pattern: str, template: str) -> bool:
    """Whether an object named by the template may match the pattern: same bucket, and fixed beginnings that agree."""
    (bucket, keys), (other, key) = split(pattern), split(template)
    watched, written = re.split(r"[*?\[]", keys)[0], key.partition("{")[0]
    return bucket == other and (watched.startswith(written) or written.startswith(watched))
