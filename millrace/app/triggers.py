"""What triggers a project's functions: sources that put messages by themselves, and paths of the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from millrace.app.backend import Backend
from millrace.broker import Queue
from millrace.clock import Clock
from millrace.config.events import BucketEvent, HttpEvent, PushEvent, ScheduleEvent, TableEvent
from millrace.config.events import Cors as CorsConfig
from millrace.config.schema import FunctionConfig, Project
from millrace.source import Source
from millrace.sources.bucket_watch import BucketSource
from millrace.sources.http import Cors, PushRoute, Route
from millrace.sources.schedule import ScheduleSource
from millrace.sources.table_watch import TableSource


def sources_of(project: Project, backend: Backend, clock: Clock) -> Iterator[Source]:
    """The schedules and watches of all functions, each with a name that stays the same between starts."""
    for function, config in project.functions.items():
        queue = project.inbox(function)
        for number, event in enumerate(config.events):
            name = f"{function}.{number}"
            if isinstance(event, ScheduleEvent) and event.enabled:
                yield ScheduleSource(name, queue, function, event.schedule, event.input, clock, event.input_path or "")
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
            elif isinstance(event, TableEvent) and event.enabled:
                yield TableSource(
                    name,
                    project.stream(function, event.table),
                    backend.tables[event.table],
                    backend.bookmarks,
                    clock,
                    sort_field=project.tables[event.table].sort or "",
                    view=event.view,
                    start=event.start,
                )


def routes_of(project: Project, calls: Mapping[str, Queue]) -> list[Route]:
    """The paths that functions have at the gateway; `calls` are the queues of those that are called."""
    return [
        Route(
            method=event.method,
            path=event.path,
            function=name,
            queue=calls[name].name if name in calls else project.inbox(name),
            kind=config.kind,
            description=config.description,
            payload=_payload(event, config),
            timeout_s=config.timeout,
            key=event.http.key,
            cors=_cors(event.http.cors, decorate=config.kind == "model" or event.payload == "v2"),
        )
        for name, config in project.functions.items()
        for event in config.events
        if isinstance(event, HttpEvent)
    ]


def _payload(event: HttpEvent, config: FunctionConfig) -> Literal["v1", "v2"]:
    """What a call carries; a WSGI application always gets v1, which alone keeps repeated response headers apart."""
    return "v1" if config.kind == "wsgi" else event.payload


def _cors(config: CorsConfig | None, *, decorate: bool) -> Cors | None:
    if config is None:
        return None
    return Cors(
        origins=tuple(config.origins),
        headers=tuple(config.headers),
        methods=tuple(config.methods),
        expose=tuple(config.expose),
        credentials=config.credentials,
        max_age_s=config.max_age,
        decorate=decorate,
    )


def pushes_of(project: Project) -> list[PushRoute]:
    """The paths to which push subscriptions post."""
    return [
        PushRoute(path=event.push, function=name, queue=project.inbox(name), token=event.token)
        for name, config in project.functions.items()
        for event in config.events
        if isinstance(event, PushEvent)
    ]
