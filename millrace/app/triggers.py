"""What triggers a project's functions: sources that put messages by themselves, and paths of the gateway."""

from __future__ import annotations

from collections.abc import Iterator

from millrace.app.backend import Backend
from millrace.clock import Clock
from millrace.config.events import BucketEvent, HttpEvent, PushEvent, ScheduleEvent, TableEvent
from millrace.config.schema import Project
from millrace.source import Source
from millrace.sources.bucket_watch import BucketSource
from millrace.sources.http import PushRoute, Route
from millrace.sources.schedule import ScheduleSource
from millrace.sources.table_watch import TableSource


def sources_of(project: Project, backend: Backend, clock: Clock) -> Iterator[Source]:
    """The schedules and watches of all functions, each with a name that stays the same between starts."""
    for function, config in project.functions.items():
        queue = project.inbox(function)
        for number, event in enumerate(config.events):
            name = f"{function}.{number}"
            if isinstance(event, ScheduleEvent):
                yield ScheduleSource(name, queue, function, event.schedule, event.input, clock)
            elif isinstance(event, BucketEvent):
                bucket, _, pattern = event.bucket.partition("/")
                yield BucketSource(
                    name,
                    queue,
                    backend.buckets[bucket],
                    pattern,
                    event.on,
                    project.buckets[bucket].poll,
                    backend.bookmarks,
                    clock,
                )
            elif isinstance(event, TableEvent):
                yield TableSource(name, queue, backend.tables[event.table], backend.bookmarks, clock)


def routes_of(project: Project) -> list[Route]:
    """The paths that functions have at the gateway."""
    return [
        Route(
            method=event.method,
            path=event.path,
            function=name,
            queue=project.inbox(name) if config.kind == "model" else name,
            kind=config.kind,
            description=config.description,
            payload=event.payload,
            timeout_s=config.timeout,
        )
        for name, config in project.functions.items()
        for event in config.events
        if isinstance(event, HttpEvent)
    ]


def pushes_of(project: Project) -> list[PushRoute]:
    """The paths to which push subscriptions post."""
    return [
        PushRoute(path=event.push, function=name, queue=project.inbox(name), token=event.token)
        for name, config in project.functions.items()
        for event in config.events
        if isinstance(event, PushEvent)
    ]
